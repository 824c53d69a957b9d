"""A caller hears what happens in another process: by news, not by the second look that each watcher takes."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from uuid import uuid4

import httpx2
import pytest

from darkroom.engine import core
from darkroom.engine.watching import feed
from darkroom.media.events import Deleted
from services.app import App, Client, RunApp
from services.server import MakeServer, eventually
from services.watching import held, watching

SECOND_LOOK = core.REREAD
NEVER = 3600.0


@pytest.fixture
def making(run_app: RunApp, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """A service that makes the pictures. Neither it nor the other ever takes a second look."""
    monkeypatch.setattr(feed, "LOOK_AGAIN", NEVER)
    monkeypatch.setattr(core, "REREAD", NEVER)
    with run_app(database_url=postgres_url, lease=NEVER) as app:
        yield app


@pytest.fixture
def asked(run_app: RunApp, postgres_url: str, making: App) -> Iterator[App]:
    """Another on the same database that makes none, once each hears the other."""
    with run_app(database_url=postgres_url, working=False) as app:
        hear(making, app)
        hear(app, making)
        yield app


def hear(hearer: App, speaker: App) -> None:
    """Return once `hearer` hears what `speaker` publishes."""
    heard = list[object]()

    def is_heard() -> bool:
        speaker.loop.call_soon_threadsafe(speaker.engine.bus.publish, Deleted(uuid4(), uuid4(), datetime.now(UTC)))
        return bool(heard)

    with hearer.engine.bus.listening(None, heard.append):
        eventually(is_heard)


@pytest.fixture
def client(asked: App) -> Iterator[Client]:
    """A client of the one that makes no pictures."""
    with asked.client() as client:
        yield client


def test_a_watcher_hears_of_a_media_made_elsewhere(asked: App, client: Client) -> None:
    with ExitStack() as streams:
        with held(client):
            media = client.generate(parameters={"delay": 1.2, "steps": 4})
            watch = streams.enter_context(watching(asked.url, f"/media/{media['id']}/events"))
            assert next(iter(watch)).data["status"] == "IN_QUEUE"
        events = watch.rest()
    assert {event.data["step"] for event in events if event.kind == "progress"} >= {1, 2}
    assert events[-1].data == client.media(media["id"])
    assert events[-1].data["status"] == "COMPLETED"


def test_the_collection_hears_of_what_was_asked_for_elsewhere(making: App, client: Client) -> None:
    with watching(making.url, "/media/events") as watch:
        media = client.generate()
        assert watch.until("completed", id=media["id"]).data == client.media(media["id"])
        client.delete(f"/media/{media['id']}").raise_for_status()
        watch.until("deleted", media_id=media["id"])


def test_a_caller_who_waits_hears_of_the_end(client: Client) -> None:
    request = {"prompt": "a lighthouse", "model": "dummy", "parameters": {"delay": 0.2}}
    answer = client.post("/media/generate", json=request, headers={"Prefer": "wait=20"})
    assert (answer.status_code, answer.json()["status"]) == (200, "COMPLETED")


def test_a_cancellation_stops_the_job_where_it_runs(client: Client) -> None:
    media = client.generate(parameters={"delay": 3600})
    client.until(media["id"], "PROCESSING")
    client.post(f"/media/{media['id']}/cancel").raise_for_status()
    client.until(media["id"], "CANCELLED")


def test_a_deletion_stops_the_job_where_it_runs(making: App, client: Client) -> None:
    media = client.generate(parameters={"delay": 3600})
    client.until(media["id"], "PROCESSING")
    client.delete(f"/media/{media['id']}").raise_for_status()
    (worker,) = making.engine.workers
    eventually(lambda: worker.free == worker.concurrency)


def test_real_processes_hear_each_other(make_server: MakeServer, postgres_url: str) -> None:
    asked = make_server(database_url=postgres_url, lanes__default__concurrency=1).start()
    with asked.client() as client:
        parked = client.post("/media/generate", json=wanted(delay=3600)).raise_for_status().json()
        eventually(lambda: client.get(f"/media/{parked['id']}").json()["status"] == "PROCESSING")
        make_server(database_url=postgres_url, lease=int(NEVER)).start()  # it makes all that follows

        with ExitStack() as streams:
            with held(client):
                media = client.post("/media/generate", json=wanted(delay=1.2, steps=4)).raise_for_status().json()
                watch = streams.enter_context(watching(asked.url, f"/media/{media['id']}/events"))
            kinds = [event.kind for event in watch]
        assert "progress" in kinds, "a second look tells a status, never progress"
        assert kinds[-1] == "completed"

        assert min(seconds_waited(client) for _ in range(3)) < SECOND_LOOK

        running = client.post("/media/generate", json=wanted(delay=3600)).raise_for_status().json()
        eventually(lambda: client.get(f"/media/{running['id']}").json()["status"] == "PROCESSING")
        client.post(f"/media/{running['id']}/cancel").raise_for_status()
        eventually(lambda: client.get(f"/media/{running['id']}").json()["status"] == "CANCELLED")


def wanted(**parameters: float) -> dict[str, object]:
    return {"prompt": "a lighthouse", "model": "dummy", "parameters": parameters}


def seconds_waited(client: httpx2.Client) -> float:
    """How long a caller waits for a picture of 0.1 s; without news, for the second look at the least."""
    begin = time.monotonic()
    answer = client.post("/media/generate", json=wanted(delay=0.1), headers={"Prefer": "wait"})
    assert answer.json()["status"] == "COMPLETED"
    return time.monotonic() - begin
