"""What the command line says of itself: at once, and completely."""

import subprocess
import sys

import pytest
import typer

from darkroom import __version__
from darkroom.cli.app import app
from darkroom.cli.exits import CODES, complain, run

Capture = pytest.CaptureFixture[str]

HEAVY = {"fastapi", "sqlalchemy", "numpy", "PIL", "pydantic", "httpx2", "rich", "asyncio", "darkroom.engine"}


def imported_by(*words: str) -> set[str]:
    code = "import sys\nfrom darkroom.cli import main\ntry: main()\nfinally: print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return set(ended.stdout.splitlines()[-1].split())


def test_help_imports_nothing_heavy() -> None:
    assert imported_by("--help") & HEAVY == set()


def test_the_version_imports_nothing_heavy() -> None:
    assert imported_by("--version") & HEAVY == set()


def run_here(capsys: Capture, *words: str) -> tuple[int, str, str]:
    code = run(lambda **options: app(list(words), **options))
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_version_is_told(capsys: Capture) -> None:
    assert run_here(capsys, "--version") == (0, f"darkroom {__version__}\n", "")


def test_help_documents_the_exit_codes(capsys: Capture) -> None:
    for words in (["--help"], ["generate", "--help"], []):
        code, out, _ = run_here(capsys, *words)
        assert code == 0
        for line in CODES.splitlines()[2:]:
            assert line.strip() in out


def test_a_wrong_word_ends_in_one_line_that_names_the_help(capsys: Capture) -> None:
    for words in (["nonsense"], ["generate"], ["generate", "x", "--nonsense"], ["media"], ["media", "show", "no-id"]):
        code, out, err = run_here(capsys, *words)
        assert (code, out) == (2, "")
        assert err.count("\n") == 1
        assert err.startswith("darkroom: ")
        assert "--help'" in err


def test_a_complaint_is_one_line(capsys: Capture) -> None:
    assert complain("two\n  lines", 3) == 3
    assert capsys.readouterr().err == "darkroom: two lines\n"


def test_the_reference_holds_every_command_and_option(capsys: Capture) -> None:
    code, out, _ = run_here(capsys, "reference")
    assert code == 0
    root = typer.main.get_command(app)
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        for inner in getattr(command, "commands", {}):
            assert f"### darkroom {name} {inner}\n" in out
        assert f"## darkroom {name}\n" in out
        for parameter in command.params:
            assert parameter.help.split("|")[0] in " ".join(out.split())


def test_the_settings_are_printed_in_every_format(capsys: Capture) -> None:
    for form, sign in (("env", "# DARKROOM_PORT=8000"), ("toml", "# port = 8000"), ("markdown", "| `DARKROOM_PORT` |")):
        code, out, _ = run_here(capsys, "settings", "--format", form)
        assert code == 0
        assert sign in out
