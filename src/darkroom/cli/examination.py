"""What `darkroom doctor` looks at."""

import platform
import shutil
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx2

from darkroom import __version__
from darkroom.cli import shown
from darkroom.cli.connection import connected
from darkroom.cli.exits import CommandError

PATIENCE = 5.0
"""Seconds for each part to answer."""
LOW_DISK = 500_000_000
"""Free bytes below which pictures soon find no room."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A part: what and where it is, what it says of itself, what is wrong with it (None: nothing), what to do."""

    part: str
    where: str
    detail: str = ""
    problem: str | None = None
    advice: str | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.problem is None


async def of_this_machine() -> list[Finding]:
    """Every part that the settings name. Without settings, what can be told without them."""
    from darkroom.cli.configuration import load_settings

    here = _python()
    try:
        settings = load_settings()
    except CommandError as error:
        wrong = Finding("settings", _sources(), problem=error.message, advice="mend this; the other parts hang on it")
        return [here, wrong, _disk(Path.cwd())]
    from darkroom.cli import parts

    return [here, Finding("settings", _sources(), "valid"), _disk(settings.data_dir), *await parts.look(settings)]


async def of_server(server: str) -> list[Finding]:
    """What the Darkroom at `server` says of itself."""
    try:
        async with connected(server) as api:
            await api.get("/healthz")
            version = (await api.get("/openapi.json"))["info"]["version"]
            models = await api.get("/models")
            ready = await api.get_whatever("/readyz")
    except CommandError as error:
        advice = "start it with `darkroom serve`, or correct --server"
        return [_python(), Finding("server", server, problem=error.message, advice=advice)]
    parts = [Finding(check["name"], server, "answers", check["problem"]) for check in ready["checks"]]
    names = ", ".join(model["name"] for model in models["items"] if model["usable"])
    return [_python(), Finding("server", server, f"Darkroom {version}"), *parts, Finding("models", server, names)]


def _python() -> Finding:
    return Finding("darkroom", sys.prefix, f"{__version__}, Python {platform.python_version()}, {platform.system()}")


def _sources() -> str:
    files = [name for name in (".env", "darkroom.toml") if Path(name).is_file()]
    return ", ".join(["environment", *files])


def _disk(folder: Path) -> Finding:
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    usage = shutil.disk_usage(existing)
    free = f"{shown.size(usage.free)} free of {shown.size(usage.total)}"
    if usage.total and usage.free < LOW_DISK:  # a file system that tells nothing says 0 of 0
        return Finding("disk", str(folder), problem=f"only {free}", advice="make room, or set DARKROOM_RETENTION_DAYS")
    return Finding("disk", str(folder), free)


async def answers_as_darkroom(address: str) -> bool:
    """Whether a Darkroom answers at `address`."""
    try:
        async with httpx2.AsyncClient(base_url=address, timeout=PATIENCE, trust_env=False) as client:
            document = (await client.get("/openapi.json")).json()
        return bool(document["info"]["title"] == "Darkroom")
    except (httpx2.TransportError, ValueError, KeyError, TypeError):
        return False


def taken(host: str, port: int) -> OSError | None:
    """Why nothing can listen there; None: it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error
    return None
