"""`darkroom doctor` and `darkroom openapi`, the real process."""

import shutil
import socket
from typing import Any

import pytest

from services.app import App, RunApp
from services.command import Command


@pytest.fixture
def free(darkroom: Command) -> Command:
    """The command with an address that is free."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    return darkroom.using(DARKROOM_PORT=port)


def wrong(findings: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {finding["part"]: finding for finding in findings if not finding["ok"]}


def test_nothing_is_wrong_with_an_empty_folder(free: Command) -> None:
    findings = free.good("doctor", "--json").json
    assert [finding["part"] for finding in findings] == [
        "darkroom", "settings", "disk", "database", "storage", "models",
        "account bfl", "account fal", "account openai", "account replicate", "address",
    ]  # fmt: skip
    assert wrong(findings) == {}
    assert "can be written" in free.good("doctor").out


def test_a_wrong_setting_is_told_and_what_does_not_need_it_is_looked_at(free: Command) -> None:
    ended = free.using(DARKROOM_LEASE="soon")("doctor", "--json")
    assert ended.code == 1
    assert "DARKROOM_LEASE" in wrong(ended.json)["settings"]["problem"]
    assert {"darkroom", "disk"} <= {finding["part"] for finding in ended.json}


def test_each_part_is_looked_at_whatever_is_wrong_with_the_others(free: Command) -> None:
    (free.folder / "file").touch()
    with socket.create_server(("127.0.0.1", 0)) as other:
        broken = free.using(
            DARKROOM_DATABASE_URL="postgresql://x:hidden@127.0.0.1:9/x",
            DARKROOM_DATA_DIR=free.folder / "file" / "data",
            DARKROOM_PORT=other.getsockname()[1],
        )
        other.settimeout(0)
        ended = broken("doctor", "--json")
    assert ended.code == 1
    found = wrong(ended.json)
    assert set(found) == {"database", "storage", "address"}
    for finding in found.values():
        assert finding["problem"]
        assert finding["advice"]
    assert "hidden" not in ended.out
    assert "127.0.0.1:9" in found["database"]["where"]


def test_a_provider_that_is_none_is_told(free: Command) -> None:
    (free.folder / "darkroom.toml").write_text('[models.own]\nroutes = [{provider = "nonsense"}]\n')
    ended = free("doctor")
    assert ended.code == 1
    assert "nonsense" in ended.out


def test_an_address_where_darkroom_answers_is_well(free: Command, sqlite_app: App) -> None:
    findings = free.using(DARKROOM_PORT=sqlite_app.port).good("doctor", "--json").json
    assert "Darkroom" in next(finding["detail"] for finding in findings if finding["part"] == "address")


def test_a_server_is_asked(free: Command, sqlite_app: App) -> None:
    findings = free.good("doctor", "--server", sqlite_app.url, "--json").json
    assert {"server", "database", "storage", "models"} <= {finding["part"] for finding in findings}


def test_a_server_that_is_not_ready_is_told(free: Command, run_app: RunApp, sqlite_url: str) -> None:
    pictures = free.folder / "pictures"
    with run_app(database_url=sqlite_url, storage_url=pictures.as_uri()) as app:
        shutil.rmtree(pictures, ignore_errors=True)
        pictures.touch()  # a folder no more
        ended = free("doctor", "--server", app.url, "--json")
    assert ended.code == 1
    assert set(wrong(ended.json)) == {"storage"}


def test_a_server_that_does_not_answer_is_told(free: Command) -> None:
    ended = free("doctor", "--server", "http://127.0.0.1:9", "--json")
    assert ended.code == 1
    assert wrong(ended.json)["server"]["advice"]


def test_the_openapi_document_is_printed_without_starting_anything(darkroom: Command, sqlite_app: App) -> None:
    ended = darkroom.good("openapi")
    with sqlite_app.client() as client:
        assert ended.json == client.get("/openapi.json").json()
    assert list(darkroom.folder.iterdir()) == []
