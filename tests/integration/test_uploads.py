"""Pictures to start from: uploaded, in the request itself, or at an address."""

import asyncio
import base64
import io
import json
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import numpy as np
import pytest
from PIL import Image

from darkroom.db import inputs
from darkroom.engine import inputs as engine_inputs
from darkroom.engine.core import Engine
from darkroom.errors import (
    DarkroomError,
    DatabaseUnavailable,
    InvalidRequest,
    PayloadTooLarge,
    StorageUnavailable,
    Transient,
)
from darkroom.settings import Account, Model, Route
from darkroom.stack.objects import ObjectStore
from services.app import App, Client, RunApp
from services.backends.base import Fake
from services.backends.fal import FalFake
from services.backends.openai import OpenAIFake, form_of
from services.backends.replicate import SDXL, SDXL_VERSION, ReplicateFake
from services.server import eventually

SIZE = {"width": 64, "height": 48, "seed": 1}
KEEP = {**SIZE, "strength": 0}
UPLOAD = {"id", "name", "content_type", "width", "height", "bytes", "sha256", "created_at", "expires_at", "url"}


def photo(width: int = 64, height: int = 48) -> Image.Image:
    """Four quarters of four colours."""
    quarters = Image.new("RGB", (2, 2))
    quarters.putdata([(220, 30, 30), (30, 200, 60), (40, 60, 220), (240, 220, 40)])
    return quarters.resize((width, height), Image.Resampling.NEAREST)


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    target = io.BytesIO()
    image.save(target, form, **options)
    return target.getvalue()


def opened(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def uri(content: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def uploaded(client: Client, content: bytes | None = None, name: str = "a.png") -> dict[str, Any]:
    response = client.post("/files", files={"file": (name, encoded(photo()) if content is None else content)})
    assert response.status_code == 201, response.text
    answer: dict[str, Any] = response.json()
    return answer


def picture_of(client: Client, media: dict[str, Any]) -> Image.Image:
    return opened(client.get(media["files"][0]["url"]).raise_for_status().content)


def sketched(client: Client, **request: Any) -> dict[str, Any]:
    return client.completed(**{"model": "sketch", "parameters": KEEP, **request})


def same(one: Image.Image, other: Image.Image) -> bool:
    return bool((np.asarray(one.convert("RGB")) == np.asarray(other.convert("RGB"))).all())


def on(app: App, work: Callable[[Engine], Any]) -> Any:
    """Await what `work` says of the engine, on its own loop."""
    return asyncio.run_coroutine_threadsafe(work(app.engine), app.loop).result(20)


def kept(app: App) -> set[str]:
    """The keys of all inputs in the store."""

    async def keys(engine: Engine) -> set[str]:
        return {key async for key in engine.storage.keys("inputs/")}

    found: set[str] = on(app, keys)
    return found


def later(app: App, **ahead: float) -> None:
    """Put the clock forward."""
    database = app.engine.inputs._database
    real = database.now
    database.now = app.engine.lifecycle.now = lambda: real() + timedelta(**ahead)  # type: ignore[method-assign]


def wrong(response: httpx2.Response, status: int, field: str) -> str:
    assert response.status_code == status, response.text
    (error,) = response.json()["errors"]
    assert error["field"] == field
    message: str = error["message"]
    return message


def refused(client: Client, status: int = 422, field: str = "parameters.image", **request: Any) -> str:
    given = {"prompt": "a lighthouse", "model": "sketch", **request}
    return wrong(client.post("/media/generate", json=given), status, field)


# Uploading


def test_an_upload_is_described_and_sent_back(client: Client) -> None:
    content = encoded(photo())
    response = client.post("/files", files={"file": ("my photo.png", content, "application/octet-stream")})
    stored = response.json()

    assert (response.status_code, response.headers["Location"]) == (201, f"/files/{stored['id']}")
    assert stored.keys() == UPLOAD
    assert (stored["name"], stored["content_type"], stored["width"], stored["height"]) == (
        "my photo.png", "image/png", 64, 48,
    )  # fmt: skip
    assert datetime.fromisoformat(stored["expires_at"]) - datetime.fromisoformat(stored["created_at"]) == timedelta(30)
    assert client.get(f"/files/{stored['id']}").json() == stored
    again = client.get(stored["url"])
    assert (again.headers["content-type"], len(again.content)) == ("image/png", stored["bytes"])
    assert same(opened(again.content), photo())
    assert client.get(stored["url"], headers={"If-None-Match": again.headers["ETag"]}).status_code == 304


@pytest.mark.parametrize("form", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("said", ["image/png", "image/tiff", "application/octet-stream"])
def test_a_picture_may_be_the_whole_body_whatever_it_is_said_to_be(sqlite_app: App, form: str, said: str) -> None:
    with sqlite_app.client() as client:
        response = client.post("/files", content=encoded(photo(), form), headers={"Content-Type": said})
        assert response.status_code == 201
        assert response.json()["content_type"] == f"image/{form}"


def test_a_photo_is_set_upright_and_tells_nothing_of_where_it_was_taken(sqlite_app: App) -> None:
    tags = Image.Exif()
    tags[0x0112], tags[0x010F] = 6, "a camera"
    tags.get_ifd(0x8825)[1] = "N"
    with sqlite_app.client() as client:
        stored = uploaded(client, encoded(photo(), "JPEG", exif=tags.tobytes(), quality=95))
        content = client.get(stored["url"]).content
    upright = np.asarray(photo().transpose(Image.Transpose.ROTATE_270), int)

    assert (stored["width"], stored["height"]) == (48, 64)
    assert np.abs(np.asarray(opened(content), int) - upright).mean() < 5
    assert not opened(content).getexif()
    assert b"camera" not in content


def test_the_transparency_of_a_mask_is_kept(sqlite_app: App) -> None:
    mask = photo().convert("RGBA")
    mask.putalpha(Image.linear_gradient("L").resize(mask.size))
    with sqlite_app.client() as client:
        content = client.get(uploaded(client, encoded(mask))["url"]).content
    assert opened(content).tobytes() == mask.tobytes()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", "an SVG drawing"),
        (b"<!doctype html><script>alert(1)</script>", "an HTML page"),
        (encoded(photo(), "GIF"), "a GIF"),
        (encoded(photo())[:-30], "a truncated PNG"),
        (b"", "an empty body"),
    ],
)
def test_what_is_no_picture_is_refused_and_not_kept(sqlite_app: App, content: bytes, what: str) -> None:
    with sqlite_app.client() as client:
        response = client.post("/files", files={"file": ("a.png", content, "image/png")})
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_picture")
    assert response.json()["detail"].startswith(f"this is {what}")
    assert kept(sqlite_app) == set()


def test_what_is_too_large_is_refused(run_app: RunApp, sqlite_url: str) -> None:
    limits = {"max_upload_bytes": 20_000, "max_body_bytes": 4096, "input": {"max_pixels": 10_000}}
    with run_app(database_url=sqlite_url, **limits) as app, app.client() as client:
        noise = Image.effect_noise((90, 90), 50)
        uploaded(client, encoded(noise))
        for content in (encoded(photo(101, 100)), encoded(noise) + bytes(20_000)):
            response = client.post("/files", content=content, headers={"Content-Type": "image/png"})
            assert (response.status_code, response.json()["code"]) == (413, "payload_too_large")
        long = {"prompt": "a" * 5000, "model": "dummy"}
        assert client.post("/media/generate", json=long).status_code == 202
        chunks = (bytes(1000) for _ in range(30))
        assert client.post("/files", content=chunks, headers={"Content-Type": "image/png"}).status_code == 413
        assert client.post("/lanes/default/pause", content=bytes(5000)).status_code == 413


@pytest.mark.parametrize(
    ("request_", "status", "field"),
    [
        ({"files": {"other": ("a.png", b"x")}}, 422, "file"),
        ({"data": {"file": "text"}, "files": {"other": ("a.png", b"x")}}, 422, "file"),
        ({"json": {"file": "text"}}, 415, "Content-Type"),
        ({}, 415, "Content-Type"),
    ],
)
def test_an_upload_that_is_none_is_explained(sqlite_app: App, request_: Any, status: int, field: str) -> None:
    with sqlite_app.client() as client:
        assert wrong(client.post("/files", **request_), status, field)


@pytest.mark.parametrize(("body", "kind"), [(b"--x", ""), (b"no form", "; boundary=x")])
def test_a_form_that_is_none_is_refused(sqlite_app: App, body: bytes, kind: str) -> None:
    with sqlite_app.client() as client:
        response = client.post("/files", content=body, headers={"Content-Type": f"multipart/form-data{kind}"})
    assert (response.status_code, response.json()["code"]) == (400, "bad_request")
    assert "multipart" in response.json()["detail"]


def test_a_name_that_no_database_takes_is_made_one(client: Client) -> None:
    assert uploaded(client, name="a" * 300 + ".png")["name"] == "a" * 255
    assert uploaded(client, name="日本.png")["name"] == "日本.png"


def test_what_is_not_there_is_not_found(client: Client) -> None:
    nobody = f"/files/{uuid4()}"
    for response in (client.get(nobody), client.get(f"{nobody}/content"), client.delete(nobody)):
        assert wrong(response, 404, "file_id")
    assert client.get("/files/nothing").status_code == 422


# Starting from one


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_a_sketch_starts_from_an_upload(
    run_app: RunApp, database_url: str, kind: str, request: pytest.FixtureRequest
) -> None:
    storage: dict[str, Any] = {}
    if kind == "s3":
        store: ObjectStore = request.getfixturevalue("object_store")
        options = {"endpoint": store.endpoint, "region": "us-east-1", "allow_http": True}
        options |= {"access_key_id": store.access_key_id, "secret_access_key": store.secret_access_key}
        storage = {"storage_url": f"s3://{store.new_bucket()}/pictures", "storage_options": options}
    with run_app(database_url=database_url, **storage) as app, app.client() as client:
        stored = uploaded(client)
        media = sketched(client, image=stored["id"])
        assert media["parameters"] == {**KEEP, "n": 1, "style": "auto", "image": stored["id"]}
        assert same(picture_of(client, media), photo())
        half = sketched(client, image=stored["id"], parameters={**SIZE, "strength": 0.5})
        plain = sketched(client, parameters=SIZE)
        assert not same(picture_of(client, half), photo())
        assert not same(picture_of(client, half), picture_of(client, plain))
        assert client.delete(f"/files/{stored['id']}").status_code == 204
        eventually(lambda: kept(app) == set())


def test_what_a_media_shows_can_be_asked_for_again(client: Client) -> None:
    media = sketched(client, image=uri(encoded(photo())))
    again = client.completed(model="sketch", parameters=media["parameters"])

    assert again["parameters"] == media["parameters"]
    assert same(picture_of(client, again), picture_of(client, media))


def test_the_same_picture_in_two_requests_is_kept_once(client: Client, app: App) -> None:
    image = uri(encoded(photo()))
    first, second = sketched(client, image=image), sketched(client, parameters={**KEEP, "image": image})

    assert first["parameters"]["image"] == second["parameters"]["image"]
    assert client.get(f"/files/{first['parameters']['image']}").json()["name"] is None
    assert len(kept(app)) == 1
    assert sketched(client, image=uri(encoded(photo(32, 32))))["parameters"] != first["parameters"]
    assert len(kept(app)) == 2


def test_the_same_picture_in_requests_at_once_is_kept_once(client: Client, app: App) -> None:
    request = {"image": uri(encoded(photo())), "model": "sketch", "parameters": KEEP}
    with ThreadPoolExecutor(6) as pool:
        media = list(pool.map(lambda _: client.generate(**request), range(6)))

    assert len({each["parameters"]["image"] for each in media}) == 1
    for each in media:
        assert same(picture_of(client, client.until(each["id"], "COMPLETED")), photo())
    eventually(lambda: len(kept(app)) == 1)


def test_a_repeated_request_answers_with_the_first_media(client: Client) -> None:
    request = {"prompt": "a", "model": "sketch", "parameters": KEEP, "image": uri(encoded(photo()))}
    key = {"Idempotency-Key": "4711"}
    first = client.post("/media/generate", json=request, headers=key).json()
    assert client.delete(f"/files/{first['parameters']['image']}").status_code == 204
    again = client.post("/media/generate", json=request, headers=key)

    assert (again.json()["id"], again.headers["Idempotent-Replayed"]) == (first["id"], "true")
    assert client.get(f"/files/{first['parameters']['image']}").status_code == 404
    other = client.post("/media/generate", json={**request, "image": uri(b"no picture")}, headers=key)
    assert wrong(other, 422, "Idempotency-Key")


@pytest.mark.parametrize(
    ("image", "what"),
    [
        ("a picture of mine", "it must be the id of an uploaded file, a data: URI, or an https URL"),
        ("file:///etc/passwd", "it must be"),
        ("/etc/passwd", "it must be"),
        (str(UUID(int=7)), "there is no file 00000000-0000-0000-0000-000000000007"),
        ("data:image/png;base64,????", "is not base64"),
        ("data:image/png;base64", "no comma"),
        (uri(b"<svg/>", "image/svg+xml"), "this is an SVG drawing"),
        (uri(encoded(photo())[:-20]), "this is a truncated PNG"),
    ],
)
def test_a_reference_that_is_none_is_explained(sqlite_app: App, image: str, what: str) -> None:
    with sqlite_app.client() as client:
        assert what in refused(client, image=image)
        assert what in refused(client, parameters={"image": image})
        assert client.listed() == []


def test_a_picture_beyond_the_limits_is_refused_wherever_it_is(run_app: RunApp, sqlite_url: str) -> None:
    with run_app(database_url=sqlite_url, input={"max_pixels": 1000}) as app, app.client() as client:
        assert "the limit is 1,000 pixels" in refused(client, 413, image=uri(encoded(photo())))


def test_a_picture_is_given_once_and_where_the_model_takes_one(sqlite_app: App) -> None:
    with sqlite_app.client() as client:
        image = uri(encoded(photo()))
        twice = client.post("/media/generate", json={"prompt": "a", "image": image, "parameters": {"image": image}})
        assert "given twice" in wrong(twice, 422, "body")
        assert "no parameter 'mask'" in refused(client, field="parameters.mask", mask=image)
        assert "no parameter 'images'" in refused(client, field="parameters.images", images=[image])
        assert "no parameter 'image'" in refused(client, model="dummy", image=image)
        assert kept(sqlite_app) == set()


def test_what_can_be_said_for_a_picture_is_in_the_models_schema(sqlite_app: App) -> None:
    with sqlite_app.client() as client:
        rule = client.get("/models/sketch").json()["parameters"]["properties"]["image"]
    assert rule["type"] == "string"
    assert "pattern" not in rule
    assert "a file's id, a data: URI, or an https URL" in rule["description"]


# At an address


def web(app: App, pages: dict[str, bytes | DarkroomError]) -> list[str]:
    """Have `pages` fetched, and nothing else; the addresses that were asked for."""
    asked: list[str] = []

    async def fetch(url: str) -> bytes:
        asked.append(url)
        found = pages[url]
        if isinstance(found, DarkroomError):
            raise found
        return found

    app.engine.inputs._fetch = fetch
    return asked


def test_a_picture_is_fetched_when_it_is_asked_for(client: Client, app: App) -> None:
    address = "https://pictures.example.com/a.png?b=c"
    asked = web(app, {address: encoded(photo(), "WEBP", lossless=True)})
    media = sketched(client, image=address)

    assert same(picture_of(client, media), photo())
    assert client.get(f"/files/{media['parameters']['image']}").json()["content_type"] == "image/webp"
    assert asked == [address]


def test_a_repeated_request_fetches_nothing(client: Client, app: App) -> None:
    address = "https://pictures.example.com/a.png"
    asked = web(app, {address: encoded(photo())})
    request, key = {"prompt": "a", "model": "sketch", "image": address}, {"Idempotency-Key": "4711"}
    first, again = (client.post("/media/generate", json=request, headers=key).json() for _ in range(2))

    assert first["id"] == again["id"]
    assert asked == [address]


@pytest.mark.parametrize(
    ("page", "status", "what"),
    [
        (b"<!doctype html><title>404</title>", 422, "this is an HTML page"),
        (InvalidRequest("this address may not be asked"), 422, "this address may not be asked"),
        (Transient("pictures.example.com does not answer"), 422, "pictures.example.com does not answer"),
        (PayloadTooLarge("more than 9 bytes came"), 413, "more than 9 bytes came"),
    ],
)
def test_an_address_without_a_picture_is_refused_with_the_reason(
    sqlite_app: App, page: bytes | DarkroomError, status: int, what: str
) -> None:
    web(sqlite_app, {"https://pictures.example.com/a.png": page})
    with sqlite_app.client() as client:
        assert what in refused(client, status, image="https://pictures.example.com/a.png")
        assert client.listed() == []


def test_all_pictures_of_a_request_come_within_one_time(sqlite_app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_inputs, "WITHIN", 0.2)
    asked: list[str] = []

    async def fetch(url: str) -> bytes:
        asked.append(url)
        if len(asked) > 1:
            await asyncio.Event().wait()
        return encoded(photo())

    sqlite_app.engine.inputs._fetch = fetch
    images = [f"https://pictures.example.com/{number}.png" for number in range(4)]
    with pytest.raises(InvalidRequest, match=r"come within 0\.2 s altogether") as caught:
        on(sqlite_app, lambda engine: engine.inputs.settle({"images": images}, None))
    assert caught.value.field == "parameters.images.1"
    assert asked == images[:2]


def test_nothing_is_fetched_for_a_request_that_is_wrong(sqlite_app: App) -> None:
    asked = web(sqlite_app, {})
    with sqlite_app.client() as client:
        refused(client, field="parameters.width", image="https://pictures.example.com/a.png", parameters={"width": 1})
        refused(client, field="parameters.image", image="https://pictures.example.com/a.png", model="dummy")
    assert asked == []


# What becomes of them


def test_one_that_was_deleted_before_its_media_was_made_is_said_to_be_gone(run_app: RunApp, database_url: str) -> None:
    with run_app(database_url=database_url, working=False) as app, app.client() as client:
        stored = uploaded(client)
        media = client.generate(model="sketch", parameters=KEEP, image=stored["id"])
        client.delete(f"/files/{stored['id']}").raise_for_status()
    with run_app(database_url=database_url) as app, app.client() as client:
        ended = client.until(media["id"], "ERROR")
        assert (ended["error"]["code"], ended["error"]["retryable"]) == ("input_expired", False)
        assert stored["id"] in ended["error"]["message"]
        assert ended["number_of_tries"] == 1


def test_one_that_nobody_asks_for_is_deleted_and_one_that_is_used_stays(client: Client, app: App) -> None:
    used, unused = uploaded(client), uploaded(client, encoded(photo(32, 32)))
    later(app, days=29)
    sketched(client, image=used["id"])
    later(app, days=2)
    eventually(lambda: client.get(f"/files/{unused['id']}").status_code == 404)
    eventually(lambda: len(kept(app)) == 1)

    shown = client.get(f"/files/{used['id']}").json()
    assert datetime.fromisoformat(shown["expires_at"]) > datetime.fromisoformat(used["expires_at"]) + timedelta(28)
    assert same(picture_of(client, sketched(client, image=used["id"])), photo())


def test_a_store_that_does_not_answer_is_waited_for(sqlite_app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    with sqlite_app.client() as client:
        stored = uploaded(client)
        storage = sqlite_app.engine.inputs._storage
        read, failures = storage.read, [StorageUnavailable("the store does not answer")] * 3

        def failing(key: str, **part: Any) -> Any:
            if failures:
                raise failures.pop()
            return read(key, **part)

        monkeypatch.setattr(storage, "read", failing)
        media = sketched(client, image=stored["id"])
        assert (media["number_of_tries"], failures) == (1, [])


def test_an_upload_that_cannot_be_stored_is_not_there(sqlite_app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: Any, **__: Any) -> None:
        raise StorageUnavailable("the store is full")

    monkeypatch.setattr(sqlite_app.engine.inputs._storage, "put", full)
    with sqlite_app.client() as client:
        response = client.post("/files", files={"file": ("a.png", encoded(photo()))})
        assert (response.status_code, response.json()["code"]) == (503, "storage_unavailable")


def test_what_was_stored_but_not_noted_is_cleared_away(
    app: App, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: Any) -> bool:
        raise DatabaseUnavailable("the database does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(inputs, "add", lost)
        assert client.post("/files", files={"file": ("a.png", encoded(photo()))}).status_code == 503
    stays = uploaded(client)
    assert len(kept(app)) == 2
    later(app, hours=2)
    eventually(lambda: len(kept(app)) == 1)
    assert same(opened(client.get(stays["url"]).content), photo())


def backed_by(fake: Fake, provider: str, model: str, **route: Any) -> dict[str, Any]:
    """Settings with one model, `painter`, at a fake backend."""
    options = {"catalogue": f"{fake.url}/v1"} if provider == "fal" else {}
    address = fake.url if provider == "fal" else f"{fake.url}/v1"
    return {
        "accounts": {provider: Account(provider=provider, url=address, key=fake.key, options=options)},
        "models": {"painter": Model(routes=[Route(provider=provider, model=model, options=route)])},
        "starter_models": False,
    }


def test_openai_gets_the_picture_and_the_mask(run_app: RunApp, database_url: str) -> None:
    mask = photo().convert("RGBA")
    mask.putalpha(Image.linear_gradient("L").resize(mask.size))
    with (
        OpenAIFake().running() as fake,
        run_app(database_url=database_url, **backed_by(fake, "openai", "gpt-image-1.5")) as app,
        app.client() as client,
    ):
        stored = uploaded(client)
        media = client.completed(model="painter", image=stored["id"], mask=uri(encoded(mask)))
        assert media["parameters"]["image"] == stored["id"]
        assert len(media["parameters"]["mask"]) == 36
        (call,) = fake.called("edit")
    _, pictures = form_of(call.headers["content-type"], call.body)

    assert same(opened(pictures["image"]), photo())
    assert opened(pictures["mask"]).tobytes() == mask.tobytes()


def test_replicate_gets_the_picture(run_app: RunApp, sqlite_url: str) -> None:
    with (
        ReplicateFake().running() as fake,
        run_app(database_url=sqlite_url, **backed_by(fake, "replicate", f"{SDXL}:{SDXL_VERSION}")) as app,
        app.client() as client,
    ):
        client.completed(model="painter", image=uploaded(client)["id"], parameters={"strength": 0.5})
        (created,) = fake.created
    assert same(opened(decoded(created.body["input"]["image"])), photo())


@pytest.mark.parametrize("form", ["uri", "base64"])
def test_fal_gets_several_pictures_in_the_form_that_it_wants(run_app: RunApp, sqlite_url: str, form: str) -> None:
    takes = {"images": {"as": "image_urls", "form": form, "maxItems": 2}}
    with (
        FalFake().running() as fake,
        run_app(database_url=sqlite_url, **backed_by(fake, "fal", "fal-ai/flux/schnell", parameters=takes)) as app,
        app.client() as client,
    ):
        first, second = uploaded(client)["id"], uri(encoded(photo(32, 32)))
        media = client.completed(model="painter", images=[first, second])
        assert media["parameters"]["images"][0] == first
        assert "more than 2" in refused(client, field="parameters.images", model="painter", images=[first] * 3)
        assert "there is no file" in refused(
            client, field="parameters.images.1", model="painter", images=[first, str(UUID(int=7))]
        )
        (created,) = fake.created
    sent = created.body["image_urls"]
    assert [text.startswith("data:image/png;base64,") for text in sent] == [form == "uri"] * 2
    assert [opened(decoded(text)).size for text in sent] == [(64, 48), (32, 32)]


def decoded(text: str) -> bytes:
    return base64.b64decode(text.rpartition(",")[2], validate=True)


def test_a_media_of_before_there_were_uploads_is_made_all_the_same(run_app: RunApp, sqlite_url: str) -> None:
    """Its row holds the picture itself, as a `data:` URI."""
    with run_app(database_url=sqlite_url, working=False) as app, app.client() as client:
        media_id = client.generate(model="sketch", parameters={"width": 64, "height": 64})["id"]
    uri = f"data:image/png;base64,{base64.b64encode(encoded(photo())).decode()}"
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as database:
        parameters = json.dumps({"width": 64, "height": 64, "n": 1, "image": uri})
        database.execute("UPDATE media SET parameters = ?", [parameters])
    database.close()
    with run_app(database_url=sqlite_url) as app, app.client() as client:
        client.until(media_id, "COMPLETED")
