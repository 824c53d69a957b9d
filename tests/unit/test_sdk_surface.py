"""What the SDK shows of itself, and what it needs."""

import ast
import inspect
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import darkroom_client
from darkroom_client import AsyncDarkroom, Darkroom, errors

CLIENT = Path(__file__).parents[2] / "client"
SOURCES = sorted((CLIENT / "src").rglob("*.py"))
EXPECTED = {
    "APIConnectionError", "APIError", "APITimeoutError", "AsyncDarkroom", "AsyncFile", "AsyncMedia", "BadRequest",
    "BaseFile", "BaseMedia", "BudgetExhausted", "CompletedEvent", "Conflict", "ContentLink", "Cost", "DamagedFile",
    "Darkroom", "DarkroomError", "DeletedEvent", "Event", "Failure", "FieldError", "File", "Forbidden",
    "GenerationCancelled", "GenerationError", "GenerationFailed", "InvalidRequest", "Job", "JobStatus", "LogLine",
    "Media", "MediaDeleted", "Model", "NotFound", "Page", "PayloadTooLarge", "Picture", "PreviewEvent", "Price",
    "PriceTier", "Problem", "Progress", "ProgressEvent", "RateLimited", "Route", "ServerError", "Source", "Status",
    "StatusEvent", "Unauthorized", "Unavailable", "UnexpectedAnswer", "UnsupportedMedia", "Upload", "WaitTimeout",
    "WebhookEvent", "WebhookVerificationError", "__version__", "webhooks",
}  # fmt: skip


def test_what_is_exported_is_known() -> None:
    assert set(darkroom_client.__all__) == EXPECTED
    public = {name for name in vars(darkroom_client) if not name.startswith("_")}
    modules = {path.stem for path in SOURCES if not path.stem.startswith("_")}
    assert public - EXPECTED <= modules


def test_everything_public_says_what_it_is() -> None:
    shown = [getattr(darkroom_client, name) for name in EXPECTED if name[0].isupper()]
    classes = [each for each in shown if inspect.isclass(each)]
    methods = [
        method for each in classes for name, method in vars(each).items()
        if inspect.isfunction(method) and not name.startswith("_")
    ]  # fmt: skip
    assert [each for each in [*classes, *methods] if not each.__doc__] == []


def test_both_clients_take_the_same() -> None:
    closing = {"close", "aclose"}
    ours, others = ({n for n in dir(each) if n[0] != "_"} - closing for each in (Darkroom, AsyncDarkroom))
    assert ours == others
    for name in ours:
        one, other = (inspect.signature(getattr(each, name)) for each in (Darkroom, AsyncDarkroom))
        assert str(one).partition(" -> ")[0] == str(other).partition(" -> ")[0], name


PROGRAM = """
from typing import assert_type

from darkroom_client import CompletedEvent, Darkroom, Media, ProgressEvent, StatusEvent

with Darkroom() as darkroom:
    for event in darkroom.stream("4711"):
        match event:
            case ProgressEvent(step=step, total=total):
                assert_type((step, total), tuple[int, int])
            case StatusEvent(media=media):
                assert_type(media, Media)
            case CompletedEvent(media=ended):
                assert_type(ended, Media)
        if isinstance(event, CompletedEvent):
            assert_type(event, CompletedEvent[Media])
"""


def test_type_checkers_tell_events_apart(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    cache = ["--cache-dir", tmp_path / "cache", "--config-file", ""]
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--warn-unreachable", *map(str, cache), str(program)],
        cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ, "MYPYPATH": str(CLIENT / "src")},
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_drawing_shows_every_error() -> None:
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    there = {name for name, each in vars(errors).items() if inspect.isclass(each) and issubclass(each, Exception)}
    assert {"DarkroomError", *drawn} == there
    assert len(drawn) == len(set(drawn))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_it_needs_httpx2_and_nothing_else(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add((node.module or "").partition(".")[0])
    assert imported - sys.stdlib_module_names <= {"httpx2", "darkroom_client"}


def test_it_imports_nothing_of_the_server() -> None:
    code = "import sys, darkroom_client; print('darkroom' in sys.modules, 'pydantic' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.split() == ["False", "False"]


def test_the_version_is_that_of_the_package() -> None:
    project = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]
    assert project["version"] == darkroom_client.__version__
    assert [each.partition(">")[0] for each in project["dependencies"]] == ["httpx2"]
    assert (CLIENT / "src" / "darkroom_client" / "py.typed").exists()


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="base_url"):
        Darkroom("darkroom.example.com")
    with pytest.raises(ValueError, match="api_key") as raised:
        Darkroom(api_key="se cret")
    assert "se cret" not in str(raised.value)
