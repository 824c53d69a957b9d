"""PostgreSQL, as it is installed here."""

import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

from darkroom.errors import Unavailable
from darkroom.stack.process import guarded, program
from darkroom.stack.service import HOST, Service

ADVICE = "apt install postgresql, or set DARKROOM_DATABASE_URL to one that runs elsewhere"
USER = "darkroom"
CONNECTIONS = 200


class Postgres(Service):
    """A server of its own, with all that makes it durable; its data are in `folder`.

    Root may not run it: then it runs as `postgres` or `nobody`. Raises `NotInstalled`.
    """

    ending = signal.SIGINT  # its fast shutdown: SIGTERM would wait for its clients

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self._programs = _programs()
        super().__init__("postgres", folder, port)
        self._data = self.folder / "data"
        self.user = _user()
        self.environment = {"LC_ALL": "C", "PGPASSWORD": self.password, "PGCONNECT_TIMEOUT": "5"}
        options = {"listen_addresses": HOST, "port": self.port, "max_connections": CONNECTIONS}
        options |= {"unix_socket_directories": ""}  # their paths may only be short
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        self.command = [self._program("postgres"), "-D", str(self._data), *settings]

    def launch(self) -> None:
        if not self._data.exists():
            self._make()
        super().launch()

    def answers(self) -> bool:
        """Whether it takes connections: not yet while it recovers from a crash."""
        return self._run("pg_isready", *self._address, "-t", "5").returncode == 0

    def url(self, database: str = "darkroom") -> str:
        """The address of a database, which is made if it is not there. Raises `Unavailable`."""
        made = self._run("createdb", *self._address, "-U", USER, database)
        if made.returncode != 0 and "already exists" not in made.stderr:
            raise Unavailable(f"{self.name} made no database: {made.stderr.strip()}")
        return f"postgresql://{USER}:{self.password}@{HOST}:{self.port}/{database}"

    @property
    def _address(self) -> tuple[str, ...]:
        return ("-h", HOST, "-p", str(self.port))

    def _make(self) -> None:
        """Make the data folder. It gets its name once it is complete."""
        draft = self.folder / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        if self.user is not None:
            shutil.chown(draft, self.user, self.user)
        password = f"--pwfile={self.folder / 'password'}"
        made = self._run("initdb", "-D", str(draft), "-U", USER, password, "-A", "scram-sha-256", "-E", "UTF8")
        if made.returncode != 0:
            raise Unavailable(f"{self.name} made no data folder: {made.stderr.strip()}")
        draft.rename(self._data)

    def _program(self, name: str) -> str:
        return str(self._programs / name)

    def _run(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = guarded([self._program(name), *words], self.user)
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)  # noqa: S603


def _programs() -> Path:
    """The folder of the newest PostgreSQL: distributions keep its programs out of PATH."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    return Path(program("initdb", ADVICE, folders=versions)).resolve().parent


def _user() -> str | None:
    """Who runs the server, if we are root."""
    if os.geteuid() != 0:
        return None
    names = {user.pw_name for user in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)
