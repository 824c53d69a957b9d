"""The unmodified `openai` client, pointed at us: only its address is changed."""

import base64
import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types import ImagesResponse
from PIL import Image

from darkroom.settings import Account, Budget, Model, Price, Route
from services.app import App, Client, RunApp
from services.backends.base import Fake
from services.backends.fal import FalFake
from services.backends.openai import OpenAIFake
from services.backends.replicate import SCHNELL, ReplicateFake
from services.scraped import scrape
from services.server import eventually

WISH: dict[str, Any] = {"model": "sketch", "prompt": "a pier at dusk", "size": "64x48"}
DUMMY: dict[str, Any] = {"model": "dummy", "prompt": "a pier at dusk"}
ONCE_MORE = {"x-stainless-retry-count": "1"}


def failing(error: str) -> dict[str, Any]:
    return {**DUMMY, "extra_body": {"error": error, "error_rate": 1}}


def slow(seconds: float) -> dict[str, Any]:
    return {**DUMMY, "extra_body": {"delay": seconds}}


def client_of(app: App, **options: Any) -> OpenAI:
    return OpenAI(base_url=f"{app.url}/openai/v1", api_key="any", **options)


@pytest.fixture
def service(run_app: RunApp, sqlite_url: str) -> Iterator[App]:
    with run_app(database_url=sqlite_url, starter_models=False) as app:
        yield app


@pytest.fixture
def client(service: App) -> Iterator[OpenAI]:
    with client_of(service) as client:
        yield client


@pytest.fixture
def native(service: App) -> Iterator[Client]:
    with service.client() as native:
        yield native


def picture(encoded: str | None) -> Image.Image:
    image = Image.open(io.BytesIO(base64.b64decode(encoded or "")))
    image.load()
    return image


def pictures(answer: ImagesResponse) -> list[Image.Image]:
    return [picture(one.b64_json) for one in answer.data or ()]


def drawing(colour: str = "teal", mode: str = "RGB") -> bytes:
    content = io.BytesIO()
    Image.new(mode, (64, 64), colour).save(content, "PNG")
    return content.getvalue()


def colour_of(content: bytes) -> Any:
    with Image.open(io.BytesIO(content)) as image:
        return image.convert("RGBA").getpixel((32, 32))


# Pictures from words


def test_pictures_come_in_the_answer_in_the_size_that_was_asked_for(client: OpenAI) -> None:
    answer = client.images.generate(**WISH, n=2)
    assert [image.size for image in pictures(answer)] == [(64, 48), (64, 48)]
    assert (answer.size, answer.output_format) == ("64x48", "png")
    assert answer.usage is not None
    assert answer.usage.total_tokens == 0


def test_the_default_model_and_size_need_not_be_named(run_app: RunApp, sqlite_url: str) -> None:
    with run_app(database_url=sqlite_url, default_model="dummy") as app, client_of(app) as client:
        assert len(pictures(client.images.generate(prompt="a pier", size="auto", model=None))) == 1


def test_a_link_works_without_credentials(client: OpenAI, native: Client) -> None:
    (one,) = client.images.generate(**WISH, response_format="url").data or ()
    assert one.b64_json is None
    response = native.get(one.url or "")
    assert response.status_code == 200
    assert Image.open(io.BytesIO(response.content)).size == (64, 48)


@pytest.mark.parametrize("wanted", ["png", "jpeg", "webp"])
def test_the_format_is_chosen(client: OpenAI, wanted: Any) -> None:
    answer = client.images.generate(**WISH, output_format=wanted, output_compression=80)
    assert [image.format for image in pictures(answer)] == [wanted.upper()]
    assert answer.output_format == wanted


def test_what_openai_does_not_know_reaches_the_model(client: OpenAI) -> None:
    first, again, other = (
        pictures(client.images.generate(**WISH, extra_body={"seed": seed}))[0].tobytes() for seed in (7, 7, 8)
    )
    assert first == again != other


def test_hints_are_left_out_where_the_model_has_no_such_thing(client: OpenAI, native: Client) -> None:
    answer = client.images.generate(
        **WISH, quality="high", style="vivid", moderation="low", background="opaque", user="user-1", n=None
    )
    assert (answer.quality, answer.background) == ("high", "opaque")
    (media,) = native.listed()
    assert media["parameters"].keys().isdisjoint({"quality", "moderation", "background"})
    assert media["parameters"]["style"] == "auto"
    assert media["metadata"] == {"user": "user-1"}


@pytest.mark.parametrize(
    ("wish", "param"),
    [
        ({"size": "999999x1"}, "size"),
        ({"size": "large"}, "size"),
        ({"n": 11}, "n"),
        ({"n": "many"}, "n"),
        ({"prompt": " "}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"output_format": "gif"}, "output_format"),
        ({"background": "transparent"}, "background"),
        ({"response_format": "smoke"}, "response_format"),
        ({"partial_images": 4}, "partial_images"),
        ({"style": "no-such-style"}, "style"),
        ({"extra_body": {"steps": 4}}, "steps"),
        ({"extra_body": {"seed": "\x00"}}, "body"),
    ],
)
def test_a_bad_wish_is_an_error_that_names_it(client: OpenAI, native: Client, wish: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.images.generate(**WISH | wish)
    error = refused.value
    assert (error.param, error.type, error.code) == (param, "invalid_request_error", "invalid_value")
    assert error.body == {
        "message": error.body["message"],  # type: ignore[index]
        "type": error.type, "param": param, "code": error.code,
    }  # fmt: skip
    assert error.request_id
    assert native.listed() == []


def test_a_model_that_is_not_here_is_not_found(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        client.images.generate(model="dall-e-9", prompt="a pier")
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")
    assert "sketch" in refused.value.message


def test_what_is_no_part_of_this_surface_is_not_found_in_its_words(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="sketch", messages=[{"role": "user", "content": "hello"}])
    assert refused.value.code == "not_found"


def test_the_bare_prefix_answers_in_the_same_shape(native: Client) -> None:
    answer = native.get("/openai")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("body", [b"{", b"[]", b'"a pier"', b"\xff"])
def test_a_body_that_is_no_object_is_a_bad_request(native: Client, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    response = native.post("/openai/v1/images/generations", content=body, headers=headers)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


# Models


def test_models_are_listed_and_shown(client: OpenAI) -> None:
    listed = {model.id: model for model in client.models.list()}
    assert {"sketch", "dummy"} <= listed.keys()
    shown = client.models.retrieve("sketch")
    assert shown == listed["sketch"]
    assert (shown.object, shown.owned_by) == ("model", "sketch")
    with pytest.raises(openai.NotFoundError) as refused:
        client.models.retrieve("dall-e-9")
    assert refused.value.code == "model_not_found"


def test_a_model_is_not_deleted_from_here(client: OpenAI) -> None:
    with pytest.raises(openai.PermissionDeniedError, match="settings") as refused:
        client.models.delete("sketch")
    assert (refused.value.type, refused.value.code) == ("permission_error", "forbidden")
    with pytest.raises(openai.NotFoundError):
        client.models.delete("dall-e-9")
    assert client.models.retrieve("sketch").id == "sketch"


def test_a_model_goes_by_the_name_that_it_has_at_its_backend_too(run_app: RunApp, sqlite_url: str) -> None:
    served = {"house": Model(routes=[Route(provider="replicate", model="acme/pictures")])}
    with run_app(database_url=sqlite_url, models=served, starter_models=False) as app, client_of(app) as client:
        assert client.models.retrieve("acme/pictures").id == "house"


# What ends without a picture


@pytest.mark.parametrize(
    ("error", "raised", "kind", "code"),
    [
        ("rejected", openai.BadRequestError, "image_generation_user_error", "moderation_blocked"),
        ("permanent", openai.InternalServerError, "server_error", "provider_failed"),
        ("transient", openai.InternalServerError, "server_error", "provider_unavailable"),
    ],
)
def test_a_failure_is_told_once(
    run_app: RunApp, sqlite_url: str, error: str, raised: type[openai.APIStatusError], kind: str, code: str
) -> None:
    with (
        run_app(database_url=sqlite_url, max_tries=2) as app,
        client_of(app, max_retries=2) as client,
        app.client() as native,
    ):
        with pytest.raises(raised) as refused:
            client.images.generate(**failing(error))
        assert (refused.value.type, refused.value.code) == (kind, code)
        assert error in refused.value.message
        assert refused.value.response.headers["x-should-retry"] == "false"
        assert refused.value.response.request.headers["x-stainless-retry-count"] == "0"
        assert len(native.listed()) == 1


def test_a_cancelled_one_is_not_asked_for_again(client: OpenAI, native: Client) -> None:
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.images.generate, **slow(60))
        eventually(native.listed)
        (media,) = native.listed()
        native.post(f"/media/{media['id']}/cancel").raise_for_status()
        with pytest.raises(openai.ConflictError) as refused:
            asked.result(20)
    assert refused.value.code == "cancelled"
    assert len(native.listed()) == 1


def test_a_deleted_one_is_not_found(client: OpenAI, native: Client) -> None:
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.images.generate, **slow(60))
        eventually(native.listed)
        native.delete(f"/media/{native.listed()[0]['id']}").raise_for_status()
        with pytest.raises(openai.NotFoundError):
            asked.result(20)
    assert native.listed() == []


def test_a_spent_budget_is_no_reason_to_ask_again(run_app: RunApp, sqlite_url: str) -> None:
    dear = Model(routes=[Route(provider="dummy", model="dummy", price=Price(per_picture=Decimal(1)))])
    budgets = [Budget(owner="*", per_day=Decimal("0.5"))]
    with run_app(database_url=sqlite_url, models={"dear": dear}, budgets=budgets) as app, client_of(app) as client:
        with pytest.raises(openai.RateLimitError) as refused:
            client.images.generate(model="dear", prompt="a pier")
        assert (refused.value.type, refused.value.code) == ("insufficient_quota", "insufficient_quota")
        assert refused.value.response.request.headers["x-stainless-retry-count"] == "0"


def test_a_full_queue_says_when_to_come_again(run_app: RunApp, sqlite_url: str) -> None:
    lanes = {"default": {"max_queued": 1}}
    with (
        run_app(database_url=sqlite_url, working=False, lanes=lanes) as app,
        app.client() as native,
        client_of(app, max_retries=0) as client,
    ):
        native.generate()
        with pytest.raises(openai.RateLimitError) as refused:
            client.images.generate(**DUMMY)
        assert refused.value.code == "rate_limit_exceeded"
        assert int(refused.value.response.headers["retry-after"]) >= 1
        assert "x-should-retry" not in refused.value.response.headers


def test_one_who_has_left_is_not_waited_for(service: App, native: Client) -> None:
    waiting = scrape(service.url).value("darkroom_watchers")
    with client_of(service, timeout=0.2, max_retries=0) as client, pytest.raises(openai.APITimeoutError):
        client.images.generate(**slow(60))
    eventually(lambda: scrape(service.url).value("darkroom_watchers") == waiting)
    assert native.listed()[0]["status"] in ("IN_QUEUE", "PROCESSING")


# Asking again


def test_a_client_that_lost_patience_gets_what_it_had_asked_for(app: App) -> None:
    with client_of(app, timeout=0.7, max_retries=2) as client, app.client() as native:
        assert len(pictures(client.images.generate(**slow(1.2)))) == 1
        assert len(native.listed()) == 1


def post(app: App, wish: dict[str, Any], **headers: str) -> list[str]:
    """The addresses of the pictures that answer `wish`, without what signs them."""
    with client_of(app, max_retries=0) as client:
        answer = client.images.generate(**wish, response_format="url", extra_headers=headers)
    return [(one.url or "").partition("?")[0] for one in answer.data or ()]


def test_a_first_request_is_never_taken_for_another(app: App) -> None:
    assert post(app, DUMMY) != post(app, DUMMY)


def test_a_repeated_request_is_answered_with_the_newest_of_the_same(app: App) -> None:
    post(app, DUMMY)
    newest = post(app, DUMMY)
    other = post(app, {**DUMMY, "prompt": "a mole at dusk"})
    assert post(app, DUMMY, **ONCE_MORE) == newest
    assert post(app, {**DUMMY, "prompt": "a mole at dusk"}, **ONCE_MORE) == other
    assert post(app, {**DUMMY, "n": 2}, **ONCE_MORE) != newest


def test_what_ended_a_while_ago_is_not_what_a_retry_is_about(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    first, now = post(app, DUMMY), app.engine.database.now
    assert post(app, DUMMY, **ONCE_MORE) == first
    monkeypatch.setattr(app.engine.database, "now", lambda: now() + timedelta(seconds=31))
    assert post(app, DUMMY, **ONCE_MORE) != first


def test_what_others_asked_for_by_another_way_is_not_repeated(app: App) -> None:
    with app.client() as native:
        media = native.completed(prompt=DUMMY["prompt"])
    assert media["id"] not in post(app, DUMMY, **ONCE_MORE)[0]


def test_a_key_says_what_is_the_same(app: App) -> None:
    key = {"Idempotency-Key": "mine"}
    first = post(app, DUMMY, **key)
    assert post(app, DUMMY, **key) == first
    assert post(app, DUMMY, **ONCE_MORE) != first
    with pytest.raises(openai.BadRequestError) as refused:
        post(app, {**DUMMY, "n": 2}, **key)
    assert refused.value.code == "idempotency_mismatch"


def test_one_who_waits_while_the_service_stops_gets_it_elsewhere(run_app: RunApp, database_url: str) -> None:
    wish = {"model": "dummy", "prompt": "a pier at dusk"}
    with (
        run_app(database_url=database_url, working=False) as leaving,
        ThreadPoolExecutor(1) as pool,
        leaving.client() as waiting,
        leaving.client() as native,
    ):
        asked = pool.submit(waiting.post, "/openai/v1/images/generations", json=wish)
        eventually(native.listed)
        (media,) = native.listed()
        leaving.loop.call_soon_threadsafe(leaving.engine.begin_stop)
        answer = asked.result(20)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "10", "as long as a restart takes"
    assert "x-should-retry" not in answer.headers
    with run_app(database_url=database_url) as staying:
        (url,) = post(staying, wish, **ONCE_MORE)
    assert media["id"] in url


def test_two_who_repeat_at_once_at_two_processes_get_the_same(run_app: RunApp, database_url: str) -> None:
    with (
        run_app(database_url=database_url, working=False) as one,
        run_app(database_url=database_url, working=False) as two,
        ThreadPoolExecutor(2) as pool,
    ):
        with client_of(one, timeout=0.3, max_retries=0) as client, pytest.raises(openai.APITimeoutError):
            client.images.generate(**DUMMY)
        asked = [pool.submit(post, app, DUMMY, **ONCE_MORE) for app in (one, two)]
        with run_app(database_url=database_url) as maker, maker.client() as native:
            first, second = ([url.partition("/media/")[2] for url in each.result(20)] for each in asked)
            assert first == second
            assert len(native.listed()) == 1


# Streams


def test_pictures_on_their_way_come_before_those_that_are_done(client: OpenAI) -> None:
    wish = {**WISH, "size": "2048x1024", "n": 2, "partial_images": 1}
    first, *others = client.images.generate(**wish, stream=True)
    assert first.type == "image_generation.partial_image"
    assert (first.partial_image_index, first.size, first.quality) == (0, "2048x1024", "auto")
    assert picture(first.b64_json).format == first.output_format.upper()
    assert [event.type for event in others] == ["image_generation.completed"] * 2
    for event in others:
        assert event.type == "image_generation.completed"
        assert picture(event.b64_json).size == (2048, 1024)
        assert (event.size, event.output_format, event.usage.total_tokens) == ("2048x1024", "png", 0)


def test_without_partial_images_only_those_that_are_done_come(client: OpenAI) -> None:
    events = list(client.images.generate(**WISH | {"size": "2048x1024"}, stream=True))
    assert [event.type for event in events] == ["image_generation.completed"]


def test_no_event_of_a_stream_has_an_id(native: Client) -> None:
    response = native.post("/openai/v1/images/generations", json={**WISH, "stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert {line.partition(":")[0] for line in response.text.splitlines()} == {"", "event", "data"}


@pytest.mark.parametrize(("error", "code"), [("rejected", "moderation_blocked"), ("permanent", "provider_failed")])
def test_a_failure_in_a_stream_is_raised(client: OpenAI, error: str, code: str) -> None:
    with pytest.raises(openai.APIError, match=error) as raised:
        list(client.images.generate(**failing(error), stream=True))
    assert raised.value.code == code


def test_a_wish_that_is_refused_begins_no_stream(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.images.generate(**WISH | {"size": "large"}, stream=True)
    assert refused.value.param == "size"


def test_a_stream_that_is_deleted_ends_with_an_error(client: OpenAI, native: Client) -> None:
    with client.images.generate(**slow(60), stream=True) as stream:
        eventually(native.listed)
        native.delete(f"/media/{native.listed()[0]['id']}").raise_for_status()
        with pytest.raises(openai.APIError, match="there is no media"):
            list(stream)


# A model of OpenAI's behind ours


@pytest.fixture
def through(run_app: RunApp, sqlite_url: str) -> Iterator[tuple[OpenAI, OpenAIFake]]:
    """The client, of a service whose `gpt-image-2.6` is made by OpenAI itself."""
    with OpenAIFake().running() as fake:
        models = {
            "gpt-image-2.6": Model(routes=[Route(provider="itself", model="gpt-image-2.6-sunburst")]),
            "gpt-image-1.5": Model(routes=[Route(provider="itself", model="gpt-image-1.5")]),
        }
        account = Account(provider="openai", url=f"{fake.url}/v1", key=Fake.key)
        settings = {"models": models, "accounts": {"itself": account}, "starter_models": False}
        with run_app(database_url=sqlite_url, **settings) as app, client_of(app) as client:
            yield client, fake


def test_what_the_model_takes_is_passed_on(through: tuple[OpenAI, OpenAIFake]) -> None:
    client, fake = through
    wish: dict[str, Any] = {
        "prompt": "a pier", "size": "1536x864", "n": 2, "quality": "max", "background": "transparent",
        "output_format": "webp", "output_compression": 80, "complexity": "low",
    }  # fmt: skip
    answer = client.images.generate(**wish, model="gpt-image-2.6-sunburst", moderation="low", style="vivid")
    (made,) = fake.created
    sent = {name: value for name, value in made.body.items() if name not in ("model", "stream", "partial_images")}
    assert sent == wish
    assert (answer.quality, answer.background, answer.output_format) == ("max", "transparent", "webp")


@pytest.mark.parametrize(("wish", "param"), [({"size": "1000x1000"}, "size"), ({"quality": "hihg"}, "quality")])
def test_what_openai_would_refuse_is_refused_here(
    through: tuple[OpenAI, OpenAIFake], wish: dict[str, Any], param: str
) -> None:
    client, fake = through
    with pytest.raises(openai.BadRequestError) as refused:
        client.images.generate(model="gpt-image-1.5", prompt="a pier", **wish)
    assert refused.value.param == param
    assert fake.created == []


def test_an_edit_passes_through_what_is_for_a_backend(through: tuple[OpenAI, OpenAIFake]) -> None:
    client, fake = through
    more = {"provider_options": {"itself": {"user": "a painter"}}}
    client.images.edit(model="gpt-image-1.5", prompt="a pier", image=drawing(), extra_body=more)
    (made,) = fake.created
    assert made.body["user"] == "a painter"
    with pytest.raises(openai.BadRequestError) as refused:
        client.images.edit(model="gpt-image-1.5", prompt="a pier", image=drawing(), extra_body={"n": [1, 2]})
    assert refused.value.param == "n"


def test_an_edit_with_a_mask_reaches_the_model(through: tuple[OpenAI, OpenAIFake]) -> None:
    client, fake = through
    mask = drawing("#12345678", "RGBA")
    answer = client.images.edit(model="gpt-image-1.5", prompt="a pier", image=drawing(), mask=mask, quality="hd")  # type: ignore[call-overload]
    assert len(pictures(answer)) == 1
    (made,) = fake.created
    assert made.body["prompt"] == "a pier"
    assert [colour_of(made.body[name]) for name in ("image", "mask")] == [(0, 128, 128, 255), (18, 52, 86, 120)]


def test_an_edit_of_several_pictures_with_a_mask_reaches_openai(through: tuple[OpenAI, OpenAIFake]) -> None:
    client, fake = through
    given = {"image": [drawing("teal"), drawing("red")], "mask": drawing("#12345678", "RGBA")}
    answer = client.images.edit(model="gpt-image-2.6", prompt="a pier", **given)
    assert len(pictures(answer)) == 1
    (made,) = fake.created
    sent = [made.body[name] for name in ("image[]", "image[]1", "mask")]
    assert [colour_of(content) for content in sent] == [(0, 128, 128, 255), (255, 0, 0, 255), (18, 52, 86, 120)]


def test_an_edit_of_several_pictures_reaches_a_model_that_takes_them(run_app: RunApp, sqlite_url: str) -> None:
    options = {"parameters": {"images": {"as": "image_urls"}, "mask": {"as": "mask_url"}}}
    models = {"merge": Model(routes=[Route(provider="fal", model="acme/merge", options=options)])}
    given = {"image": [drawing("teal"), drawing("red")], "mask": drawing("#12345678", "RGBA")}
    with FalFake().running() as fake:
        accounts = {"fal": Account(provider="fal", url=fake.url, key=Fake.key)}
        with run_app(database_url=sqlite_url, models=models, accounts=accounts) as app, client_of(app) as client:
            answer = client.images.edit(model="merge", prompt="a pier", **given)
        assert len(pictures(answer)) == 1
        (made,) = fake.created
    sent = [base64.b64decode(uri.partition(",")[2]) for uri in (*made.body["image_urls"], made.body["mask_url"])]
    assert [colour_of(content) for content in sent] == [(0, 128, 128, 255), (255, 0, 0, 255), (18, 52, 86, 120)]


# Pictures from pictures


def test_an_edit_starts_from_a_picture(client: OpenAI) -> None:
    wish = {**WISH, "extra_body": {"seed": 7, "strength": 0.2}}
    teal, red = (
        pictures(client.images.edit(**wish, image=drawing(colour)))[0].convert("RGB").resize((1, 1)).getpixel((0, 0))
        for colour in ("teal", "red")
    )
    assert isinstance(teal, tuple)
    assert isinstance(red, tuple)
    assert red[0] > teal[0] + 50


def test_a_variation_needs_no_words(client: OpenAI, native: Client) -> None:
    with pytest.warns(DeprecationWarning, match="deprecated"):
        answer = client.images.create_variation(model="sketch", image=("a.png", drawing()), n=2)
    assert len(pictures(answer)) == 2
    assert native.listed()[0]["parameters"]["image"]


def test_an_edit_streams(client: OpenAI) -> None:
    events = list(client.images.edit(**WISH, image=[drawing()], stream=True, partial_images=1))
    assert [event.type for event in events] == ["image_edit.completed"]


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"image": b"Example data"}, "image"),
        ({"image": [drawing(), drawing("red")]}, "image"),
        ({"image": drawing(), "mask": drawing(mode="RGBA")}, "mask"),
        ({"image": drawing(), "markup": drawing()}, "markup"),
        ({"image": drawing(), "background": "transparent"}, "background"),
        ({"image": drawing(), "n": 11}, "n"),
        ({"image": drawing(), "prompt": ""}, "prompt"),
    ],
)
def test_a_bad_edit_is_an_error_that_names_it(client: OpenAI, given: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.images.edit(**WISH | given)
    assert refused.value.param == param


def test_an_edit_needs_a_picture(native: Client) -> None:
    response = native.post("/openai/v1/images/edits", json=WISH)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "prompt")
    response = native.post("/openai/v1/images/edits", data={"prompt": "a pier"})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "image")


def test_a_model_that_takes_no_picture_says_so(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="dummy has no parameter 'image'") as refused:
        client.images.edit(**DUMMY, image=drawing())
    assert refused.value.param == "image"


def test_an_edit_is_repeated_by_what_its_picture_shows(client: OpenAI, native: Client) -> None:
    def edit(colour: str, **headers: str) -> None:
        client.images.edit(**WISH, image=drawing(colour), extra_headers=headers)

    edit("teal")
    edit("teal", **ONCE_MORE)
    assert len(native.listed()) == 1
    edit("red", **ONCE_MORE)
    assert len(native.listed()) == 2


def test_placeholders_are_taken_where_the_settings_say_so(run_app: RunApp, sqlite_url: str) -> None:
    given: dict[str, Any] = {"image": b"Example data", "mask": b"Example data", "markup": b"Example data"}
    with (
        run_app(database_url=sqlite_url, openai_placeholder_pictures=True) as app,
        client_of(app) as client,
    ):
        answer = client.images.edit(**WISH, **given, background="transparent", svg={"model": "any"}, frame_count=2)
        assert len(pictures(answer)) == 1


# The rest of the client


async def _asynchronously(url: str) -> None:
    async with AsyncOpenAI(base_url=f"{url}/openai/v1", api_key="any") as client:
        assert [image.size for image in pictures(await client.images.generate(**WISH))] == [(64, 48)]
        events = [event async for event in await client.images.generate(**WISH, stream=True)]
        assert [event.type for event in events] == ["image_generation.completed"]
        assert "sketch" in [model.id async for model in client.models.list()]
        with pytest.raises(openai.BadRequestError):
            await client.images.generate(**WISH | {"size": "large"})


@pytest.mark.anyio
async def test_the_asynchronous_client_works(service: App) -> None:
    await _asynchronously(service.url)


@pytest.mark.parametrize("call", ["with_raw_response", "with_streaming_response"])
def test_raw_and_streamed_answers_work(client: OpenAI, call: str) -> None:
    generate: Callable[..., Any] = getattr(client.images, call).generate
    if call == "with_raw_response":
        response = generate(**WISH)
        assert response.request_id
        assert len(pictures(response.parse())) == 1
    else:
        with generate(**WISH) as response:
            assert len(pictures(response.parse())) == 1


# A model that several backends serve, which say sizes in their own ways

SHAPES = {"aspect_ratio": {"enum": ["1:1", "16:9"], "default": "1:1"}}
PIXELS = {name: {"as": f"image_size.{name}"} for name in ("width", "height")}


def test_a_size_goes_the_first_way_and_fails_over_to_the_next(run_app: RunApp, sqlite_url: str) -> None:
    with ReplicateFake().running() as first, FalFake().running() as second:
        routes = [
            Route(provider="replicate", model=SCHNELL, options={"parameters": SHAPES}),
            Route(provider="fal", model="fal-ai/flux/schnell", options={"parameters": PIXELS}),
        ]
        accounts = {
            "replicate": Account(provider="replicate", url=f"{first.url}/v1", key=Fake.key),
            "fal": Account(provider="fal", url=second.url, key=Fake.key),
        }
        settings = {"models": {"flux": Model(routes=routes)}, "accounts": accounts, "starter_models": False}
        with run_app(database_url=sqlite_url, **settings) as app, client_of(app) as client:
            client.images.generate(model="flux", prompt="a pier", size="1792x1008")
            assert [made.body["input"]["aspect_ratio"] for made in first.created] == ["16:9"]
            first.fail("create", status=500, times=1000)
            client.images.generate(model="flux", prompt="a pier", size="1792x1008")
            assert [made.body["image_size"] for made in second.created] == [{"width": 1792, "height": 1008}]
