"""Pictures are fetched from where callers say, through the guard, within bounds."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from threading import Event
from typing import Any

import pytest
from PIL import Image

from darkroom.engine import fetching
from darkroom.engine.fetching import AT_ONE_HOST, Fetcher
from darkroom.errors import InvalidRequest
from darkroom.security.egress import Egress
from darkroom.security.names import Busy
from services.app import App, RunApp
from services.server import eventually
from services.targets import HERE, Reply, Target


def png(size: tuple[int, int] = (32, 24)) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", size, "teal").save(content, "PNG")
    return content.getvalue()


PICTURE = Reply(200, {"Content-Type": "image/png"}, png())


@pytest.fixture
def service(run_app: RunApp, sqlite_url: str) -> Iterator[App]:
    settings = {"egress_allow": [HERE], "starter_models": False, "max_upload_bytes": 100_000}
    with run_app(database_url=sqlite_url, **settings) as app:
        yield app


def asked(app: App, image: str) -> Any:
    with app.client() as client:
        request = {"prompt": "a pier", "model": "sketch", "parameters": {"width": 64, "height": 64}, "image": image}
        return client.post("/media/generate", json=request)


def refused(app: App, image: str, status: int = 422) -> str:
    response = asked(app, image)
    assert response.status_code == status, response.text
    (error,) = response.json()["errors"]
    assert error["field"] == "parameters.image"
    return str(error["message"])


def test_a_picture_is_fetched_and_kept(service: App, target: Target) -> None:
    target.reply = PICTURE
    response = asked(service, target.url)
    assert response.status_code == 202
    with service.client() as client:
        stored = client.get(f"/files/{response.json()['parameters']['image']}").json()
        assert (stored["width"], stored["height"]) == (32, 24)
        client.until(response.json()["id"], "COMPLETED")
    assert [(heard.method, heard.headers["accept-encoding"]) for heard in target.heard] == [("GET", "identity")]


def test_a_redirect_is_followed_as_if_it_were_asked_for(service: App, target: Target) -> None:
    target.replies = [Reply(302, {"Location": "/there"}), PICTURE]
    assert asked(service, target.url).status_code == 202
    assert [heard.path for heard in target.heard] == ["/told", "/there"]


@pytest.mark.parametrize(
    ("location", "what"),
    [
        ("http://127.0.0.2:{port}/", "DARKROOM_EGRESS_ALLOW"),
        ("https://10.0.0.1/", "public internet"),
        ("file:///etc/passwd", "https address"),
        ("https://localhost/", "public internet"),
    ],
)
def test_a_redirect_that_leads_inside_is_not_followed(service: App, target: Target, location: str, what: str) -> None:
    target.reply = Reply(302, {"Location": location.format(port=target.port)})
    assert what in refused(service, target.url)
    assert len(target.heard) == 1


def test_redirects_in_a_circle_end(service: App, target: Target) -> None:
    target.reply = Reply(302, {"Location": target.url})
    assert "redirects too often" in refused(service, target.url)


@pytest.mark.parametrize(
    ("reply", "status", "what"),
    [
        (Reply(404), 422, "answers 404"),
        (Reply(200, {"Content-Type": "text/html"}, b"<!doctype html><title>no</title>"), 422, "HTML"),
        (Reply(200, {}, b"x" * 100_001), 413, "more than 100000 bytes"),
        (Reply(200, {"Content-Encoding": "gzip"}, png()), 422, "compressed"),
    ],
)
def test_what_is_no_picture_is_refused_with_the_reason(
    service: App, target: Target, reply: Reply, status: int, what: str
) -> None:
    target.reply = reply
    assert what in refused(service, target.url, status)


def test_one_that_does_not_come_is_given_up(service: App, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "TIMEOUT", 0.2)
    release = Event()
    target.reply = Reply(after=release)
    try:
        assert "did not come within 0.2 s" in refused(service, target.url)
    finally:
        release.set()


@asynccontextmanager
async def fetching_from(*allowed: str) -> AsyncIterator[Fetcher]:
    egress = Egress(allowed)
    try:
        yield Fetcher(egress, most=100_000)
    finally:
        await egress.aclose()


async def has_heard(target: Target, number: int) -> None:
    await asyncio.to_thread(eventually, lambda: len(target.heard) == number)


def test_a_slow_host_takes_no_more_than_its_places_and_others_are_asked_meanwhile(target: Target) -> None:
    release = Event()
    target.reply = Reply(200, {}, png(), after=release)

    async def work(other: Target) -> list[bytes]:
        async with fetching_from(HERE, "localhost") as fetch, asyncio.TaskGroup() as tasks:
            slow = [tasks.create_task(fetch(target.url)) for _ in range(2 * AT_ONE_HOST)]
            await has_heard(target, AT_ONE_HOST)
            fast = await fetch(other.url.replace(HERE, "localhost"))
            assert len(target.heard) == AT_ONE_HOST
            release.set()
        return [fast, *(task.result() for task in slow)]

    with Target().running() as other:
        other.reply = PICTURE
        try:
            assert asyncio.run(work(other)) == [png()] * (2 * AT_ONE_HOST + 1)
        finally:
            release.set()


def test_the_time_for_a_picture_starts_when_it_is_its_turn(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "TIMEOUT", 0.5)
    monkeypatch.setattr(fetching, "AT_ONE_HOST", 1)
    release = Event()
    target.replies, target.reply = [Reply(after=release)], PICTURE

    async def work() -> list[bytes | BaseException]:
        async with fetching_from(HERE) as fetch:
            first = asyncio.create_task(fetch(target.url))
            await has_heard(target, 1)
            return await asyncio.gather(first, fetch(target.url), return_exceptions=True)

    try:
        slow, fast = asyncio.run(work())
    finally:
        release.set()
    assert isinstance(slow, InvalidRequest)
    assert fast == png()


def test_a_picture_whose_turn_does_not_come_is_to_be_asked_for_again(
    service: App, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "PATIENCE", 0.2)
    release = Event()
    target.reply = Reply(200, {}, png(), after=release)
    with ThreadPoolExecutor(AT_ONE_HOST) as pool:
        slow = [pool.submit(asked, service, target.url) for _ in range(AT_ONE_HOST)]
        try:
            eventually(lambda: len(target.heard) == AT_ONE_HOST)
            late = asked(service, target.url)
        finally:
            release.set()
    assert (late.status_code, late.json()["code"]) == (503, "unavailable")
    assert int(late.headers["Retry-After"]) >= 1
    assert [each.result().status_code for each in slow] == [202] * AT_ONE_HOST
    assert asked(service, target.url).status_code == 202


def test_a_name_whose_turn_does_not_come_is_to_be_asked_for_again(service: App) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise Busy

    service.engine.egress._resolve = resolve
    late = asked(service, "https://pictures.example.com/1.png")
    assert (late.status_code, late.json()["code"]) == (503, "unavailable")


@pytest.mark.parametrize(
    ("reply", "what"),
    [
        (Reply(200, {"gar bage": "garbage" * 1000}), "does not speak HTTP"),
        (Reply(200, {"Content-Length": "garbage" * 1000}), "does not speak HTTP"),
        (Reply(302, {"Location": "http://garbage:garbage/"}), "leads to one that is none"),
        (Reply(302, {"Location": "https://gar\x01bage/"}), "leads to one that is none"),
    ],
)
def test_what_the_other_side_says_is_not_passed_on(service: App, target: Target, reply: Reply, what: str) -> None:
    target.reply = reply
    response = asked(service, target.url)
    assert response.status_code == 422
    assert what in response.json()["detail"]
    assert len(response.json()["detail"]) <= 200
    assert "bage" not in response.text


def test_an_inner_address_is_refused_at_once(run_app: RunApp, sqlite_url: str, target: Target) -> None:
    with run_app(database_url=sqlite_url, starter_models=False) as app:
        for url in (target.url, target.url.replace("http", "https"), "https://[::1]/"):
            refused(app, url)
    assert target.heard == []
