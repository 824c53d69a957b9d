"""Watching media over HTTP: what is told, in which order, when it ends, and how one goes on after a gap."""

import asyncio
import base64
import io
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx2
import pytest
from PIL import Image
from structlog.testing import capture_logs

from darkroom.api import streams
from darkroom.db import logs
from darkroom.db import media as rows
from darkroom.engine.watching import audience, feed
from darkroom.events.memory import MemoryBus
from darkroom.media.events import Previewed
from services.app import App, Client, RunApp
from services.proxy import Proxy
from services.scraped import scrape
from services.server import MakeServer, eventually
from services.watching import Crowd, Event, Watch, held, watching

SLOW = {"delay": 60}
MICROSECOND = timedelta(microseconds=1)


def of(media: dict[str, Any]) -> str:
    """Where a media is watched."""
    return f"/media/{media['id']}/events"


def id_at(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // MICROSECOND


def test_a_media_is_told_from_how_it_is_to_how_it_ended(app: App, client: Client) -> None:
    with ExitStack() as streams:
        with held(client):
            media = client.generate(parameters={"delay": 1.2, "steps": 4})
            watch = streams.enter_context(watching(app.url, of(media)))
            first = next(iter(watch))
        events = [first, *watch.rest()]
        assert watch.response.headers["content-type"].startswith("text/event-stream")
        assert watch.response.headers["cache-control"] == "no-store"
        assert watch.response.headers["x-accel-buffering"] == "no"
    *before, last = events
    assert (first.kind, first.data["status"]) == ("status", "IN_QUEUE")
    assert {event.kind for event in before} == {"status", "progress"}
    steps = [event.data["step"] for event in before if event.kind == "progress"]
    assert steps == sorted(steps)
    assert {1, 2} <= set(steps)
    assert last.kind == "completed"
    assert last.data == client.media(media["id"])


def test_progress_names_media_job_and_steps(app: App, client: Client) -> None:
    with watching(app.url, "/media/events") as watch:
        media = client.generate(parameters={"delay": 1, "steps": 2})
        progress = watch.until("progress")
    assert progress.data == {"media_id": media["id"], "job_id": media["job_id"], "step": 1, "total": 2}


def test_the_collection_tells_what_happens_from_now_on(app: App, client: Client) -> None:
    client.completed()
    with watching(app.url, "/media/events") as watch:
        media = client.generate()
        told = until_completed(watch, media["id"])
    assert {event.data["id"] for event in told} == {media["id"]}
    statuses = [event.data["status"] for event in told]
    assert statuses == sorted(statuses, key=["IN_QUEUE", "PROCESSING", "COMPLETED"].index)
    assert told[-1].data == client.media(media["id"])


def until_completed(watch: Watch, media_id: str) -> list[Event]:
    events: list[Event] = []
    for event in watch:
        events.append(event)
        if event.kind == "completed" and event.data["id"] == media_id:
            break
    return events


ENDS: dict[str, dict[str, Any]] = {
    "COMPLETED": {},
    "ERROR": {"fail_first": 9, "error": "permanent"},
    "CANCELLED": SLOW,
}


@pytest.mark.parametrize("end", ENDS)
def test_a_media_that_has_ended_is_told_once(app: App, client: Client, end: str) -> None:
    media = client.generate(parameters=ENDS[end])
    if end == "CANCELLED":
        client.post(f"/media/{media['id']}/cancel").raise_for_status()
    client.until(media["id"], end)
    with watching(app.url, of(media)) as watch:
        (only,) = watch.rest()
    assert (only.kind, only.data) == ("completed", client.media(media["id"]))


def test_who_comes_back_after_the_last_event_is_told_to_stop(app: App, client: Client) -> None:
    media = client.completed()
    with watching(app.url, of(media)) as watch:
        (last,) = watch.rest()
    response = client.get(of(media), headers={"Last-Event-ID": str(last.id)})
    assert (response.status_code, response.content) == (204, b"")
    with watching(app.url, of(media), after=last.id - 1) as watch:
        assert watch.rest() == [last]


def test_a_media_that_is_tried_again_can_be_watched_again(app: App, client: Client) -> None:
    media = client.generate(parameters={"fail_first": 1, "error": "permanent"})
    client.until(media["id"], "ERROR")
    with watching(app.url, "/media/events") as watch:
        client.post(f"/media/{media['id']}/retry").raise_for_status()
        with watching(app.url, of(media)) as own:
            assert own.rest()[-1].data["status"] == "COMPLETED"
        assert watch.until("completed", id=media["id"]).data["status"] == "COMPLETED"


def test_a_deletion_is_told_and_ends_the_stream(app: App, client: Client) -> None:
    media = client.generate(parameters=SLOW)
    with watching(app.url, "/media/events") as all_, watching(app.url, of(media)) as watch:
        client.delete(f"/media/{media['id']}").raise_for_status()
        last = watch.rest()[-1]
        assert (last.kind, last.data) == ("deleted", {"media_id": media["id"]})
        all_.until("deleted", media_id=media["id"])
    assert client.get(of(media)).status_code == 404


def test_what_is_not_there_and_what_is_no_id_is_refused(client: Client) -> None:
    unknown = client.get("/media/01990000-0000-7000-8000-000000000000/events")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    assert client.get("/media/nothing/events").status_code == 422
    for wrong in ("x", "-1", "1.5", str(10**30)):
        refused = client.get("/media/events", headers={"Last-Event-ID": wrong})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["field"] == "Last-Event-ID"
    assert client.delete("/media/events").status_code == 405


# Coming back


def test_who_comes_back_is_told_once_how_those_are_that_changed_meanwhile(app: App, client: Client) -> None:
    with watching(app.url, "/media/events") as watch:
        first = client.generate()
        last_seen = watch.until("completed", id=first["id"]).id
    missed = [client.completed() for _ in range(3)]
    with watching(app.url, "/media/events", after=last_seen) as watch:
        told = [watch.until("completed", id=media["id"]) for media in missed]
        following = client.completed()
        watch.until("completed", id=following["id"])
    assert [event.data for event in told] == missed
    assert all(event.id > last_seen for event in told)


def test_who_was_cut_off_before_the_first_event_misses_nothing(app: App, client: Client) -> None:
    with watching(app.url, "/media/events") as watch:
        opened = next(watch.comments_too())
    media = client.completed()
    with watching(app.url, "/media/events", after=opened.id) as watch:
        assert next(watch.comments_too()).id == opened.id  # and so who is cut off again
        assert watch.until("completed", id=media["id"]).data == client.media(media["id"])


def test_who_was_away_for_long_is_told_only_what_the_last_lines_tell(
    app: App, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "CHUNKS", 1)
    monkeypatch.setattr(logs, "_BEFORE", logs._BEFORE.limit(4))
    older, newer = client.completed(), client.completed()
    with watching(app.url, "/media/events", after=0) as watch:
        following = client.completed()
        told = until_completed(watch, following["id"])
    ids = {event.data["id"] for event in told if "id" in event.data}
    assert ids == {newer["id"], following["id"]}
    assert older["id"] not in ids


def test_from_the_far_future_there_is_nothing_to_tell(app: App, client: Client) -> None:
    client.completed()
    with watching(app.url, "/media/events", after=id_at(datetime(9999, 1, 1, tzinfo=UTC))) as watch:
        media = client.generate()
        assert next(iter(watch)).data["id"] == media["id"]


# News that got lost


def test_a_change_without_news_is_found(app: App, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.engine.bus, "publish", lambda event: None)
    with watching(app.url, "/media/events") as everything:
        media = client.generate(parameters={"delay": 0.3})
        with watching(app.url, of(media)) as watch:
            last = watch.rest()[-1]
        assert (last.kind, last.data) == ("completed", client.media(media["id"]))
        assert everything.until("completed", id=media["id"]).data == last.data


def test_watchers_outlast_a_database_that_goes_away(run_app: RunApp, postgres_url: str) -> None:
    parts = urlsplit(postgres_url)
    with Proxy((parts.hostname or "", parts.port or 5432)) as proxy:
        user = parts.netloc.rpartition("@")[0]
        url = parts._replace(netloc=f"{user}@127.0.0.1:{proxy.port}").geturl()
        with run_app(database_url=url) as app, app.client() as client:
            media = client.generate(parameters={"delay": 0.5})
            with watching(app.url, of(media)) as watch:
                assert next(iter(watch)).kind == "status"
                with proxy.away():
                    time.sleep(1)  # the picture is made meanwhile, and its news cannot be told
                    assert client.get("/media/events").status_code == 503
                assert watch.rest()[-1].data["status"] == "COMPLETED"


# Many, and slow ones


def test_a_hundred_watchers_of_a_media_cost_a_few_reads_a_change(
    app: App, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = list[object]()
    read = rows.some
    media = client.generate(parameters=SLOW)
    client.until(media["id"], "PROCESSING")
    with Crowd(app.port, of(media), 100) as crowd:
        eventually(lambda: crowd.have_all(b"event: status"))
        monkeypatch.setattr(rows, "some", lambda connection, ids: (reads.append(ids), read(connection, ids))[1])
        client.post(f"/media/{media['id']}/cancel").raise_for_status()
        eventually(lambda: crowd.have_all(b"event: completed"))
    assert len(reads) < 10


def test_a_watcher_who_does_not_read_is_cut_off_and_holds_up_nobody(
    sqlite_app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audience, "LONGEST_QUEUE", 20)
    with (
        Crowd(sqlite_app.port, "/media/events", 1) as sleeper,
        watching(sqlite_app.url, "/media/events") as reader,
        capture_logs() as said,
    ):
        while not any(entry["event"] == "watcher_cut_off" for entry in said):
            show(sqlite_app, "x" * 200_000)
            reader.until("preview")
        eventually(lambda: sleeper.have_all(b"\r\n0\r\n\r\n"))
        show(sqlite_app, "the last")
        assert reader.until("preview").data["image"] == "the last"


def show(app: App, image: str) -> None:
    event = Previewed(uuid4(), uuid4(), datetime.now(UTC), image)
    app.loop.call_soon_threadsafe(app.engine.bus.publish, event)


def test_nothing_is_kept_of_callers_who_left(sqlite_app: App, client_of_sqlite: Client) -> None:
    bus = sqlite_app.engine.bus
    assert isinstance(bus, MemoryBus)
    media = client_of_sqlite.generate(parameters=SLOW)
    with Crowd(sqlite_app.port, of(media), 3) as some, Crowd(sqlite_app.port, "/media/events", 3) as others:
        eventually(lambda: some.have_all(b"event: status") and others.have_all(b": still here"))
        assert bus.hears(uuid4())
    eventually(lambda: not bus.hears(uuid4()))


def test_a_silent_stream_shows_that_it_is_alive(sqlite_app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audience, "SILENCE", 0.1)
    monkeypatch.setattr(feed, "LOOK_AGAIN", 0.1)
    with watching(sqlite_app.url, "/media/events") as watch:
        comments = [next(watch.comments_too()) for _ in range(4)]
    assert {(event.kind, event.comment) for event in comments} == {("", ": still here")}


def test_a_stream_is_alive_while_the_database_hangs(sqlite_app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audience, "SILENCE", 0.1)
    monkeypatch.setattr(feed, "LOOK_AGAIN", 0.1)
    monkeypatch.setattr(feed.Feed, "_look", lambda _: asyncio.Event().wait())
    with watching(sqlite_app.url, "/media/events") as watch:
        assert len([next(watch.comments_too()) for _ in range(4)]) == 4


def test_one_who_takes_nothing_is_left_without_an_error(
    sqlite_app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(streams, "PATIENCE", 0.2)
    with Crowd(sqlite_app.port, "/media/events", 1) as sleeper, capture_logs() as said:
        eventually(lambda: sleeper.have_all(b": still here"))

        def is_left() -> bool:
            show(sqlite_app, "x" * 200_000)
            return any(entry.get("reason") == "it does not read what it is sent" for entry in said)

        eventually(is_left)
    assert "Traceback" not in caplog.text


def test_who_sends_too_much_while_watching_is_cut_off_without_an_error(
    sqlite_app: App, caplog: pytest.LogCaptureFixture
) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield b"x" * 1_000_000

    waiting = scrape(sqlite_app.url).value("darkroom_watchers")
    with pytest.raises(httpx2.TransportError), httpx2.Client(trust_env=False) as caller:  # noqa: PT012
        request = caller.build_request("GET", f"{sqlite_app.url}/media/events", content=endless())
        for _ in caller.send(request, stream=True).iter_bytes():
            pass
    eventually(lambda: scrape(sqlite_app.url).value("darkroom_watchers") == waiting)
    assert "Traceback" not in caplog.text


def test_streams_end_when_the_service_stops(make_server: MakeServer, sqlite_url: str) -> None:
    server = make_server(database_url=sqlite_url, stop_grace=0).start()
    with server.client() as client:
        media = client.post("/media/generate", json={"prompt": "a", "model": "dummy", "parameters": SLOW}).json()
    with watching(server.url, "/media/events") as everything, watching(server.url, of(media)) as watch:
        assert next(iter(watch)).kind == "status"
        assert server.terminate() == 0
        assert all(event.kind != "completed" for event in [*watch.rest(), *everything.rest()])


# Previews


def test_a_picture_on_its_way_is_shown_small_and_not_too_often(
    sqlite_app: App, client_of_sqlite: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("darkroom.providers.sketch.provider._PREVIEW_FROM_PIXELS", 1)
    monkeypatch.setattr("darkroom.engine.runner.PREVIEW_INTERVAL", 60)
    with watching(sqlite_app.url, "/media/events") as watch:
        media = client_of_sqlite.generate(model="sketch", parameters={"n": 4, "width": 300, "height": 200})
        told = until_completed(watch, media["id"])
    (preview,) = [event for event in told if event.kind == "preview"]
    assert (preview.data["media_id"], preview.data["job_id"]) == (media["id"], media["job_id"])
    kind, _, image = preview.data["image"].partition(",")
    assert kind == "data:image/webp;base64"
    assert Image.open(io.BytesIO(base64.b64decode(image))).size == (128, 85)
    assert "preview" not in {
        line["event"] for line in client_of_sqlite.get(f"/media/{media['id']}/logs").json()["items"]
    }


@pytest.fixture
def client_of_sqlite(sqlite_app: App) -> Iterator[Client]:
    with sqlite_app.client() as client:
        yield client
