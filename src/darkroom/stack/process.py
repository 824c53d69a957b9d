"""A process that we start, watch, freeze and end, with its log in a file."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Self

from darkroom.errors import NotInstalled
from darkroom.stack.family import Member, end, family

PATIENCE = 10.0


class Process:
    """`command`, with its log in `folder`, in a session of its own: a Ctrl-C reaches only us.

    It runs in `cwd`, or else in `folder`. `environment` is all that it gets; None: what we have. As `user` it may
    still reach `folder` where only root may.
    On Linux it is killed when we are gone, however we went.
    """

    ending = signal.SIGTERM

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        *,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.folder = folder
        self.environment = environment
        self.user = user
        self.cwd = cwd or folder
        self._process: subprocess.Popen[bytes] | None = None
        self._leaving: list[Member] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def log(self) -> Path:
        """The file of all that it wrote."""
        return self.folder / f"{self.name}.log"

    @property
    def pid(self) -> int | None:
        """None before the first start."""
        return self._process.pid if self._process else None

    @property
    def exit_code(self) -> int | None:
        """How it ended, negative for a signal; None while it runs and before the first start."""
        return self._process.poll() if self._process else None

    @property
    def alive(self) -> bool:
        """Whether it runs, if only frozen."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, unless it runs, and return once it is of use."""
        self.launch()

    def launch(self) -> None:
        """Start it, unless it runs, and wait for nothing."""
        if not self.alive:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._process = _launcher().submit(self._spawn).result()

    def stop(self, patience: float = PATIENCE) -> None:
        """Ask it to end; kill what is left of it after `patience` seconds."""
        self.ask()
        self.finish(patience)

    def ask(self) -> None:
        """Ask it to end; `finish` sees to it."""
        self._leaving = self._family()
        if self._process is not None:
            self._process.send_signal(self.ending)

    def finish(self, patience: float) -> None:
        """Return once it has ended; after `patience` seconds it is killed with all that it started."""
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
        self._end(self._leaving)

    def kill(self) -> None:
        """SIGKILL it and all that it started, as a crash or a power cut does."""
        self._end(self._family())

    def freeze(self) -> None:
        """Stop it in its tracks, with all that it started."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on from where it was frozen."""
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        for member in self._family():
            member.send(number)

    def _family(self) -> list[Member]:
        return family(self._process.pid) if self._process is not None and self.alive else []

    def _end(self, members: list[Member]) -> None:
        if self._process is not None:
            self._process.kill()
            end(members)
            self._process.wait()

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as output:
            return subprocess.Popen(  # noqa: S603
                guarded(self.command, self.user),
                cwd=self.cwd,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )


@cache
def _launcher() -> ThreadPoolExecutor:
    """The thread that starts every process: to the kernel it is their parent, and it lives as long as we do."""
    return ThreadPoolExecutor(1, thread_name_prefix="launcher")


def guarded(command: Sequence[str], user: str | None) -> list[str]:
    """`command` as it is run so that it is `user` and does not outlive us. Raises `NotInstalled`."""
    if not sys.platform.startswith("linux"):
        return list(command)
    guard = [program("setpriv", "apt install util-linux"), "--pdeathsig", "KILL"]
    if user is not None:
        guard += ["--reuid", user, "--regid", user, "--clear-groups"]
        guard += ["--inh-caps", "+dac_override", "--ambient-caps", "+dac_override"]
    return [*guard, "--", *command]


def program(name: str, advice: str, *, folders: Sequence[str | Path] = ()) -> str:
    """The path of an installed program, looked for in `folders`, then in PATH.

    Raises `NotInstalled`, with `advice` on what to do.
    """
    for place in [*map(str, folders), None]:
        if found := shutil.which(name, path=place):
            return found
    raise NotInstalled(f"{name} is not installed here: {advice}")
