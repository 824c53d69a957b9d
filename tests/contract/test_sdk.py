"""The SDK against the service: what an application gets, with either client."""

import asyncio
import base64
import copy
import dataclasses
import hashlib
import io
import json
import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from PIL import Image
from sdk_clients import connected, meddling, settled

from darkroom.media.events import Previewed
from darkroom.settings import Settings
from darkroom_client import (
    AsyncDarkroom,
    AsyncMedia,
    CompletedEvent,
    Conflict,
    DeletedEvent,
    GenerationCancelled,
    GenerationError,
    GenerationFailed,
    InvalidRequest,
    Media,
    MediaDeleted,
    NotFound,
    Problem,
    Progress,
    ProgressEvent,
    RateLimited,
    Status,
    StatusEvent,
    UnsupportedMedia,
    WaitTimeout,
    WebhookVerificationError,
    webhooks,
)
from services.app import QUICK, App, RunApp
from services.databases import migrate
from services.server import eventually
from services.targets import HERE, Target
from services.watching import held

SLOW = {"delay": 60}


def silent(request: httpx2.Request) -> httpx2.Response:
    """What must not be asked."""
    raise AssertionError(f"{request.method} {request.url.path}")


SILENT = httpx2.MockTransport(silent)


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """One for all: its media are told apart by tags."""
    folder = tmp_path_factory.mktemp("service")
    url = f"sqlite:///{folder}/darkroom.db"
    migrate(url)
    settings = Settings(**{"data_dir": folder / "data", "database_url": url, **QUICK})
    with App(settings, working=True).running() as running:
        yield running


@pytest.fixture
def darkroom(kind: str, service: App) -> Iterator[Any]:
    with connected(kind, service.url) as client:
        yield client


def ask(darkroom: Any, prompt: str = "a lighthouse at dusk", **options: Any) -> Any:
    return darkroom.submit(prompt, model="dummy", **options)


# Asking and waiting


def test_generate_waits_for_the_pictures(darkroom: Any, kind: str) -> None:
    media = darkroom.generate("a fox", model="dummy", n=2, seed=7, parameters={"width": 32})
    assert type(media) is (Media if kind == "sync" else AsyncMedia)
    assert (media.status, media.ended, media.prompt) == (Status.COMPLETED, True, "a fox")
    assert [(file.index, file.seed, file.width) for file in media.files] == [(0, 7, 32), (1, 8, 32)]
    assert media.parameters.items() >= {"n": 2, "seed": 7, "width": 32}.items()
    assert media == darkroom.get(media.id)
    assert media == darkroom.get_by_job(media.job_id)


def test_progress_is_told_while_it_is_made(darkroom: Any) -> None:
    told: list[Progress] = []
    darkroom.generate("a fox", model="dummy", delay=0.8, steps=4, on_progress=told.append)
    assert [progress.status for progress in told] == sorted(
        (progress.status for progress in told), key=["IN_QUEUE", "PROCESSING", "COMPLETED"].index
    )
    steps = [progress.step for progress in told if progress.total == 4]
    assert set(steps) >= {1, 2}
    assert steps == sorted(steps)
    assert 0.25 in [progress.fraction for progress in told]
    assert len(set(told)) == len(told), "nothing is told twice"


def test_listeners_of_the_other_client_may_be_async(service: App) -> None:
    told: list[str] = []

    async def listen(progress: Progress) -> None:
        told.append(progress.status)

    with connected("async", service.url) as darkroom:
        darkroom.generate("a fox", model="dummy", on_progress=listen)
    assert told[-1] == "COMPLETED"


def test_what_a_listener_raises_reaches_the_caller(darkroom: Any) -> None:
    def fail(progress: Progress) -> None:
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        darkroom.generate("a fox", model="dummy", on_progress=fail)


def test_what_a_listener_is_refused_is_its_own_affair(darkroom: Any) -> None:
    def fail(progress: Progress) -> None:
        raise NotFound(Problem(status=404, code="not_found", title="", detail="something of the listener"))

    with pytest.raises(NotFound):
        darkroom.generate("a fox", model="dummy", delay=0.2, on_progress=fail)


def test_hundreds_may_wait_at_once(service: App) -> None:
    async def all_of_them() -> list[AsyncMedia]:
        async with AsyncDarkroom(service.url) as darkroom:
            made = [darkroom.generate(f"fox {number}", model="dummy", delay=0.5) for number in range(150)]
            return await asyncio.gather(*made)

    media = asyncio.run(all_of_them())
    assert [each.prompt for each in media] == [f"fox {number}" for number in range(150)]


def test_previews_are_told(darkroom: Any, service: App) -> None:
    media, previews = ask(darkroom, delay=1, steps=2), []

    def show(progress: Progress) -> None:
        event = Previewed(UUID(media.id), UUID(media.job_id), datetime.now(UTC), "data:image/webp;base64,aGVsbG8=")
        service.loop.call_soon_threadsafe(service.engine.bus.publish, event)

    darkroom.wait(media, on_progress=show, on_preview=previews.append)
    assert {(preview.media_id, preview.content) for preview in previews} == {(media.id, b"hello")}


def test_a_media_that_failed_says_why(darkroom: Any) -> None:
    with pytest.raises(GenerationFailed, match="asked for rejected") as raised:
        darkroom.generate("a fox", model="dummy", fail_first=9, error="rejected")
    assert (raised.value.code, raised.value.retryable) == ("prompt_rejected", False)
    assert raised.value.media == darkroom.get(raised.value.media.id)
    assert raised.value.media.error.message == raised.value.message


def test_a_media_that_is_cancelled_is_no_result(darkroom: Any, service: App) -> None:
    with service.client() as other, held(other):
        media = ask(darkroom)
        with pytest.raises(GenerationCancelled) as raised:
            darkroom.wait(media, on_progress=lambda _: other.post(f"/media/{media.id}/cancel"))
    assert raised.value.media.status == Status.CANCELLED


@pytest.mark.parametrize("timeout", [0.2, 1.6])
def test_who_waits_no_longer_is_told_that_it_goes_on(darkroom: Any, timeout: float) -> None:
    began = time.monotonic()
    with pytest.raises(WaitTimeout) as raised:
        darkroom.generate("a fox", model="dummy", parameters=SLOW, timeout=timeout)
    assert timeout <= time.monotonic() - began < timeout + 2
    assert isinstance(raised.value, TimeoutError)
    media = darkroom.get(raised.value.media)
    assert media.status in ("IN_QUEUE", "PROCESSING")
    darkroom.cancel(media)


def test_who_waits_no_longer_is_told_how_far_it_came(darkroom: Any, service: App) -> None:
    with service.client() as other, ExitStack() as holding:
        holding.enter_context(held(other))
        media = ask(darkroom, parameters=SLOW)
        with pytest.raises(WaitTimeout, match="is PROCESSING") as raised:
            darkroom.wait(media, timeout=0.9, on_progress=lambda _: holding.close())
    assert (raised.value.media.job_id, raised.value.media.queue_position) == (media.job_id, None)
    darkroom.cancel(media)


def test_who_waits_for_what_is_deleted_is_told(darkroom: Any, service: App) -> None:
    media = ask(darkroom, parameters=SLOW)
    with service.client() as other, pytest.raises(MediaDeleted, match=media.id):
        darkroom.wait(media, on_progress=lambda _: other.delete(f"/media/{media.id}"))
    with pytest.raises(NotFound):
        darkroom.wait(media.id)


def test_waiting_for_what_has_ended_gives_it_at_once(darkroom: Any) -> None:
    media = darkroom.generate("a fox", model="dummy")
    assert darkroom.wait(media.id, timeout=20) == media
    assert darkroom.wait(UUID(media.id)) == media


# Following


def test_a_stream_goes_from_how_it_is_to_how_it_ended(darkroom: Any, service: App) -> None:
    with service.client() as other, held(other):
        media = ask(darkroom, delay=0.8, steps=4)
        stream = darkroom.stream(media)
        first = next(stream)
    *events, last = stream
    assert isinstance(first, StatusEvent)
    assert first.media.status == "IN_QUEUE"
    progress = [event for event in events if isinstance(event, ProgressEvent)]
    assert {(event.media_id, event.job_id, event.total) for event in progress} == {(media.id, media.job_id, 4)}
    assert isinstance(last, CompletedEvent)
    assert last.media == darkroom.get(media)


def test_the_stream_of_all_media_goes_on_after_an_event(darkroom: Any) -> None:
    known = list(darkroom.stream(darkroom.generate("a fox", model="dummy")))[-1]
    media = ask(darkroom)
    darkroom.wait(media)
    stream = darkroom.events(after=known.id)
    ended = next(event for event in stream if isinstance(event, CompletedEvent) and event.media_id == media.id)
    stream.close()
    assert ended.media == darkroom.get(media)


def test_a_deleted_media_ends_its_stream(darkroom: Any) -> None:
    media = ask(darkroom, parameters=SLOW)
    stream = darkroom.stream(media)
    next(stream)
    darkroom.delete(media)
    assert isinstance(list(stream)[-1], DeletedEvent)


# Finding


def test_the_list_is_read_page_after_page(darkroom: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("darkroom_client._calls.MOST_A_PAGE", 2)
    tag = uuid4().hex
    made = [ask(darkroom, f"fox {number}", tags=[tag]).id for number in range(5)]
    ask(darkroom, "an owl")
    newest_first = made[::-1]
    assert [media.id for media in darkroom.list(tag=tag)] == newest_first
    assert [media.id for media in darkroom.list(tag=tag, limit=3)] == newest_first[:3]
    assert list(darkroom.list(tag=tag, limit=0)) == []
    page = darkroom.page(tag=tag, limit=4)
    assert [media.id for media in page.items] == newest_first[:4]
    rest = darkroom.page(tag=tag, limit=4, cursor=page.next_cursor)
    assert [media.id for media in rest.items] == newest_first[4:]
    assert rest.next_cursor is None


def test_the_list_is_filtered(darkroom: Any) -> None:
    tag, hour = uuid4().hex, timedelta(hours=1)
    now = datetime.now()  # noqa: DTZ005 - of this place
    fox = darkroom.generate("a red fox", model="dummy", tags=[tag])
    owl = ask(darkroom, "an owl", parameters=SLOW, tags=[tag])
    assert ids(darkroom.list(tag=tag, q="fox")) == [fox.id]
    assert ids(darkroom.list(tag=tag, status=Status.COMPLETED)) == [fox.id]
    assert ids(darkroom.list(tag=tag, model="sketch")) == []
    assert ids(darkroom.list(tag=tag, created_after=now - hour, created_before=now + hour)) == [owl.id, fox.id]
    assert ids(darkroom.list(tag=tag, created_after=datetime.now(UTC) + hour)) == []
    darkroom.cancel(owl)


def ids(media: Any) -> list[str]:
    return [each.id for each in media]


def test_tries_story_and_light_status(darkroom: Any) -> None:
    media = darkroom.generate("a fox", model="dummy", fail_first=1, error="transient", max_tries=3)
    first, second = darkroom.jobs(media)
    assert (first.number, first.state, first.error.code) == (1, "failed", "provider_unavailable")
    assert (second.id, second.state, second.error) == (media.job_id, "succeeded", None)
    assert first.finished_at.tzinfo is not None
    assert {"submitted", "completed"} <= {line.event for line in darkroom.logs(media)}
    for job in (first, second):
        status = darkroom.status(job.id)
        assert (status.media_id, status.job_id, status.status) == (media.id, media.job_id, "COMPLETED")
        assert darkroom.get_by_job(job.id) == media


def test_the_story_is_read_page_after_page(darkroom: Any) -> None:
    media = darkroom.generate("a fox", model="dummy", n=1, steps=1000)
    assert len(list(darkroom.logs(media))) == len({(line.at, line.message) for line in darkroom.logs(media)})


def test_models_and_what_they_take(darkroom: Any) -> None:
    models = {model.name: model for model in darkroom.models()}
    assert models["dummy"].usable
    assert sum(model.default for model in models.values()) == 1
    dummy = darkroom.model("dummy")
    assert dummy.parameters["properties"]["delay"]["type"] == "number"
    assert dummy.routes[0].provider == "dummy"
    prices = [tier.per_picture for model in models.values() for route in model.routes if route.price
              for tier in route.price.tiers]  # fmt: skip
    assert prices
    assert all(isinstance(price, Decimal) for price in prices)


# Changing


def test_cancel_retry_delete(darkroom: Any, service: App) -> None:
    with service.client() as other, held(other):
        media = ask(darkroom)
        assert darkroom.cancel(media).status == Status.CANCELLED
        again = darkroom.retry(media.id)
        assert (again.id, again.status) == (media.id, "IN_QUEUE")
        assert again.job_id != media.job_id
        with pytest.raises(Conflict):
            darkroom.retry(media)
        darkroom.delete(media)
        with pytest.raises(NotFound):
            darkroom.get(media)


# Pictures


def test_pictures_are_read_and_saved(darkroom: Any, tmp_path: Path) -> None:
    media = darkroom.generate("a fox", model="dummy", width=400, height=300, n=2)
    file = media.files[0]
    content = settled(darkroom, file.read())
    assert (hashlib.sha256(content).hexdigest(), len(content)) == (file.sha256, file.bytes)
    assert darkroom.read(file) == content
    path = settled(darkroom, file.save(tmp_path / "new" / "fox.png"))
    assert path.read_bytes() == content
    settled(darkroom, file.save(str(path)))
    assert settled(darkroom, file.save(tmp_path)) == tmp_path / f"{media.id}-0.png"
    small = settled(darkroom, file.save(tmp_path, thumbnail=True))
    assert small.name == f"{media.id}-0-thumbnail.webp"
    assert Image.open(io.BytesIO(small.read_bytes())).size == (384, 288)
    assert Image.open(io.BytesIO(settled(darkroom, file.read(thumbnail=True)))).format == "WEBP"


def test_a_media_is_downloaded_into_a_folder(darkroom: Any, tmp_path: Path) -> None:
    media = darkroom.generate("a fox", model="dummy", n=2)
    folder = tmp_path / "out"
    paths = darkroom.download(media.id, folder)
    assert paths == (folder / f"{media.id}-0.png", folder / f"{media.id}-1.png")
    assert sorted(folder.iterdir()) == sorted(paths)
    assert [path.stat().st_size for path in paths] == [file.bytes for file in media.files]
    assert darkroom.download(media, folder, thumbnail=True)[0].suffix == ".webp"


def test_there_is_nothing_to_download_before_the_end(darkroom: Any, tmp_path: Path) -> None:
    media = ask(darkroom, parameters=SLOW)
    with pytest.raises(GenerationError, match=media.id):
        darkroom.download(media, tmp_path)
    with pytest.raises(Conflict) as raised:
        darkroom.content_link(media)
    assert raised.value.code == "not_completed"
    darkroom.cancel(media)


def test_a_link_works_without_credentials(darkroom: Any) -> None:
    media = darkroom.generate("a fox", model="dummy")
    link = darkroom.content_link(media, 0)
    assert link.expires_at > datetime.now(UTC)
    assert len(httpx2.get(link.url, trust_env=False).content) == media.files[0].bytes


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled, dataclasses.replace])
def test_a_media_can_be_copied(darkroom: Any, copied: Callable[[Any], Any]) -> None:
    media = darkroom.generate("a fox", model="dummy")
    again = copied(media)
    assert again == media
    assert len(darkroom.read(again.files[0])) == media.files[0].bytes
    assert dataclasses.asdict(media)["files"][0]["sha256"] == media.files[0].sha256


# Pictures to start from


def photo() -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (64, 48), "teal").save(target, "PNG")
    return target.getvalue()


def test_a_picture_may_be_given_in_many_ways(darkroom: Any, tmp_path: Path) -> None:
    path = tmp_path / "start.png"
    path.write_bytes(photo())
    upload = darkroom.upload(path)
    assert (upload.name, upload.width, upload.height) == ("start.png", 64, 48)
    given = [path, str(path), photo(), io.BytesIO(photo()), upload, upload.id, UUID(upload.id), as_uri(photo())]
    media = [darkroom.submit("a fox", model="sketch", image=each, width=64, height=48) for each in given]
    names = {darkroom.wait(each).parameters["image"] for each in media}
    assert upload.id in names
    assert len(names) == 2, "the same bytes are the same picture"
    with path.open("rb") as file:
        assert darkroom.upload(file, name="Füchse 狐.png").name == "Füchse 狐.png"


def test_a_picture_that_was_made_may_be_given(darkroom: Any) -> None:
    file = darkroom.generate("a fox", model="sketch", width=64, height=48).files[0]
    wanted = {"model": "sketch", "width": 64, "height": 48}
    same = (file, darkroom.read(file))
    media = [darkroom.generate("an owl", image=each, **wanted) for each in same]
    assert len({each.parameters["image"] for each in media}) == 1, "the same bytes are the same picture"
    one, other = (darkroom.upload(each) for each in same)
    assert (one.sha256, one.name) == (other.sha256, file.name())


def test_every_parameter_takes_a_picture_that_was_made(kind: str, service: App) -> None:
    asked: list[httpx2.Request] = []
    transport = meddling(kind, lambda _, request: asked.append(request))
    with connected(kind, service.url, transport=transport) as darkroom:
        (file,) = darkroom.generate("a fox", model="dummy").files
        content = darkroom.read(file)
        with pytest.raises(InvalidRequest):
            darkroom.submit("an owl", model="dummy", image=file, mask=file, images=[file, content])
    sent = json.loads(asked[-1].content)
    assert len({sent["image"], sent["mask"], *sent["images"]}) == 1
    assert base64.b64decode(sent["mask"].partition(",")[2]) == content


@pytest.mark.parametrize("name", ["image", "mask", "images"])
@pytest.mark.parametrize("wrong", [5, {"a": 1}, Decimal(1), object()], ids=type)
def test_what_can_be_no_picture_is_a_mistake_here(kind: str, name: str, wrong: Any) -> None:
    given = {name: [photo(), wrong] if name == "images" else wrong}
    with connected(kind, "http://darkroom", transport=SILENT) as darkroom:
        with pytest.raises(TypeError, match=f"^{name}: .* got {type(wrong).__name__}"):
            darkroom.submit("a fox", **given)
        with pytest.raises(TypeError, match=f"^source: .* got {type(wrong).__name__}"):
            darkroom.upload(wrong)


@pytest.mark.parametrize("wrong", ["fox.png", photo(), Path("fox.png"), io.BytesIO(photo()), UUID(int=7), 5], ids=type)
def test_one_picture_is_no_list_of_pictures(kind: str, wrong: Any) -> None:
    message = f"^images: expected several pictures.* got {type(wrong).__name__}"
    with connected(kind, "http://darkroom", transport=SILENT) as darkroom, pytest.raises(TypeError, match=message):
        darkroom.submit("a fox", images=wrong)


@pytest.mark.parametrize("image", ["fox.png", "file:///fox.png"])
def test_a_picture_that_is_nowhere_is_told_as_that(darkroom: Any, image: str) -> None:
    with pytest.raises(FileNotFoundError, match="no such file, and no id, data: URI or https URL") as raised:
        darkroom.submit("a fox", model="sketch", image=image)
    assert raised.value.filename == image


def test_an_address_is_for_the_service_to_fetch(darkroom: Any) -> None:
    for address in ("http://127.0.0.1:1/fox.png", "HTTPS://127.0.0.1:1/fox.png"):
        with pytest.raises(InvalidRequest) as refused:
            darkroom.submit("a fox", model="sketch", image=address)
        assert refused.value.errors[0].field == "parameters.image"


def as_uri(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode()


def test_large_pictures_are_uploaded_before(darkroom: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("darkroom_client._calls.MOST_INLINE", 10)
    media = darkroom.submit("a fox", model="sketch", image=photo())
    assert darkroom.wait(media).parameters["image"] == media.parameters["image"]


def test_an_upload_can_be_deleted(darkroom: Any) -> None:
    upload = darkroom.upload(photo())
    darkroom.delete_upload(upload)
    with pytest.raises(NotFound):
        darkroom.delete_upload(upload.id)


def test_what_is_no_picture_is_refused(darkroom: Any) -> None:
    with pytest.raises(UnsupportedMedia):
        darkroom.upload(b"no picture")
    with pytest.raises(TypeError, match="binary"):
        darkroom.upload(io.StringIO("text"))


# Webhooks


def test_a_webhook_is_told_and_proves_that_it_was_darkroom(
    kind: str, run_app: RunApp, sqlite_url: str, target: Target
) -> None:
    with (
        run_app(database_url=sqlite_url, egress_allow=[HERE]) as app,
        connected(kind, app.url) as darkroom,
    ):
        media = darkroom.generate("a fox", model="dummy", webhook=target.url, webhook_events=["completed"])
        eventually(lambda: bool(target.heard))
        secrets = darkroom.webhook_secrets()
        event = webhooks.verify(target.heard[0].content, target.heard[0].headers, secrets)
        assert (event.type, event.media.id, event.media.status) == ("media.completed", media.id, "COMPLETED")
        assert len(darkroom.read(event.media.files[0])) == media.files[0].bytes
    with pytest.raises(WebhookVerificationError):
        webhooks.verify(target.heard[0].content + b" ", target.heard[0].headers, secrets)


# Errors


def test_what_is_wrong_is_said_field_by_field(darkroom: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"parameters\.colour") as raised:
        ask(darkroom, colour="red")
    error = raised.value
    assert (error.status, error.code) == (422, "invalid_request")
    assert [each.field for each in error.errors] == ["parameters.colour"]
    assert error.request_id
    assert not error.retryable
    assert pickled(error).errors == error.errors


def test_a_parameter_given_twice_is_a_mistake_here(darkroom: Any) -> None:
    with pytest.raises(TypeError, match="seed"):
        ask(darkroom, seed=1, parameters={"seed": 2})


@pytest.mark.parametrize("key", ["", "a b", "a\nb", "a\n", "bestellung-ü", "a" * 256, 4711], ids=repr)
def test_a_key_that_no_request_can_carry_is_a_mistake_here(kind: str, key: Any) -> None:
    with connected(kind, "http://darkroom", transport=SILENT) as darkroom:
        for call in (darkroom.submit, darkroom.generate):
            with pytest.raises(ValueError, match="idempotency_key: must be 1 to 255 visible ASCII characters"):
                call("a fox", idempotency_key=key)


def test_any_key_that_is_taken_here_is_taken_there(darkroom: Any) -> None:
    for key in ("!", "~", "a" * 255):
        one, other = (ask(darkroom, idempotency_key=key) for _ in range(2))
        assert one.id == other.id


@pytest.mark.parametrize("after", ["5\n", "ü", "5 6"], ids=repr)
def test_the_id_of_no_event_is_a_mistake_here(kind: str, after: str) -> None:
    with connected(kind, "http://darkroom", transport=SILENT) as darkroom, pytest.raises(ValueError, match="after: "):
        next(darkroom.events(after=after))


@pytest.mark.parametrize("call", ["get", "wait", "jobs", "cancel", "retry", "delete", "content_link"])
def test_what_is_not_there_is_not_found(darkroom: Any, call: str) -> None:
    with pytest.raises(NotFound):
        getattr(darkroom, call)(uuid4())


def test_no_such_model(darkroom: Any) -> None:
    with pytest.raises(NotFound) as raised:
        darkroom.model("no such/model")
    assert raised.value.code in ("unknown_model", "not_found")


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_an_id_is_never_another_path(darkroom: Any, name: str) -> None:
    with pytest.raises(ValueError, match="empty"):
        darkroom.get(name)


def test_a_full_queue_is_said_with_how_long_to_wait(kind: str, run_app: RunApp, sqlite_url: str) -> None:
    full = {"default": {"max_queued": 1}}
    with (
        run_app(database_url=sqlite_url, working=False, lanes=full) as app,
        connected(kind, app.url, max_retries=0) as darkroom,
    ):
        ask(darkroom)
        with pytest.raises(RateLimited) as raised:
            ask(darkroom)
    assert raised.value.retry_after >= 1
    assert raised.value.retryable


def test_the_api_key_goes_to_the_service(kind: str, service: App) -> None:
    seen: list[str | None] = []
    transport = meddling(kind, lambda _, request: seen.append(request.headers.get("authorization")))
    with connected(kind, service.url, api_key="secret", transport=transport) as darkroom:
        darkroom.models()
        assert "secret" not in repr(darkroom)
    assert seen == ["Bearer secret"]


def test_a_client_may_wait_for_answers_without_a_limit(kind: str, service: App) -> None:
    with connected(kind, service.url, timeout=None) as darkroom:
        assert darkroom.generate("a fox", model="dummy").files
        assert darkroom.generate("a fox", model="dummy", timeout=20).files
        with pytest.raises(WaitTimeout) as raised:
            darkroom.generate("a fox", model="dummy", parameters=SLOW, timeout=0.3)
        darkroom.cancel(raised.value.media)


def test_the_environment_says_where(kind: str, service: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_URL", service.url + "/")
    with connected(kind, None) as darkroom:
        assert darkroom.models()


def test_on_postgresql_too(app: App, kind: str) -> None:
    with connected(kind, app.url) as darkroom:
        media = darkroom.generate("a fox", model="dummy")
        assert ids(darkroom.list()) == [media.id]
