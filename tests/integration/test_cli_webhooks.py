"""`darkroom webhooks`, the real process, through a server and on its database."""

from collections.abc import Iterator

import pytest

from services.app import App, RunApp
from services.command import Command
from services.server import eventually
from services.targets import HERE, Reply, Target


@pytest.fixture
def app(run_app: RunApp, sqlite_url: str) -> Iterator[App]:
    with run_app(database_url=sqlite_url, egress_allow=[HERE]) as running:
        yield running


@pytest.fixture(params=["here", "server"])
def command(request: pytest.FixtureRequest, darkroom: Command, app: App) -> Command:
    if request.param == "server":
        return darkroom.using(DARKROOM_URL=app.url)
    settings = app.settings
    return darkroom.using(DARKROOM_DATA_DIR=settings.data_dir, DARKROOM_DATABASE_URL=settings.database_url)


def test_deliveries_are_looked_at_and_sent_again(command: Command, app: App, target: Target) -> None:
    target.replies = [Reply(410)]
    with app.client() as client:
        media = client.completed(webhook=target.url)
        eventually(lambda: client.get("/webhooks/deliveries").json()["items"][0]["state"] == "gone")
    (delivery,) = command.good("webhooks", "list", "--media", media["id"], "--json").json
    assert command.good("webhooks", "list", "--state", "delivered", "--json").json == []
    assert target.url in command.good("webhooks", "list").out
    assert "answered 410 Gone" in command.good("webhooks", "show", delivery["id"]).out
    assert command.good("webhooks", "show", delivery["id"], "--json").json == delivery

    assert command.good("webhooks", "resend", delivery["id"]).out == f"{delivery['id']} pending\n"
    eventually(lambda: len(target.heard) == 2)


def test_the_secret_is_shown_and_replaced(command: Command, app: App) -> None:
    old = command.good("webhooks", "secret").out.strip()
    assert old.startswith("whsec_")
    new = command.good("webhooks", "rotate").out.strip()
    assert new != old
    assert command.good("webhooks", "secret").out.strip() == new


def test_one_that_is_not_there_is_complained_of(command: Command) -> None:
    missing = "0199a000-0000-7000-8000-000000000000"
    ended = command("webhooks", "show", missing)
    assert ended.code == 2
    assert "there is no delivery" in ended.complaint
