"""Lanes are listed, paused and resumed, for every process on the database."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from services.app import App, Client, RunApp
from services.command import Command

GPU = {"gpu": {"routes": [{"provider": "dummy"}], "lane": "gpu"}}
LANES = {"gpu": {"concurrency": 3, "max_queued": 77}}


@pytest.fixture
def app(run_app: RunApp, database_url: str) -> Iterator[App]:
    with run_app(database_url=database_url, lanes=LANES, models=GPU) as running:
        yield running


def lane(client: httpx2.Client, name: str) -> dict[str, Any]:
    items = client.get("/lanes").raise_for_status().json()["items"]
    found: dict[str, Any] = next(item for item in items if item["name"] == name)
    return found


def test_lanes_are_listed_with_what_waits_in_them_and_what_they_take(client: Client) -> None:
    assert lane(client, "gpu") == {
        "name": "gpu", "paused": False, "queued": 0, "running": 0, "concurrency": 3, "max_queued": 77,
    }  # fmt: skip
    names = [item["name"] for item in client.get("/lanes").json()["items"]]
    assert names == ["default", "gpu"]


def test_a_paused_lane_accepts_and_starts_nothing_until_it_is_resumed(client: Client) -> None:
    assert client.post("/lanes/gpu/pause").raise_for_status().json()["paused"] is True
    held = [client.generate(model="gpu")["id"] for _ in range(3)]
    client.completed()  # the other lane goes on
    assert lane(client, "gpu")["queued"] == 3
    assert {client.media(media_id)["status"] for media_id in held} == {"IN_QUEUE"}
    assert client.post("/lanes/gpu/resume").raise_for_status().json()["paused"] is False
    for media_id in held:
        client.until(media_id, "COMPLETED")


def test_pausing_twice_is_as_good_as_once_and_what_runs_goes_on(client: Client) -> None:
    running = client.generate(model="gpu", parameters={"delay": 0.5})["id"]
    client.until(running, "PROCESSING")
    for _ in range(2):
        client.post("/lanes/gpu/pause").raise_for_status()
    assert lane(client, "gpu")["running"] in (0, 1)
    client.until(running, "COMPLETED")
    for _ in range(2):
        client.post("/lanes/gpu/resume").raise_for_status()
    client.completed(model="gpu")


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_a_lane_that_nobody_has_is_not_found(client: Client, verb: str) -> None:
    response = client.post(f"/lanes/cpu/{verb}")
    assert response.status_code == 404
    assert "no lane 'cpu'" in response.json()["detail"]


@pytest.mark.parametrize("through", ["here", "server"])
def test_the_command_lists_pauses_and_resumes(
    darkroom: Command, run_app: RunApp, sqlite_url: str, through: str
) -> None:
    with run_app(database_url=sqlite_url, lanes=LANES, models=GPU) as app, app.client() as client:
        here = darkroom.using(DARKROOM_DATA_DIR=app.settings.data_dir, DARKROOM_DATABASE_URL=sqlite_url)
        command = here if through == "here" else darkroom.using(DARKROOM_URL=app.url)
        assert command.good("lanes", "pause", "gpu").out == "gpu paused\n"
        listed = {item["name"]: item for item in command.good("lanes", "--json").json}
        assert listed["gpu"]["paused"]
        assert "gpu" in command.good("lanes").out
        held = client.generate(model="gpu")["id"]
        assert command.good("lanes", "resume", "gpu").out == "gpu open\n"
        client.until(held, "COMPLETED")
        unknown = command("lanes", "pause", "cpu")
        assert (unknown.code, unknown.complaint) == (2, "name: there is no lane 'cpu'")
