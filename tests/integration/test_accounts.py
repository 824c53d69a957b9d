"""Accounts tell why nothing is sent to them, and are opened again by a person."""

from collections.abc import Iterator
from typing import Any

import pytest

from services.app import App, Client, RunApp
from services.command import Command
from services.scraped import scrape
from services.server import eventually

FRAGILE = {"accounts": {"dummy": {"failures": 1, "cool_down": 3600, "concurrency": 2, "requests_per_minute": 6000}}}


@pytest.fixture
def app(run_app: RunApp, database_url: str) -> Iterator[App]:
    with run_app(database_url=database_url, **FRAGILE) as running:
        yield running


def account(client: Client, name: str = "dummy") -> dict[str, Any]:
    items = client.get("/accounts").raise_for_status().json()["items"]
    found: dict[str, Any] = next(item for item in items if item["name"] == name)
    return found


def break_it(client: Client) -> None:
    """Have a job fail at the account, which is left alone from then on."""
    client.generate(parameters={"error_rate": 1}, max_tries=1)
    eventually(lambda: account(client)["blocked_until"])


def test_accounts_are_listed_with_what_runs_there_and_their_limits(client: Client) -> None:
    assert account(client) == {
        "name": "dummy", "failures": 0, "blocked_until": None, "reason": None, "running": 0, "concurrency": 2,
        "requests_per_minute": 6000, "problem": None,
    }  # fmt: skip
    assert account(client, "replicate")["problem"] == "REPLICATE_API_TOKEN is not set"
    names = [item["name"] for item in client.get("/accounts").json()["items"]]
    assert names == sorted(names)
    assert "sketch" not in names, "nothing can be wrong with what is part of this program"
    media = client.generate(parameters={"delay": 600})
    eventually(lambda: account(client)["running"] == 1)
    client.delete(f"/media/{media['id']}").raise_for_status()


def test_one_that_failed_is_left_alone_until_a_person_resets_it(app: App, client: Client) -> None:
    break_it(client)
    assert account(client)["failures"] == 1
    assert "dummy" in account(client)["reason"]
    eventually(lambda: scrape(app.url).value("darkroom_account_blocked", provider="dummy") == 1)
    waiting = client.generate()["id"]
    after = client.post("/accounts/dummy/reset").raise_for_status().json()
    assert (after["failures"], after["blocked_until"], after["reason"]) == (0, None, None)
    client.completed()
    client.delete(f"/media/{waiting}").raise_for_status()


def test_one_that_nobody_has_is_not_found(client: Client) -> None:
    response = client.post("/accounts/nowhere/reset")
    assert response.status_code == 404
    assert "no account 'nowhere'" in response.json()["detail"]


@pytest.mark.parametrize("through", ["here", "server"])
def test_the_command_lists_and_resets(darkroom: Command, run_app: RunApp, sqlite_url: str, through: str) -> None:
    with run_app(database_url=sqlite_url, **FRAGILE) as app, app.client() as client:
        here = darkroom.using(
            DARKROOM_DATA_DIR=app.settings.data_dir,
            DARKROOM_DATABASE_URL=sqlite_url,
            DARKROOM_ACCOUNTS='{"dummy": {"concurrency": 2}}',
        )
        command = here if through == "here" else darkroom.using(DARKROOM_URL=app.url)
        break_it(client)
        (line,) = [line for line in command.good("accounts").out.splitlines() if line.startswith("dummy")]
        assert "left alone, again in 59 min:" in line
        assert command.good("accounts", "reset", "dummy").out == "dummy open\n"
        assert account(client)["failures"] == 0


def test_the_command_prints_json_and_knows_no_other_account(darkroom: Command, sqlite_app: App) -> None:
    assert {"fal", "openai", "replicate"} <= {
        item["name"] for item in darkroom.using(DARKROOM_URL=sqlite_app.url).good("accounts", "--json").json
    }
    unknown = darkroom.using(DARKROOM_URL=sqlite_app.url)("accounts", "reset", "nowhere")
    assert (unknown.code, unknown.complaint) == (2, "name: there is no account 'nowhere'")
