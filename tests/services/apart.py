"""Programs in environments of their own: other versions of the clients than the one that is installed here."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from services.needs import missing

SECONDS = 170
NOTHING_MORE: Mapping[str, str] = {}


def run_apart(
    requirements: Sequence[str],
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] = NOTHING_MORE,
    seconds: float = SECONDS,
) -> None:
    """Run `command` where `requirements` are installed; fail with what it wrote if it ends with anything but 0.

    Where they cannot be had, the test is skipped.
    """
    _prepare(tuple(requirements))
    done = subprocess.run(
        [*_uv(requirements), *map(str, command)], cwd=cwd, env={**_environment(), **env},
        capture_output=True, text=True, timeout=seconds, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@cache
def _prepare(requirements: tuple[str, ...]) -> None:
    tried = subprocess.run(
        [*_uv(requirements), "python", "-c", ""], env=_environment(), capture_output=True, text=True, check=False
    )
    if tried.returncode != 0:
        missing(f"{', '.join(requirements)} cannot be installed: {tried.stderr.strip()[-500:]}")


def _uv(requirements: Sequence[str]) -> list[str]:
    program = os.environ.get("UV") or shutil.which("uv") or missing("uv is not here, which makes environments")
    wanted = [part for requirement in requirements for part in ("--with", requirement)]
    return [program, "run", "--quiet", "--no-project", *wanted]


def _environment() -> dict[str, str]:
    ours = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if name not in ours and not name.startswith("PYTEST_")}
