"""The clients in other versions than those that are installed here: each in an environment of its own."""

from pathlib import Path

import pytest

from services.apart import run_apart
from services.app import App

CLIENTS = Path(__file__).parent / "clients"


@pytest.mark.parametrize("version", ["1.109.1", "2.54.0"])
def test_older_openai_clients_work(sqlite_app: App, version: str) -> None:
    run_apart(
        [f"openai=={version}", "pillow", "pytest"], ["python", CLIENTS / "openai_calls.py", sqlite_app.url, version]
    )  # fmt: skip


def test_the_next_replicate_client_works(sqlite_app: App) -> None:
    run_apart(["replicate==2.0.0b4", "pillow", "pytest"], ["python", CLIENTS / "replicate_2_calls.py", sqlite_app.url])
