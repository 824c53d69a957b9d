"""The unmodified `fal_client`, pointed at us: only its address is changed."""

import asyncio
import base64
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import fal_client.client
import httpx
import pytest
from fal_client import (
    AsyncClient,
    Completed,
    FalClientHTTPError,
    FalClientTimeoutError,
    InProgress,
    Queued,
    Status,
    SyncClient,
    SyncRequestHandle,
    encode_image,
)
from httpx_sse import SSEError, connect_sse
from PIL import Image

from darkroom.media.model import Webhook
from services.app import App, OverTls, RunApp
from services.backends.base import Fake
from services.backends.fal import FalFake
from services.databases import migrate
from services.scraped import scrape
from services.server import eventually
from services.targets import HERE, Target

CALLS = Path(__file__).parent / "clients" / "fal_calls.py"
SKETCH = "darkroom/sketch"
DUMMY = "darkroom/dummy"
WISH = {"prompt": "a pier at dusk"}
SMALL = {**WISH, "image_size": {"width": 64, "height": 48}}
SLOW = {**WISH, "delay": 60, "num_inference_steps": 600}
PERMANENT = {**WISH, "error": "permanent", "error_rate": 1}
GIVEN_UP = {**WISH, "error": "transient", "error_rate": 1}
REJECTED = {**WISH, "error": "rejected", "error_rate": 1}
NOWHERE = str(uuid4())


@contextmanager
def client_at(app: App) -> Iterator[SyncClient]:
    """A client as if its environment had named `app` when it was imported."""
    client = SyncClient(key="any")
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor() as pool:
        patch.setattr(fal_client.client, "EXECUTOR", pool)
        patch.setattr(fal_client.client, "RUN_URL_FORMAT", f"{app.url}/fal/run/")
        patch.setattr(fal_client.client, "QUEUE_URL_FORMAT", f"{app.url}/fal/queue/")
        yield client
    client._client.close()


@pytest.fixture
def service(run_app: RunApp, sqlite_url: str) -> Iterator[App]:
    with run_app(database_url=sqlite_url, starter_models=False) as app:
        yield app


@pytest.fixture
def fal(service: App) -> Iterator[SyncClient]:
    with client_at(service) as client:
        yield client


@pytest.fixture
async def aside(service: App, fal: SyncClient) -> AsyncIterator[AsyncClient]:
    """A client for asynchronous calls."""
    client = AsyncClient(key="any")
    yield client
    await (await client._client).aclose()


def content_of(image: dict[str, Any]) -> bytes:
    url: str = image["url"]
    if url.startswith("data:"):
        return base64.b64decode(url.partition(",")[2])
    return httpx.get(url).raise_for_status().content


def size_of(image: dict[str, Any]) -> tuple[int, int]:
    with Image.open(io.BytesIO(content_of(image))) as picture:
        picture.load()
        assert picture.size == (image["width"], image["height"])
        return picture.size


def sizes_of(result: dict[str, Any]) -> list[tuple[int, int]]:
    return [size_of(image) for image in result["images"]]


def colour_of(image: dict[str, Any]) -> tuple[int, ...]:
    with Image.open(io.BytesIO(content_of(image))) as picture:
        pixel = picture.convert("RGB").getpixel((picture.width // 2, picture.height // 2))
        assert isinstance(pixel, tuple)
        return pixel


def is_teal(image: dict[str, Any]) -> bool:
    red, green, blue = colour_of(image)
    return red < 20 and green > 110 and blue > 110


def until(handle: SyncRequestHandle, kind: type[Status], *, with_logs: bool = False) -> Any:
    deadline = time.monotonic() + 20
    while not isinstance(status := handle.status(with_logs=with_logs), kind):
        assert time.monotonic() < deadline, status
        time.sleep(0.01)
    return status


def media(app: App) -> list[dict[str, Any]]:
    with app.client() as client:
        return client.listed()


def asked(app: App, method: str, path: str, **options: Any) -> httpx.Response:
    return httpx.request(method, f"{app.url}/fal{path}", timeout=30, **options)


def events_of(app: App, path: str) -> list[dict[str, Any]]:
    """The data of a stream's events; there must be nothing in it but these and comments."""
    text = asked(app, "GET", path).raise_for_status().text
    lines = [line for line in text.splitlines() if line and not line.startswith(":")]
    assert all(line.startswith("data: ") for line in lines), text
    return [json.loads(line.removeprefix("data: ")) for line in lines]


# With nothing but its environment


def test_an_application_only_changes_the_address(over_tls: OverTls) -> None:
    host = f"127.0.0.1:{over_tls.port}/fal"
    environment = {
        **os.environ, "FAL_KEY": "any", "FAL_RUN_HOST": f"{host}/run", "FAL_QUEUE_RUN_HOST": f"{host}/queue",
        "SSL_CERT_FILE": str(over_tls.trusted),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, CALLS], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


# Running


def test_run_gives_links_to_pictures(app: App) -> None:
    with client_at(app) as fal:
        result = fal.run(SKETCH, {**SMALL, "num_images": 2, "seed": 7})
    assert sizes_of(result) == [(64, 48), (64, 48)]
    first = result["images"][0]
    assert first["url"].startswith(f"{app.url}/media/")
    assert (first["content_type"], first["file_name"]) == ("image/png", "0.png")
    assert first["file_size"] == len(content_of(first))
    assert (result["seed"], result["prompt"]) == (7, WISH["prompt"])
    assert result["has_nsfw_concepts"] == [False, False]
    assert result["timings"]["inference"] >= 0


async def test_async_run_does_the_same(aside: AsyncClient) -> None:
    assert sizes_of(await aside.run(SKETCH, SMALL)) == [(64, 48)]


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ("square_hd", (1024, 1024)),
        ("square", (512, 512)),
        ("portrait_4_3", (768, 1024)),
        ("portrait_16_9", (576, 1024)),
        ("landscape_4_3", (1024, 768)),
        ("landscape_16_9", (1024, 576)),
        ({"width": 70, "height": 50}, (70, 50)),
    ],
)
def test_sizes_are_those_of_fal(fal: SyncClient, given: Any, size: tuple[int, int]) -> None:
    assert sizes_of(fal.run(DUMMY, {**WISH, "image_size": given})) == [size]


def test_what_applications_write_for_other_apps_is_understood(fal: SyncClient, service: App) -> None:
    wish: dict[str, Any] = {
        **WISH, "aspect_ratio": "16:9", "num_images": 2, "num_inference_steps": 3, "output_format": "jpeg",
        "enable_safety_checker": True, "sync_mode": False, "acceleration": "high", "seed": None, "negative_prompt": "",
        "loras": [], "expand_prompt": False,
    }  # fmt: skip
    result = fal.run(DUMMY, wish)
    assert sizes_of(result) == [(1360, 768), (1360, 768)]
    assert result["images"][0]["content_type"] == "image/jpeg"
    made = media(service)[0]["parameters"]
    assert {name: made[name] for name in ("n", "steps", "output_format")} == {
        "n": 2, "steps": 3, "output_format": "jpeg",
    }  # fmt: skip


def test_what_the_app_at_fal_takes_beyond_ours_reaches_it(run_app: RunApp, sqlite_url: str) -> None:
    app_id = "fal-ai/flux/schnell"
    given = {
        "enable_safety_checker": False,
        "loras": [{"path": "https://example.org/a"}],
        "enable_prompt_expansion": True,
    }
    with FalFake().running() as hosted:
        account = {"url": hosted.url, "key": Fake.key, "options": {"catalogue": f"{hosted.url}/v1", "poll": 0.01}}
        models = {"flux": {"routes": [{"provider": "fal", "model": app_id}]}}
        with (
            run_app(database_url=sqlite_url, accounts={"fal": account}, models=models) as app,
            client_at(app) as fal,
        ):
            assert len(fal.run(app_id, {**WISH, **given, "sync_mode": True})["images"]) == 1
            sent = hosted.created[-1].body
            assert {name: sent.get(name) for name in given} == given
            assert "sync_mode" not in sent
            with pytest.raises(FalClientHTTPError, match="resolution"):
                fal.run(app_id, {**WISH, "resolution": "4K"})


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ({"aspect_ratio": "auto"}, (16, 16)),
        ({"image_size": "square", "aspect_ratio": "16:9"}, (512, 512)),
        ({"image_size": "auto", "aspect_ratio": "16:9"}, (1360, 768)),
    ],
)
def test_of_a_size_and_a_shape_the_size_counts(fal: SyncClient, given: dict[str, Any], size: tuple[int, int]) -> None:
    assert sizes_of(fal.run(DUMMY, {**WISH, **given})) == [size]


@pytest.mark.parametrize("path", ["", "/", "//"])
def test_a_path_may_be_nothing_but_a_slash(fal: SyncClient, path: str) -> None:
    assert sizes_of(fal.run(SKETCH, SMALL, path=path)) == [(64, 48)]
    handle = fal.submit(SKETCH, SMALL, path=path)
    assert sizes_of(handle.get()) == [(64, 48)]
    assert isinstance(fal.status(SKETCH, handle.request_id), Completed)


@pytest.mark.parametrize("path", ["sketch", "/sketch"])
def test_a_path_is_a_part_of_the_apps_id(fal: SyncClient, path: str) -> None:
    assert sizes_of(fal.run("fal-ai/pictures", SMALL, path=path)) == [(64, 48)]
    assert sizes_of(fal.subscribe("fal-ai/pictures", SMALL, path=path)) == [(64, 48)]


def test_sync_mode_puts_the_pictures_into_the_result(fal: SyncClient) -> None:
    wish = {**SMALL, "sync_mode": True}
    for result in (fal.run(SKETCH, wish), fal.subscribe(SKETCH, wish), list(fal.stream(SKETCH, wish))[-1]):
        assert result["images"][0]["url"].startswith("data:image/png;base64,")
        assert sizes_of(result) == [(64, 48)]


def test_what_no_worker_begins_in_time_is_cancelled(run_app: RunApp, sqlite_url: str) -> None:
    with run_app(database_url=sqlite_url, working=False) as app, client_at(app) as fal:
        with pytest.raises(FalClientHTTPError, match=r"no worker began within 1\.01 seconds") as raised:
            fal.run(DUMMY, WISH, start_timeout=1.01)
        assert (raised.value.status_code, raised.value.error_type) == (504, "request_timeout")
        assert [each["status"] for each in media(app)] == ["CANCELLED"]


def test_what_a_worker_has_begun_in_time_may_take_longer(fal: SyncClient) -> None:
    assert sizes_of(fal.run(DUMMY, {**WISH, "delay": 1.5}, start_timeout=1.01)) == [(16, 16)]


def test_a_service_that_stops_says_where_the_request_goes_on(run_app: RunApp, sqlite_url: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        with run_app(database_url=sqlite_url, starter_models=False) as app, client_at(app) as fal:
            answer = pool.submit(fal.run, DUMMY, SLOW)
            eventually(lambda: [each["status"] for each in media(app)] == ["PROCESSING"])
            known = media(app)[0]["id"]
            app.loop.call_soon_threadsafe(app.engine.begin_stop)
            with pytest.raises(FalClientHTTPError, match=f"request {known} goes on") as raised:
                answer.result(timeout=20)
        assert raised.value.status_code == 503


def test_one_who_has_left_is_not_waited_for(fal: SyncClient, service: App) -> None:
    waiting = scrape(service.url).value("darkroom_watchers")
    with pytest.raises(httpx.ReadTimeout):
        fal.run(DUMMY, {**WISH, "delay": 1.5}, timeout=0.2, start_timeout=60)
    eventually(lambda: scrape(service.url).value("darkroom_watchers") == waiting)
    eventually(lambda: [each["status"] for each in media(service)] == ["COMPLETED"])


def test_a_run_that_loses_patience_over_and_over_is_one_media(run_app: RunApp, database_url: str) -> None:
    with run_app(database_url=database_url) as app, client_at(app) as fal:
        assert sizes_of(fal.run(DUMMY, {**WISH, "delay": 2}, timeout=0.5)) == [(16, 16)]
        assert len(media(app)) == 1
        fal.run(DUMMY, {**WISH, "delay": 2})  # nobody left this time: another picture
        assert len(media(app)) == 2


def test_what_one_left_is_one_others_only(run_app: RunApp, database_url: str) -> None:
    with run_app(database_url=database_url) as app, ThreadPoolExecutor(2) as pool:
        wish = {**WISH, "delay": 1.5}
        assert_left(app, wish)
        answers = list(pool.map(lambda _: ask(app, wish), range(2)))
        ids = {answer.headers["x-fal-request-id"] for answer in answers}
        assert len(ids) == len(media(app)) == 2


def test_other_arguments_and_keys_are_other_pictures(run_app: RunApp, sqlite_url: str) -> None:
    with run_app(database_url=sqlite_url) as app:
        wish = {**WISH, "delay": 1}
        assert_left(app, wish)
        ask(app, {**wish, "seed": 2})
        ask(app, wish, **{"Idempotency-Key": "one"})
        assert len(media(app)) == 3


def test_what_has_a_key_is_for_those_who_have_it(run_app: RunApp, sqlite_url: str) -> None:
    with run_app(database_url=sqlite_url) as app:
        wish, key = {**WISH, "delay": 1}, {"Idempotency-Key": "one"}
        assert_left(app, wish, **key)
        ask(app, wish)
        assert len(media(app)) == 2
        ask(app, wish, **key)
        assert len(media(app)) == 2


def test_what_failed_after_its_caller_left_is_made_anew(run_app: RunApp, sqlite_url: str) -> None:
    with run_app(database_url=sqlite_url) as app, app.client() as native:
        wish = {**WISH, "delay": 1}
        assert_left(app, wish)
        native.post(f"/media/{media(app)[0]['id']}/cancel").raise_for_status()
        eventually(lambda: media(app)[0]["status"] == "CANCELLED")
        assert ask(app, wish).status_code == 200
        assert len(media(app)) == 2


def test_a_run_that_the_service_stopped_for_goes_on_for_who_asks_anew(run_app: RunApp, database_url: str) -> None:
    wish = {**WISH, "delay": 3}
    with ThreadPoolExecutor(1) as pool, run_app(database_url=database_url) as app:
        answer = pool.submit(ask, app, wish)
        eventually(lambda: [each["status"] for each in media(app)] == ["PROCESSING"])
        known = media(app)[0]["id"]
        app.loop.call_soon_threadsafe(app.engine.begin_stop)
        assert answer.result().status_code == 503
    with run_app(database_url=database_url) as app:
        assert ask(app, wish).headers["x-fal-request-id"] == known


def ask(app: App, wish: dict[str, Any], *, timeout: float = 20, **headers: str) -> httpx.Response:
    """Run it once, by hand."""
    return httpx.post(f"{app.url}/fal/run/{DUMMY}", json=wish, headers=headers, timeout=timeout)


def assert_left(app: App, wish: dict[str, Any], **headers: str) -> None:
    """Run it, and leave before it is made."""
    waiting = scrape(app.url).value("darkroom_watchers")
    with pytest.raises(httpx.ReadTimeout):
        ask(app, wish, timeout=0.2, **headers)
    eventually(lambda: scrape(app.url).value("darkroom_watchers") == waiting)
    [left] = media(app)
    assert left["status"] in ("IN_QUEUE", "PROCESSING")


@pytest.mark.parametrize(
    ("wish", "status", "kind", "again"),
    [
        (PERMANENT, 422, "provider_failed", "false"),
        (REJECTED, 422, "content_policy_violation", "false"),
        (GIVEN_UP, 500, "runner_server_error", "true"),
    ],
)
def test_a_failure_is_an_error_that_no_client_retries(
    fal: SyncClient, service: App, wish: dict[str, Any], status: int, kind: str, again: str
) -> None:
    with pytest.raises(FalClientHTTPError, match=f"asked for {wish['error']}") as raised:
        fal.run(DUMMY, wish)
    assert (raised.value.status_code, raised.value.error_type) == (status, kind)
    assert raised.value.response_headers["x-fal-error-type"] == kind
    assert raised.value.response_headers["x-fal-retryable"] == again
    assert raised.value.response_headers["x-fal-request-id"] == media(service)[0]["id"]
    assert len(media(service)) == 1


def test_a_prompt_that_is_refused_is_named(fal: SyncClient) -> None:
    with pytest.raises(FalClientHTTPError) as raised:
        fal.run(DUMMY, REJECTED)
    [item] = raised.value.response.json()["detail"]
    assert (item["loc"], item["type"]) == (["body", "prompt"], "content_policy_violation")


# The queue


def test_requests_are_queued_in_order(run_app: RunApp, sqlite_url: str) -> None:
    with run_app(database_url=sqlite_url, working=False) as app, client_at(app) as fal:
        handles = [fal.submit(DUMMY, WISH) for _ in range(3)]
        assert [handle.status() for handle in handles] == [Queued(0), Queued(1), Queued(2)]


def test_low_priority_waits_for_all_that_is_normal(run_app: RunApp, sqlite_url: str) -> None:
    with run_app(database_url=sqlite_url, working=False) as app, client_at(app) as fal:
        low = fal.submit(DUMMY, WISH, priority="low")
        normal = [fal.submit(DUMMY, WISH, priority="normal"), fal.submit(DUMMY, WISH)]
        assert low.status() == Queued(2)
        assert [handle.status() for handle in normal] == [Queued(0), Queued(1)]


def test_the_answer_to_a_submission_says_all_addresses(service: App) -> None:
    answer = asked(service, "POST", "/queue/fal-ai/pictures/dummy", json=WISH).json()
    own = f"{service.url}/fal/queue/fal-ai/pictures/requests/{answer['request_id']}"
    assert answer == {
        "status": "IN_QUEUE", "request_id": answer["request_id"], "gateway_request_id": answer["request_id"],
        "response_url": own, "status_url": f"{own}/status", "cancel_url": f"{own}/cancel", "queue_position": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    "app_id", ["dummy", "a/dummy", "a/b/dummy", "a/b/c/dummy", "workflows/a/dummy", "a b/c%d/dummy"]
)
def test_a_request_is_found_by_what_clients_make_of_its_apps_id(fal: SyncClient, app_id: str) -> None:
    handle = fal.submit(app_id.replace("%", "%25"), WISH)
    assert sizes_of(handle.get()) == [(16, 16)]
    if "/" in app_id and "%" not in app_id:
        assert isinstance(fal.status(app_id, handle.request_id), Completed)
        assert sizes_of(fal.result(app_id, handle.request_id)) == [(16, 16)]


def test_a_result_is_also_where_fal_documents_it(service: App, fal: SyncClient) -> None:
    handle = fal.submit(DUMMY, WISH)
    handle.get()
    answer = asked(service, "GET", f"/queue/{DUMMY}/requests/{handle.request_id}/response")
    assert sizes_of(answer.json()) == [(16, 16)]
    assert answer.headers["x-fal-request-id"] == handle.request_id


def test_logs_tell_the_story_to_who_asks(fal: SyncClient) -> None:
    handle = fal.submit(DUMMY, {**WISH, "num_inference_steps": 2})
    done = until(handle, Completed, with_logs=True)
    assert done.logs[0]["message"] == "submitted for dummy"
    assert done.logs[-1]["message"] == "100%|██████████| 2/2"
    assert all(each.keys() == {"message", "level", "source", "timestamp"} for each in done.logs)
    assert done.metrics["inference_time"] >= 0
    assert (done.error, done.error_type) == (None, None)
    assert until(handle, Completed).logs is None


def test_progress_is_read_from_the_logs(fal: SyncClient) -> None:
    handle = fal.submit(DUMMY, SLOW)

    eventually(lambda: "/600" in until(handle, InProgress, with_logs=True).logs[-1]["message"])
    assert until(handle, InProgress).logs is None
    handle.cancel()


def test_events_end_when_the_request_does(fal: SyncClient) -> None:
    *before, last = fal.submit(DUMMY, {**WISH, "delay": 0.3}).iter_events(with_logs=True, interval=0.02)
    assert all(isinstance(each, Queued | InProgress) for each in before)
    assert isinstance(last, Completed)


def test_subscribe_tells_of_each_step(fal: SyncClient) -> None:
    enqueued: list[str] = []
    updates: list[Status] = []
    result = fal.subscribe(
        DUMMY, WISH, with_logs=True, on_enqueue=enqueued.append, on_queue_update=updates.append, interval=0.02
    )
    assert sizes_of(result) == [(16, 16)]
    assert len(enqueued) == 1
    assert isinstance(updates[-1], Completed)


async def test_the_queue_works_asynchronously(aside: AsyncClient) -> None:
    handle = await aside.submit("fal-ai/pictures/dummy", WISH)
    events = [event async for event in handle.iter_events(with_logs=True, interval=0.02)]
    assert isinstance(events[-1], Completed)
    assert sizes_of(await handle.get()) == [(16, 16)]
    assert sizes_of(await aside.result("fal-ai/pictures/dummy", handle.request_id)) == [(16, 16)]
    assert sizes_of(await aside.subscribe(DUMMY, WISH, client_timeout=20)) == [(16, 16)]
    slow = await aside.submit(DUMMY, SLOW)
    await slow.cancel()
    with pytest.raises(FalClientHTTPError, match="was cancelled"):
        await slow.get(interval=0.02)


def test_a_result_that_is_not_there_yet_is_an_error(fal: SyncClient, service: App) -> None:
    handle = fal.submit(DUMMY, SLOW)
    answer = httpx.get(handle.response_url)
    assert (answer.status_code, answer.json()["detail"]) == (400, "Request is still in progress")
    handle.cancel()


@pytest.mark.parametrize(
    ("wish", "kind"),
    [(PERMANENT, "provider_failed"), (REJECTED, "content_policy_violation"), (GIVEN_UP, "runner_server_error")],
)
def test_a_failed_request_is_completed_with_an_error(fal: SyncClient, wish: dict[str, Any], kind: str) -> None:
    handle = fal.submit(DUMMY, wish)
    done = until(handle, Completed, with_logs=True)
    assert (done.error, done.error_type) == (f"the dummy provider was asked for {wish['error']}", kind)
    assert "ERROR" in [each["level"] for each in done.logs]
    with pytest.raises(FalClientHTTPError, match=f"asked for {wish['error']}") as raised:
        handle.get()
    assert raised.value.error_type == kind


@pytest.mark.parametrize("working", [True, False])
def test_a_request_is_cancelled(run_app: RunApp, sqlite_url: str, *, working: bool) -> None:
    with run_app(database_url=sqlite_url, working=working) as app, client_at(app) as fal:
        handle = fal.submit(DUMMY, SLOW)
        until(handle, InProgress if working else Queued)
        handle.cancel()
        done = until(handle, Completed)
        assert (done.error, done.error_type) == ("the request was cancelled", "client_cancelled")
        with pytest.raises(FalClientHTTPError) as raised:
            fal.result(DUMMY, handle.request_id)
        assert (raised.value.status_code, raised.value.error_type) == (499, "client_cancelled")


def test_cancelling_says_what_became_of_it(fal: SyncClient, service: App) -> None:
    handle = fal.submit(DUMMY, SLOW)
    answer = httpx.put(handle.cancel_url)
    assert (answer.status_code, answer.json()) == (202, {"status": "CANCELLATION_REQUESTED"})
    until(handle, Completed)
    answer = httpx.put(handle.cancel_url)
    assert (answer.status_code, answer.json()["status"]) == (400, "ALREADY_COMPLETED")
    for nothing in (NOWHERE, "nothing"):
        answer = asked(service, "PUT", f"/queue/{DUMMY}/requests/{nothing}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (404, "NOT_FOUND")


def test_a_client_that_waits_no_longer_cancels(fal: SyncClient, service: App) -> None:
    with pytest.raises(FalClientTimeoutError) as raised:
        fal.subscribe(DUMMY, SLOW, client_timeout=1.1)
    assert raised.value.request_id == media(service)[0]["id"]
    eventually(lambda: media(service)[0]["status"] == "CANCELLED")


@pytest.mark.parametrize(("headers", "error"), [({}, None), ({"X-Fal-No-Retry": "1"}, "runner_server_error")])
def test_a_request_is_tried_again_unless_it_is_not_to_be(
    fal: SyncClient, headers: dict[str, str], error: str | None
) -> None:
    handle = fal.submit(DUMMY, {**WISH, "fail_first": 1}, headers=headers)
    assert until(handle, Completed).error_type == error


def test_an_idempotency_key_is_honoured(fal: SyncClient, service: App) -> None:
    first, second = (fal.submit(DUMMY, WISH, headers={"Idempotency-Key": "once"}) for _ in range(2))
    assert first.request_id == second.request_id
    answer = asked(service, "POST", f"/queue/{SKETCH}", json=WISH, headers={"Idempotency-Key": "once"})
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["header", "Idempotency-Key"])


def test_who_prefers_to_wait_hears_once_it_has_ended(fal: SyncClient) -> None:
    handle = fal.submit(DUMMY, {**WISH, "delay": 0.5})
    assert httpx.get(handle.status_url).status_code == 202
    answer = httpx.get(handle.status_url, headers={"Prefer": "wait=20"}, timeout=30)
    assert (answer.status_code, answer.json()["status"]) == (200, "COMPLETED")
    slow = fal.submit(DUMMY, SLOW)
    answer = httpx.get(slow.status_url, headers={"Prefer": "wait=1"}, timeout=30)
    assert (answer.status_code, answer.json()["status"]) == (202, "IN_PROGRESS")
    slow.cancel()


def test_a_full_queue_passes(run_app: RunApp, sqlite_url: str) -> None:
    lanes = {"default": {"max_queued": 1}}
    with run_app(database_url=sqlite_url, working=False, lanes=lanes) as app, client_at(app) as fal:
        first = fal.submit(DUMMY, WISH)
        answer = asked(app, "POST", f"/queue/{DUMMY}", json=WISH)
        assert (answer.status_code, answer.headers["x-fal-retryable"]) == (429, "true")
        assert int(answer.headers["Retry-After"]) >= 1
        with ThreadPoolExecutor(1) as pool:
            second = pool.submit(fal.submit, DUMMY, WISH)
            first.cancel()
            assert second.result(timeout=20).status() == Queued(0)


# Streams


@pytest.mark.parametrize("logs", [0, 1])
def test_the_status_is_streamed_until_the_end(service: App, fal: SyncClient, logs: int) -> None:
    handle = fal.submit(DUMMY, {**WISH, "delay": 0.3, "num_inference_steps": 3})
    events = events_of(service, f"/queue/{DUMMY}/requests/{handle.request_id}/status/stream?logs={logs}")
    told = [event["status"] for event in events]
    assert told[-1] == "COMPLETED"
    assert told == sorted(told, key=["IN_QUEUE", "IN_PROGRESS", "COMPLETED"].index)
    if logs:
        messages = [each["message"] for event in events for each in event["logs"]]
        assert messages[0] == "submitted for dummy"
        assert len(messages) == len(set(messages)), "each line is told once"
    else:
        assert all(event["logs"] is None for event in events)
        assert len(events) <= 3


def test_the_status_of_what_has_ended_is_streamed_once(service: App, fal: SyncClient) -> None:
    handle = fal.submit(DUMMY, PERMANENT)
    until(handle, Completed)
    [event] = events_of(service, f"/queue/{DUMMY}/requests/{handle.request_id}/status/stream")
    assert (event["status"], event["error_type"]) == ("COMPLETED", "provider_failed")


@pytest.mark.parametrize("following", ["status", "pictures"])
def test_the_stream_of_what_is_deleted_ends_with_that(service: App, fal: SyncClient, following: str) -> None:
    def last_of(events: Iterator[dict[str, Any]]) -> dict[str, Any]:
        told = [next(events)]
        with service.client() as client:
            client.delete(f"/media/{media(service)[0]['id']}").raise_for_status()
        with suppress(json.JSONDecodeError):
            told.extend(event for event in events)
        return told[-1]

    if following == "pictures":
        last = last_of(iter(fal.stream(DUMMY, SLOW)))
    else:
        url = fal.submit(DUMMY, SLOW).status_url
        with httpx.Client() as client, connect_sse(client, "GET", f"{url}/stream") as source:
            last = last_of(event.json() for event in source.iter_sse())
    assert last["error_type"] == "not_found"


def test_a_stream_tells_progress_and_ends_with_the_result(fal: SyncClient) -> None:
    *before, last = fal.stream(DUMMY, {**WISH, "delay": 0.3, "num_inference_steps": 3})
    assert sizes_of(last) == [(16, 16)]
    assert before
    assert all(event["progress"]["total"] == 3 and event["images"] == [] for event in before)


async def test_an_async_stream_does_the_same(aside: AsyncClient) -> None:
    events = [event async for event in aside.stream(SKETCH, SMALL)]
    assert sizes_of(events[-1]) == [(64, 48)]


def test_a_stream_shows_pictures_on_their_way(fal: SyncClient) -> None:
    *before, last = fal.stream(SKETCH, {**WISH, "image_size": {"width": 1600, "height": 1280}})
    previews = [image for event in before for image in event["images"]]
    assert previews
    with Image.open(io.BytesIO(content_of(previews[-1]))) as picture:
        assert picture.get_format_mimetype() == previews[-1]["content_type"]
    assert sizes_of(last) == [(1600, 1280)]


@pytest.mark.parametrize(("wish", "kind"), [(PERMANENT, "provider_failed"), (GIVEN_UP, "runner_server_error")])
def test_the_stream_of_a_failure_tells_it_and_raises(fal: SyncClient, wish: dict[str, Any], kind: str) -> None:
    events: list[dict[str, Any]] = []
    with pytest.raises(json.JSONDecodeError) as raised:
        events.extend(event for event in fal.stream(DUMMY, wish))
    message = f"the dummy provider was asked for {wish['error']}"
    assert events[-1] == {"detail": message, "error_type": kind}
    assert raised.value.doc == f"failed: {message}"


def test_the_stream_of_what_is_refused_raises(fal: SyncClient) -> None:
    with pytest.raises(SSEError, match="application/json"):
        list(fal.stream(DUMMY, {}))


def test_a_stream_that_is_left_leaves_the_request_alone(fal: SyncClient, service: App) -> None:
    with closing(fal.stream(DUMMY, {**WISH, "delay": 1, "num_inference_steps": 20})) as stream:  # type: ignore[type-var]
        assert next(stream)["progress"]
    eventually(lambda: media(service)[0]["status"] == "COMPLETED")


def test_a_stream_says_that_the_service_stops(service: App, fal: SyncClient) -> None:
    stream = iter(fal.stream(DUMMY, {**SLOW, "delay": 2}))
    next(stream)
    service.loop.call_soon_threadsafe(service.engine.begin_stop)
    with pytest.raises(json.JSONDecodeError) as raised:
        list(stream)
    assert raised.value.doc.startswith("failed: the service is about to stop")


def test_a_stream_of_the_status_says_that_the_service_stops(service: App, fal: SyncClient) -> None:
    url = fal.submit(DUMMY, SLOW).status_url
    with httpx.Client(timeout=30) as client, connect_sse(client, "GET", f"{url}/stream") as source:
        events = (event.json() for event in source.iter_sse())
        next(events)
        service.loop.call_soon_threadsafe(service.engine.begin_stop)
        last = list(events)[-1]
    assert last["error_type"] == "unavailable"
    assert last["detail"].startswith("the service is about to stop")


# Apps


def test_an_app_is_the_model_that_has_a_route_to_it(run_app: RunApp, sqlite_url: str) -> None:
    def model(app_id: str) -> dict[str, Any]:
        options = {"parameters": {"n": {"as": "num_images", "maximum": 4, "default": 1}}}
        return {"routes": [{"provider": "fal", "model": app_id, "options": options}]}

    models = {"dev": model("fal-ai/flux/schnell"), "fast": model("fal-ai/flux/dev")}
    settings = {"accounts": {"fal": {"key": "any"}}, "models": models, "starter_models": False}
    with run_app(database_url=sqlite_url, working=False, **settings) as app, client_at(app) as fal:
        for app_id, name in (
            ("fal-ai/flux/dev", "fast"), ("fal-ai/flux/schnell", "dev"), ("darkroom/dev", "dev"), ("me/fast", "fast"),
        ):  # fmt: skip
            fal.submit(app_id, {**WISH, "num_images": 2})
            assert (media(app)[0]["model"], media(app)[0]["parameters"]) == (name, {"n": 2})
        handle = fal.submit("fal-ai/flux", WISH, path="/dev")
        assert isinstance(fal.status("fal-ai/flux/dev", handle.request_id), Queued)


def test_our_own_backend_for_fal_finds_it_the_same(run_app: RunApp, sqlite_url: str, tmp_path: Path) -> None:
    options = {"parameters": {"n": {"as": "num_images"}, "seed": {}, "width": {"as": "image_size.width"}}}
    options["parameters"]["height"] = {"as": "image_size.height"}
    with run_app(database_url=sqlite_url) as upstream:
        account = {"fal": {"key": "any", "url": f"{upstream.url}/fal/queue"}}
        models = {"far": {"routes": [{"provider": "fal", "model": "darkroom/sketch", "options": options}]}}
        settings = {"accounts": account, "models": models, "data_dir": tmp_path / "other"}
        migrate(other := f"sqlite:///{tmp_path}/other.db")
        with run_app(database_url=other, **settings) as app, client_at(app) as fal:
            assert sizes_of(fal.run("darkroom/far", {**SMALL, "num_images": 2})) == [(64, 48), (64, 48)]
        assert len(media(upstream)) == 1


# Errors


def test_the_bare_prefix_answers_in_the_same_shape(service: App) -> None:
    answer = asked(service, "GET", "")
    assert (answer.status_code, answer.json()["error_type"]) == (404, "not_found")


Call = Callable[[SyncClient], object]


@pytest.mark.parametrize(
    ("call", "status", "kind", "detail"),
    [
        (lambda c: c.run("me/nothing", WISH), 404, "unknown_model", "no model 'nothing'; there are: dummy, sketch"),
        (lambda c: c.run("", WISH), 404, "unknown_model", "an app's id is owner/name"),
        (lambda c: c.submit("me/nothing", WISH), 404, "unknown_model", "there is no model 'nothing'"),
        (lambda c: c.status(DUMMY, NOWHERE), 404, "not_found", "there is no media"),
        (lambda c: c.status(DUMMY, "nothing"), 404, "not_found", "there is no request 'nothing'"),
        (lambda c: c.result(DUMMY, NOWHERE), 404, "not_found", "there is no media"),
        (lambda c: c.run(DUMMY, WISH, method="GET"), 405, "method_not_allowed", ""),
    ],
)  # fmt: skip
def test_errors_are_sentences(fal: SyncClient, call: Call, status: int, kind: str, detail: str) -> None:
    with pytest.raises(FalClientHTTPError) as raised:
        call(fal)
    assert (raised.value.status_code, raised.value.error_type) == (status, kind)
    assert detail in raised.value.message
    assert raised.value.response_headers["x-fal-request-id"]


@pytest.mark.parametrize(
    ("arguments", "loc", "message"),
    [
        ({}, ["body", "prompt"], "is required"),
        ({"prompt": " "}, ["body", "prompt"], "must say something"),
        ({"prompt": 3}, ["body", "prompt"], "should be a valid string"),
        ({**WISH, "image_size": "huge"}, ["body", "image_size"], "must be one of square_hd"),
        ({**WISH, "image_size": {"width": 64}}, ["body", "image_size"], "must be one of square_hd"),
        ({**WISH, "image_size": {"width": 9999, "height": 64}}, ["body", "image_size"], "maximum"),
        ({**WISH, "aspect_ratio": "wide"}, ["body", "aspect_ratio"], "must be a shape"),
        ({**WISH, "num_images": 0}, ["body", "num_images"], "minimum"),
        ({**WISH, "scheduler": "DDIM"}, ["body", "scheduler"], "sketch has no parameter 'scheduler'"),
        ({**WISH, "image_url": "words"}, ["body", "image_url"], "this is no picture"),
        ({**WISH, "image_url": "data:image/png;base64,AAAA"}, ["body", "image_url"], ""),
    ],
)  # fmt: skip
def test_what_is_wrong_with_arguments_is_said_by_field(
    fal: SyncClient, arguments: dict[str, Any], loc: list[str], message: str
) -> None:
    for call in (fal.run, fal.submit):
        with pytest.raises(FalClientHTTPError) as raised:
            call(SKETCH, arguments)
        assert (raised.value.status_code, raised.value.error_type) == (422, "bad_request")
        [item] = raised.value.response.json()["detail"]
        assert item["loc"] == loc
        assert message in item["msg"]
        assert item["type"] in ("missing", "value_error")


@pytest.mark.parametrize("body", [b"{", b"[]", b'"words"', b'{"prompt": "a\\u0000b"}', b"\xff"])
def test_a_body_that_cannot_be_read_is_refused_in_the_same_shape(service: App, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = asked(service, "POST", f"/queue/{DUMMY}", content=body, headers=headers)
    assert answer.status_code in (400, 422)
    assert answer.json()["error_type"] == "bad_request"
    assert answer.json()["detail"][0]["loc"][0] == "body"


def test_what_is_wrong_with_the_address_is_said_by_field(service: App) -> None:
    answer = asked(service, "GET", f"/queue/{DUMMY}/requests/{NOWHERE}/status?logs=perhaps")
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["query", "logs"])


# Pictures to start from


def test_an_encoded_image_is_a_picture_to_start_from(fal: SyncClient) -> None:
    start = encode_image(Image.new("RGB", (64, 48), "teal"), format="png")
    for given in ({"image_url": start}, {"image_urls": [start]}):
        result = fal.run(SKETCH, {**SMALL, **given, "strength": 0})
        assert is_teal(result["images"][0])


def test_an_uploaded_picture_is_known_by_its_address(fal: SyncClient, service: App) -> None:
    content = io.BytesIO()
    Image.new("RGB", (64, 48), "teal").save(content, "PNG")
    with service.client() as client:
        stored = client.post("/files", files={"file": ("start.png", content.getvalue())}).raise_for_status().json()
    for address in (f"{service.url}{stored['url']}", f"{service.url}/files/{stored['id']}", stored["id"]):
        result = fal.run(SKETCH, {**SMALL, "image_url": address, "strength": 0})
        assert is_teal(result["images"][0])


def test_a_result_is_a_picture_to_start_from(run_app: RunApp, sqlite_url: str) -> None:
    start = encode_image(Image.new("RGB", (64, 48), "teal"), format="png")
    with run_app(database_url=sqlite_url, egress_allow=["127.0.0.1"]) as app, client_at(app) as fal:
        first = fal.run(SKETCH, {**SMALL, "image_url": start, "strength": 0})["images"][0]
        assert first["url"].startswith("http://")
        second = fal.run(SKETCH, {**SMALL, "image_url": first["url"], "strength": 0})["images"][0]
        assert is_teal(second)


# Webhooks


def test_a_webhook_is_noted_with_the_request(run_app: RunApp, sqlite_url: str) -> None:
    url = "https://example.org/told?of=it"
    with run_app(database_url=sqlite_url, working=False) as app, client_at(app) as fal:
        handle = fal.submit(DUMMY, WISH, webhook_url=url)
        found = app.engine.queries.media(UUID(handle.request_id))
        noted = asyncio.run_coroutine_threadsafe(found, app.loop).result(timeout=20).media.webhook
        assert noted == Webhook(url, ("completed",), "fal", app.url)


# Webhooks


def test_a_webhook_is_told_the_result_in_fals_form(run_app: RunApp, sqlite_url: str, target: Target) -> None:
    with run_app(database_url=sqlite_url, egress_allow=[HERE]) as app, client_at(app) as client:
        made = client.submit(SKETCH, SMALL, webhook_url=target.url)
        failed = client.submit(DUMMY, PERMANENT, webhook_url=target.url)
        eventually(lambda: len(target.heard) == 2)
        told = {heard.json["request_id"]: heard.json for heard in target.heard}
        size = size_of(told[made.request_id]["payload"]["images"][0])
    assert told[made.request_id]["status"] == "OK"
    assert size == (64, 48)
    assert told[failed.request_id]["status"] == "ERROR"
    assert told[failed.request_id]["error"]
    assert all("webhook-signature" in heard.headers for heard in target.heard)
