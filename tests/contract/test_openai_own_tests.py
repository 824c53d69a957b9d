"""The OpenAI client's own tests of its image calls, run against our server instead of their mock."""

import tarfile
from pathlib import Path

import openai
import pytest

from darkroom.settings import Model, Route
from services.apart import run_apart
from services.app import RunApp

PACKAGE = f"openai=={openai.__version__}"
TO_UNPACK = ["pip", "hatchling", "hatch-fancy-pypi-readme"]
TO_RUN = [f"{PACKAGE[:6]}[aiohttp]{PACKAGE[6:]}", "pytest", "pytest-asyncio", "pytest-xdist", "rich", "inline-snapshot"]
TESTS = "tests/api_resources/test_images.py"
MODELS = ("gpt-image-1.5", "gpt-image-2.5-flare")


def sources(folder: Path) -> Path:
    """The client's sources, which have its tests."""
    archives = folder / "archives"
    download = ["python", "-m", "pip", "download", "--quiet", "--no-deps", "--no-build-isolation"]
    run_apart(TO_UNPACK, [*download, "--no-binary", "openai", "--dest", archives, PACKAGE])
    with tarfile.open(next(archives.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    return folder / f"openai-{openai.__version__}"


@pytest.mark.timeout(600)  # a hundred tests, most of which have pictures made
def test_the_clients_own_tests_pass(run_app: RunApp, sqlite_url: str, tmp_path: Path) -> None:
    sketch = Model(routes=[Route(provider="sketch", model="sketch")])
    settings = {
        "models": dict.fromkeys(MODELS, sketch),
        "openai_placeholder_pictures": True,
        "output": {"thumbnails": False, "metadata": False},
    }
    with run_app(database_url=sqlite_url, **settings) as app:
        run_apart(
            TO_RUN,
            [
                "python",
                "-m",
                "pytest",
                "-q",
                "-n",
                "0",
                "tests/api_resources/test_images.py",
                f"--junitxml={tmp_path}/r",
            ],
            cwd=sources(tmp_path),
            env={"TEST_API_BASE_URL": f"{app.url}/openai/v1"},
            seconds=500,
        )
    assert 'tests="100"' in (tmp_path / "r").read_text()
    assert 'skipped="0"' in (tmp_path / "r").read_text()
