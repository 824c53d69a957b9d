"""The real `darkroom` command, as a process of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 90.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which holds JSON and nothing else."""
        return json.loads(self.out)

    @property
    def complaint(self) -> str:
        """What it says is wrong: one line."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("darkroom: "), self.err
        return lines[0].removeprefix("darkroom: ")


class Command:
    """`darkroom`, run in `folder` with these settings, which are variables: DARKROOM_..."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self.settings = {name: str(value) for name, value in settings.items()}

    def using(self, **settings: object) -> "Command":
        """The same with other settings."""
        return Command(self.folder, **self.settings | settings)

    def __call__(self, *words: object, stdin: str = "") -> Ended:
        """Run it to its end."""
        process = self.start(*words)
        out, err = process.communicate(stdin, timeout=PATIENCE)
        return Ended(process.returncode, out, err)

    def good(self, *words: object, stdin: str = "") -> Ended:
        """Run it to its end, which must be a good one."""
        ended = self(*words, stdin=stdin)
        assert ended.code == 0, ended.err
        return ended

    def start(self, *words: object, **streams: Any) -> subprocess.Popen[str]:
        """Start it, a process group of its own, and do not wait."""
        # without the variable: where it is installed, Python keeps the bytecode
        ours = ("DARKROOM_", "PYTHONDONTWRITEBYTECODE")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(
            [sys.executable, "-m", "darkroom", *map(str, words)],
            cwd=self.folder,
            env=environment | {"NO_PROXY": "127.0.0.1"} | self.settings,
            text=True,
            start_new_session=True,
            **pipes | streams,
        )


@pytest.fixture
def darkroom(tmp_path: Path) -> Command:
    """The command in an empty folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    return Command(folder)
