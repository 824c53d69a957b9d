"""The SDK when the network, a proxy or the service fails: nothing is made twice, and nobody waits for nothing."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from sdk_clients import connected, meddling, settled

from darkroom_client import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    CompletedEvent,
    DamagedFile,
    File,
    NotFound,
    RateLimited,
    Status,
    StatusEvent,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
    WaitTimeout,
)
from services.app import App, Client
from services.proxy import Proxy

Handler = Callable[[httpx2.Request], httpx2.Response]


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses are short."""
    monkeypatch.setattr("darkroom_client._asking.FIRST_PAUSE", 0.02)


@pytest.fixture
def proxy(sqlite_app: App) -> Iterator[Proxy]:
    with Proxy(("127.0.0.1", sqlite_app.port)) as proxy:
        yield proxy


@pytest.fixture
def beyond(kind: str, proxy: Proxy) -> Iterator[Any]:
    """A client that reaches the service through the proxy."""
    with connected(kind, f"http://127.0.0.1:{proxy.port}") as client:
        yield client


@pytest.fixture
def direct(sqlite_app: App) -> Iterator[Client]:
    with sqlite_app.client() as client:
        yield client


def losing(*numbers: int, error: type[httpx2.RequestError] = httpx2.ReadError) -> Callable[[int, httpx2.Request], None]:
    """Loses the answers with these numbers, after the service has given them."""

    def lose(number: int, request: httpx2.Request) -> None:
        if number in numbers:
            raise error("lost", request=request)

    return lose


# What is asked for again


@pytest.mark.parametrize("error", [httpx2.ReadError, httpx2.ReadTimeout, httpx2.RemoteProtocolError])
def test_an_answer_that_is_lost_makes_no_second_media(
    kind: str, sqlite_app: App, direct: Client, error: type[httpx2.RequestError]
) -> None:
    with connected(kind, sqlite_app.url, transport=meddling(kind, losing(1, 2, error=error))) as darkroom:
        media = darkroom.generate("a fox", model="dummy")
    assert [item["id"] for item in direct.listed()] == [media.id]


def test_two_requests_are_two_media_unless_they_have_one_key(kind: str, sqlite_app: App) -> None:
    with connected(kind, sqlite_app.url) as darkroom:
        one, other = (darkroom.submit("a fox", model="dummy") for _ in range(2))
        assert one.id != other.id
        one, other = (darkroom.submit("a fox", model="dummy", idempotency_key="order-4711") for _ in range(2))
        assert one.id == other.id


def test_what_may_have_been_done_is_not_asked_for_again(kind: str, sqlite_app: App, direct: Client) -> None:
    media = direct.generate(parameters={"delay": 60})
    seen: list[str] = []

    def lose(number: int, request: httpx2.Request) -> None:
        seen.append(request.url.path)
        raise httpx2.ReadError("lost", request=request)

    with (
        connected(kind, sqlite_app.url, transport=meddling(kind, lose)) as darkroom,
        pytest.raises(APIConnectionError) as raised,
    ):
        darkroom.cancel(media["id"])
    assert raised.value.sent
    assert seen == [f"/media/{media['id']}/cancel"]
    direct.until(media["id"], "CANCELLED")


def test_what_was_deleted_before_the_answer_got_lost_is_deleted(kind: str, sqlite_app: App, direct: Client) -> None:
    media = direct.completed()
    with connected(kind, sqlite_app.url, transport=meddling(kind, losing(1))) as darkroom:
        darkroom.delete(media["id"])
        with pytest.raises(NotFound):
            darkroom.delete(media["id"])


def test_who_gives_up_says_that_nothing_answers(kind: str, sqlite_app: App, proxy: Proxy) -> None:
    with (
        connected(kind, f"http://127.0.0.1:{proxy.port}", max_retries=1) as darkroom,
        proxy.away(),
        pytest.raises(APIConnectionError, match="does not answer") as raised,
    ):
        darkroom.models()
    assert not raised.value.sent
    assert raised.value.retryable


def test_what_answers_too_late_is_a_timeout(kind: str, proxy: Proxy) -> None:
    with connected(kind, f"http://127.0.0.1:{proxy.port}", timeout=0.2, max_retries=0) as darkroom:
        proxy.stall()
        with pytest.raises(APITimeoutError) as raised:
            darkroom.models()
    assert isinstance(raised.value, TimeoutError)


@pytest.mark.parametrize("error", [httpx2.LocalProtocolError, httpx2.UnsupportedProtocol])
@pytest.mark.parametrize("call", ["models", "submit", "cancel", "stream", "events", "read"])
def test_what_is_refused_on_this_side_is_not_asked_again(
    kind: str, call: str, error: type[httpx2.RequestError]
) -> None:
    asked = []

    def refuse(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        raise error("Illegal header value", request=request)

    given = {"models": (), "events": (), "read": (made(),)}.get(call, ("4711",))
    with (
        connected(kind, "http://darkroom", transport=httpx2.MockTransport(refuse)) as darkroom,
        pytest.raises(APIConnectionError, match="cannot be sent: Illegal header value") as raised,
    ):
        list(getattr(darkroom, call)(*given))
    assert (len(asked), raised.value.sent, raised.value.retryable) == (1, False, False)


def made() -> File:
    return File(media_id="4711", index=0, content_type="image/png", width=1, height=1, bytes=4, sha256="")


# Streams that break


def test_a_stream_goes_on_after_its_connection_was_cut(beyond: Any, proxy: Proxy) -> None:
    media = beyond.submit("a fox", model="dummy", delay=1.5, steps=6)
    stream = beyond.stream(media)
    events = [next(stream)]
    with proxy.away():
        pass
    events += stream
    assert isinstance(events[0], StatusEvent)
    assert isinstance(events[-1], CompletedEvent)
    assert [isinstance(event, CompletedEvent) for event in events].count(True) == 1


def test_the_stream_of_all_media_misses_nothing_while_it_is_cut(beyond: Any, proxy: Proxy, direct: Client) -> None:
    stream = beyond.events()
    first = direct.generate()
    until_completed(stream, first["id"])
    with proxy.away():
        second = direct.completed()
    assert until_completed(stream, second["id"]).media.status == Status.COMPLETED
    stream.close()


def until_completed(stream: Any, media_id: str) -> CompletedEvent[Any]:
    for event in stream:
        if isinstance(event, CompletedEvent) and event.media_id == media_id:
            return event
    raise AssertionError("the stream ended")


def test_who_waits_does_not_notice_that_the_connection_was_cut(beyond: Any, proxy: Proxy) -> None:
    told: list[str] = []

    def cut_once(progress: Any) -> None:
        if not told:
            with proxy.away():
                told.append(progress.status)

    media = beyond.generate("a fox", model="dummy", delay=0.6, steps=3, on_progress=cut_once)
    assert media.status == Status.COMPLETED
    assert told


def test_where_no_stream_gets_through_one_polls(kind: str, sqlite_app: App) -> None:
    asked: list[str] = []

    def refuse_streams(number: int, request: httpx2.Request) -> None:
        asked.append(request.url.path.rpartition("/")[2])
        if asked[-1] == "events":
            raise httpx2.RemoteProtocolError("no stream gets through", request=request)

    told: list[str] = []
    with connected(kind, sqlite_app.url, transport=meddling(kind, refuse_streams)) as darkroom:
        media = darkroom.generate("a fox", model="dummy", delay=0.5, on_progress=lambda p: told.append(p.status))
        assert media.status == Status.COMPLETED
        assert darkroom.read(media.files[0])
    assert asked.count("events") == 2
    assert "status" in asked
    assert told[-1] == "COMPLETED"


def test_who_waits_with_a_limit_is_not_kept_by_a_service_that_is_away(beyond: Any, proxy: Proxy) -> None:
    media = beyond.submit("a fox", model="dummy", delay=60)
    began = time.monotonic()
    with proxy.away(), pytest.raises(WaitTimeout):
        beyond.wait(media, timeout=1.5)
    assert 1.4 < time.monotonic() - began < 10
    beyond.cancel(media)


# Downloads that break


def serving(*bodies: bytes, sha256: str, size: int) -> Handler:
    """A service with one media, whose picture arrives as `bodies`, one a try."""
    left = list(bodies)

    def answer(request: httpx2.Request) -> httpx2.Response:
        if "/files/" in request.url.path:
            return httpx2.Response(200, content=left.pop(0), headers={"content-type": "image/png"})
        file = {"index": 0, "content_type": "image/png", "width": 1, "height": 1, "bytes": size, "sha256": sha256}
        return httpx2.Response(200, json=media_json(status="COMPLETED", files=[file]))

    return answer


def media_json(**fields: Any) -> dict[str, Any]:
    at = "2026-11-23T12:00:00Z"
    known = {"id": str(uuid4()), "job_id": str(uuid4()), "status": "IN_QUEUE", "model": "dummy", "prompt": "a fox"}
    return {**known, "created_at": at, "updated_at": at, **fields}


@pytest.mark.parametrize(("came", "message"), [(b"othr", "not those"), (b"too long", "8 bytes came, and 4")])
def test_damaged_bytes_are_never_saved(kind: str, tmp_path: Path, came: bytes, message: str) -> None:
    right = hashlib.sha256(b"true").hexdigest()
    transport = httpx2.MockTransport(serving(came, came, b"true", sha256=right, size=4))
    target = tmp_path / "fox.png"
    target.write_bytes(b"before")
    with connected(kind, "http://darkroom", transport=transport) as darkroom:
        file = darkroom.get(uuid4()).files[0]
        with pytest.raises(DamagedFile, match=message):
            settled(darkroom, file.save(target))
        with pytest.raises(DamagedFile, match=message):
            darkroom.read(file)
        assert (target.read_bytes(), list(tmp_path.iterdir())) == (b"before", [target])
        settled(darkroom, file.save(target))
    assert (target.read_bytes(), list(tmp_path.iterdir())) == (b"true", [target])


def test_a_download_that_is_cut_begins_anew(kind: str, sqlite_app: App, tmp_path: Path) -> None:
    with connected(kind, sqlite_app.url) as darkroom:
        media = darkroom.generate("a fox", model="dummy", width=512)
    broken = meddling(kind, losing(1))
    with connected(kind, sqlite_app.url, transport=broken) as darkroom:
        (path,) = darkroom.download(media, tmp_path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == media.files[0].sha256


# Answers that say no


def answering(*answers: httpx2.Response) -> tuple[httpx2.MockTransport, list[httpx2.Request]]:
    """A service that answers so, one after the other; what it was asked."""
    left, asked = list(answers), []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return left.pop(0)

    return httpx2.MockTransport(answer), asked


def problem(status: int, **headers: str) -> httpx2.Response:
    body = {"status": status, "title": "No", "detail": "not now", "code": "so_it_is", "errors": []}
    return httpx2.Response(status, json=body, headers=headers)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_service_that_is_busy_is_asked_again_with_the_same_key(kind: str, status: int) -> None:
    transport, asked = answering(problem(status, **{"Retry-After": "0"}), httpx2.Response(202, json=media_json()))
    with connected(kind, "http://darkroom", transport=transport) as darkroom:
        darkroom.submit("a fox")
    first, second = asked
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.content == second.content == b'{"prompt":"a fox"}'


@pytest.mark.parametrize("status", [400, 401, 402, 403, 409, 413, 415, 418, 422, 500])
def test_other_refusals_are_final(kind: str, status: int) -> None:
    transport, asked = answering(problem(status, **{"X-Request-ID": "r-1"}))
    with connected(kind, "http://darkroom", transport=transport) as darkroom, pytest.raises(APIError) as raised:
        darkroom.submit("a fox")
    error = raised.value
    assert (error.status, error.code, error.title, error.detail) == (status, "so_it_is", "No", "not now")
    assert (error.request_id, error.retryable, len(asked)) == ("r-1", False, 1)
    assert str(error) == f"{status} so_it_is: not now"
    assert isinstance(error, Unauthorized) == (status == 401)


def test_retry_after_is_kept_to(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("darkroom_client._asking.LONGEST_ASKED_FOR", 2)
    transport, _ = answering(
        problem(503, **{"Retry-After": "1"}),
        problem(429, **{"Retry-After": "3"}),
    )
    began = time.monotonic()
    with connected(kind, "http://darkroom", transport=transport) as darkroom, pytest.raises(RateLimited) as raised:
        darkroom.models()
    assert 1 <= time.monotonic() - began < 3, "who is asked to wait for too long is told"
    assert raised.value.retry_after == 3


def test_retry_after_may_be_a_date(kind: str) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    transport, _ = answering(problem(503, **{"Retry-After": later}))
    with connected(kind, "http://darkroom", transport=transport) as darkroom, pytest.raises(Unavailable) as raised:
        darkroom.models()
    assert 3500 < raised.value.retry_after <= 3600


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (httpx2.Response(200, text="<html>"), "no Darkroom"),
        (httpx2.Response(200, json=[]), "no Darkroom"),
        (httpx2.Response(200, json={"id": "x"}), "without 'job_id'"),
        (httpx2.Response(200, json=media_json(created_at="yesterday")), "'created_at'"),
        (httpx2.Response(200, json=media_json(files=["x"])), "files"),
    ],
)
def test_what_is_no_darkroom_is_told_apart(kind: str, response: httpx2.Response, message: str) -> None:
    transport, _ = answering(httpx2.Response(200, content=response.content))
    with (
        connected(kind, "http://other", transport=transport) as darkroom,
        pytest.raises(UnexpectedAnswer, match=message),
    ):
        darkroom.get(uuid4())


def test_a_proxy_that_says_no_in_its_own_words_is_understood(kind: str) -> None:
    transport, _ = answering(httpx2.Response(404, text="no such site"))
    with connected(kind, "http://other", transport=transport) as darkroom, pytest.raises(NotFound) as raised:
        darkroom.get(uuid4())
    assert str(raised.value) == "404 not_found: no such site"


def test_a_service_may_be_below_a_path(kind: str) -> None:
    transport, asked = answering(httpx2.Response(200, json={"items": []}), httpx2.Response(404))
    with connected(kind, "https://example.com/darkroom/", transport=transport) as darkroom:
        assert darkroom.models() == ()
        with pytest.raises(NotFound):
            darkroom.model("black-forest-labs/flux 1")
    assert [str(each.url) for each in asked] == [
        "https://example.com/darkroom/models",
        "https://example.com/darkroom/models/black-forest-labs%2Fflux%201",
    ]


def test_a_redirect_says_where_it_leads(kind: str) -> None:
    transport, _ = answering(httpx2.Response(308, headers={"location": "https://darkroom/media"}))
    with (
        connected(kind, "http://darkroom", transport=transport) as darkroom,
        pytest.raises(APIError, match="it is elsewhere: https://darkroom/media"),
    ):
        darkroom.models()


def test_a_newer_service_is_understood(kind: str) -> None:
    newer = media_json(status="THINKING", progress={"step": 1, "total": 3, "eta": 4}, mood="good", tags=["a"])
    transport, _ = answering(httpx2.Response(200, json=newer))
    with connected(kind, "http://darkroom", transport=transport) as darkroom:
        media = darkroom.get(newer["id"])
    assert (media.status, media.ended, media.progress.fraction, media.tags) == ("THINKING", False, 1 / 3, ("a",))
    assert media.progress.status == "THINKING"
    assert media.raw["mood"] == "good"
    json.dumps(media.raw)
