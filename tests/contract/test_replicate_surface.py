"""The unmodified `replicate` client, pointed at us: only its address is changed."""

import io
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from PIL import Image
from replicate import Client
from replicate.exceptions import ModelError, ReplicateError
from replicate.helpers import FileOutput
from replicate.prediction import Prediction
from replicate.stream import ServerSentEvent

from darkroom.api.replicate import predictions
from services.app import App, OverTls, RunApp
from services.backends.base import Fake
from services.backends.fal import FalFake
from services.backends.replicate import SCHNELL, SDXL, SDXL_VERSION, ReplicateFake
from services.routes import nowhere
from services.server import eventually
from services.targets import HERE, Target

SKETCH = "darkroom/sketch"
DUMMY = "darkroom/dummy"
SMALL = {"prompt": "a pier at dusk", "width": 64, "height": 48}
WISH = {"prompt": "a pier at dusk"}
FAILING = {**WISH, "error": "permanent", "error_rate": 1}
SLOW = {**WISH, "delay": 60, "steps": 600}


def client_of(app: App) -> Client:
    client = Client(api_token="any", base_url=f"{app.url}/replicate")
    client.poll_interval = 0.02
    return client


@contextmanager
def client_at(app: App) -> Iterator[Client]:
    client = client_of(app)
    yield client
    client._client.close()


@pytest.fixture
def service(run_app: RunApp, sqlite_url: str) -> Iterator[App]:
    with run_app(database_url=sqlite_url, starter_models=False) as app:
        yield app


@pytest.fixture
def replicate(service: App) -> Iterator[Client]:
    with client_at(service) as client:
        yield client


@pytest.fixture
async def aside(service: App) -> AsyncIterator[Client]:
    """A client for asynchronous calls."""
    client = client_of(service)
    yield client
    await client._async_client.aclose()


@pytest.fixture
def hosted() -> Iterator[ReplicateFake]:
    """What models that are at Replicate are served by."""
    with ReplicateFake().running() as fake:
        yield fake


VERSION = f"{SDXL}:{SDXL_VERSION}"
AT_REPLICATE = {"routes": [{"provider": "replicate", "model": SCHNELL}]}
PINNED = {"routes": [{"provider": "replicate", "model": VERSION}]}


def serving(fake: ReplicateFake | str, **models: Any) -> dict[str, Any]:
    """Settings of a service whose models are at Replicate."""
    url = fake if isinstance(fake, str) else fake.api
    account = {"url": url, "key": Fake.key, "options": {"poll": 0.01}}
    return {"accounts": {"replicate": account}, "models": models, "starter_models": False}


def size_of(content: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(content)) as picture:
        picture.load()
        return picture.size


def drawing(size: tuple[int, int] = (64, 48), colour: str = "teal") -> bytes:
    content = io.BytesIO()
    Image.new("RGB", size, colour).save(content, "PNG")
    return content.getvalue()


def until(prediction: Prediction, *statuses: str) -> Prediction:
    deadline = time.monotonic() + 20
    while prediction.status not in statuses:
        assert time.monotonic() < deadline, prediction
        time.sleep(0.01)
        prediction.reload()
    return prediction


def asked(app: App, method: str, path: str, **options: Any) -> httpx.Response:
    return httpx.request(method, f"{app.url}/replicate/v1{path}", timeout=30, **options)


# Running


def test_run_gives_file_objects_that_read(app: App) -> None:
    with client_at(app) as client:
        outputs = client.run(SKETCH, input={**SMALL, "num_outputs": 2})
        assert all(isinstance(output, FileOutput) for output in outputs)
        assert [size_of(output.read()) for output in outputs] == [(64, 48), (64, 48)]
        assert size_of(b"".join(outputs[0])) == (64, 48)


def test_run_takes_a_version_with_its_model_or_alone(replicate: Client) -> None:
    model = replicate.models.get(SKETCH)
    assert model.latest_version is not None
    for ref in (f"{SKETCH}:{model.latest_version.id}", model, model.latest_version):
        assert size_of(replicate.run(ref, input=SMALL)[0].read()) == (64, 48)


def test_run_without_file_output_gives_addresses(replicate: Client) -> None:
    outputs = replicate.run(SKETCH, input=SMALL, use_file_output=False)
    assert outputs[0].startswith("data:image/png;base64,")


async def test_async_run_gives_file_objects_that_read(aside: Client) -> None:
    output = (await aside.async_run(SKETCH, input=SMALL))[0]
    assert size_of(await output.aread()) == (64, 48)
    assert size_of(b"".join([chunk async for chunk in output])) == (64, 48)


@pytest.mark.parametrize("wait", [1, False])
def test_run_goes_on_when_the_wait_is_over(replicate: Client, wait: int | bool) -> None:
    outputs = replicate.run(DUMMY, input={**WISH, "delay": 1.3}, wait=wait)
    assert size_of(outputs[0].read()) == (16, 16)


def test_a_wait_that_runs_out_answers_in_time_with_starting(replicate: Client) -> None:
    began = time.monotonic()
    prediction = replicate.models.predictions.create(DUMMY, input=SLOW, wait=1)
    assert prediction.status == "starting"
    assert 1 <= time.monotonic() - began < 1.5
    until(prediction, "processing").cancel()


def test_a_failure_is_a_model_error_with_its_prediction(replicate: Client) -> None:
    with pytest.raises(ModelError, match="asked for permanent") as raised:
        replicate.run(DUMMY, input=FAILING)
    assert raised.value.prediction.status == "failed"
    assert raised.value.prediction.output is None


def test_what_applications_write_for_other_models_is_understood(replicate: Client) -> None:
    wish = {
        **WISH, "aspect_ratio": "16:9", "megapixels": "0.25", "num_outputs": 2, "num_inference_steps": 3,
        "output_format": "jpg", "output_quality": 80, "go_fast": True, "seed": None, "negative_prompt": "",
        "prompt_upsampling": False,
    }  # fmt: skip
    outputs = replicate.run(DUMMY, input=wish)
    assert [size_of(output.read()) for output in outputs] == [(688, 384), (688, 384)]
    made = replicate.predictions.list()[0]
    assert made.input is not None
    assert {name: made.input[name] for name in ("n", "steps", "output_format")} == {
        "n": 2, "steps": 3, "output_format": "jpeg",
    }  # fmt: skip


# What the hosted model itself takes


def test_what_the_model_at_replicate_takes_beyond_ours_reaches_it(
    run_app: RunApp, sqlite_url: str, hosted: ReplicateFake
) -> None:
    wishes: list[tuple[str, dict[str, Any]]] = [
        (SCHNELL, {"output_quality": 90, "go_fast": False, "disable_safety_checker": True}),
        (SCHNELL, {"go_fast": True, "num_inference_steps": 2, "num_outputs": 2, "output_format": "jpg"}),
        (VERSION, {"scheduler": "PNDM", "refine": "no_refiner", "apply_watermark": False}),
    ]
    with (
        run_app(database_url=sqlite_url, **serving(hosted, flux=AT_REPLICATE, sdxl=PINNED)) as app,
        client_at(app) as client,
    ):
        for ref, given in wishes:
            client.run(ref, input={**WISH, **given})
            sent = hosted.created[-1].body["input"]
            assert {name: sent.get(name) for name in given} == given


def test_what_is_passed_through_is_shown_and_told_apart(
    run_app: RunApp, sqlite_url: str, hosted: ReplicateFake
) -> None:
    with run_app(database_url=sqlite_url, working=False, **serving(hosted, flux=AT_REPLICATE)) as app:
        statuses = []
        for fast in (True, True, False):
            body, headers = {"version": SCHNELL, "input": {**WISH, "go_fast": fast}}, {"Idempotency-Key": "once"}
            answer = asked(app, "POST", "/predictions", json=body, headers=headers)
            statuses.append(answer.status_code)
        assert statuses == [201, 201, 422]
        made = asked(app, "GET", "/predictions").json()["results"][0]
        assert made["input"]["provider_options"] == {"replicate": {"go_fast": True}}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"megapixels": "0.25"}, "megapixels"),
        ({"num_outputs": 99}, "num_outputs"),
        ({"n": 1, "num_outputs": 4}, "num_outputs"),
        ({"max_images": 4}, "max_images"),
    ],
)
def test_nothing_that_changes_the_price_is_passed_through(
    run_app: RunApp, sqlite_url: str, hosted: ReplicateFake, given: dict[str, Any], field: str
) -> None:
    with (
        run_app(database_url=sqlite_url, **serving(hosted, flux=AT_REPLICATE)) as app,
        client_at(app) as client,
        pytest.raises(ReplicateError, match=rf"- input\.{field}: "),
    ):
        client.run(SCHNELL, input={**WISH, **given})
    assert hosted.created == []


def test_a_route_elsewhere_makes_the_picture_without_it(
    run_app: RunApp, sqlite_url: str, hosted: ReplicateFake
) -> None:
    with FalFake().running() as elsewhere:
        settings = serving(hosted, flux={"routes": [*AT_REPLICATE["routes"], {"provider": "fal", "model": "a/flux"}]})
        options = {"catalogue": f"{elsewhere.url}/v1", "poll": 0.01}
        settings["accounts"]["fal"] = {"url": elsewhere.url, "key": Fake.key, "options": options}
        hosted.fail("create", status=500, times=9)
        with run_app(database_url=sqlite_url, **settings) as app, client_at(app) as client:
            client.run(SCHNELL, input={**WISH, "go_fast": False, "aspect_ratio": "1:1"})
        assert "go_fast" not in elsewhere.created[0].body


def test_over_tls_outputs_are_links_that_read(over_tls: OverTls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(over_tls.trusted))
    with client_at(over_tls) as client:
        output = client.run(SKETCH, input=SMALL)[0]
        assert output.url.startswith(f"{over_tls.url}/media/")
        assert size_of(output.read()) == (64, 48)
        assert size_of(b"".join(output)) == (64, 48)
        streamed: Any = [event.data for event in client.stream(SKETCH, input=SMALL) if event.event.value == "output"]
        assert size_of(streamed[0].read()) == (64, 48)


# Predictions


def test_a_prediction_tells_its_life(app: App) -> None:
    with client_at(app) as client:
        prediction = client.predictions.create(version=SKETCH, input=SMALL)
        assert (prediction.model, prediction.error, prediction.output) == (SKETCH, None, None)
        assert prediction.urls is not None
        assert "stream" not in prediction.urls
        prediction.wait()
        assert prediction.status == "succeeded"
        assert prediction.input is not None
        assert {name: prediction.input[name] for name in SMALL} == SMALL
        assert prediction.logs
        assert prediction.metrics is not None
        assert prediction.metrics["predict_time"] >= 0
        assert prediction.created_at <= prediction.started_at <= prediction.completed_at  # type: ignore[operator]
        assert client.predictions.get(prediction.id).dict() == prediction.dict()
        assert size_of(httpx.get(client.predictions.list()[0].output[0]).content) == (64, 48)  # type: ignore[index]


def test_predictions_are_made_by_model_and_by_deployment(replicate: Client) -> None:
    deployment = replicate.deployments.get(SKETCH)
    made = [
        replicate.models.predictions.create(SKETCH, input=SMALL),
        replicate.deployments.predictions.create(deployment=SKETCH, input=SMALL),
        deployment.predictions.create(input=SMALL),
        replicate.predictions.create(model=SKETCH, input=SMALL),
    ]
    for prediction in made:
        prediction.wait()
        assert (prediction.status, prediction.model) == ("succeeded", SKETCH)


def test_predictions_are_listed_in_pages_newest_first(replicate: Client) -> None:
    made = [replicate.models.predictions.create(DUMMY, input=WISH).id for _ in range(103)]
    first = replicate.predictions.list()
    assert first.next is not None
    second = replicate.predictions.list(first.next)
    assert [prediction.id for prediction in [*first, *second]] == made[::-1]
    assert second.next is None


def test_the_next_page_is_of_what_was_asked_for(
    service: App, replicate: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictions, "A_PAGE", 2)
    made = [replicate.models.predictions.create(DUMMY, input=WISH) for _ in range(6)]
    within = {"created_after": made[1].created_at, "created_before": made[5].created_at}
    page = asked(service, "GET", "/predictions", params=within).json()
    listed = page["results"]
    while page["next"]:
        page = httpx.get(page["next"]).raise_for_status().json()
        listed += page["results"]
    assert [each["id"] for each in listed] == [each.id for each in made[4:0:-1]]


def test_progress_is_read_from_the_logs(replicate: Client) -> None:
    prediction = replicate.models.predictions.create(DUMMY, input=SLOW)
    deadline = time.monotonic() + 20
    while prediction.progress is None:
        assert time.monotonic() < deadline
        prediction.reload()
    assert (prediction.progress.total, prediction.status) == (600, "processing")
    prediction.cancel()


@pytest.mark.parametrize("status", ["starting", "processing"])
def test_a_prediction_is_cancelled(run_app: RunApp, sqlite_url: str, status: str) -> None:
    with run_app(database_url=sqlite_url, working=status == "processing") as app, client_at(app) as client:
        prediction = until(client.models.predictions.create(DUMMY, input=SLOW), status)
        prediction.cancel()
        assert until(prediction, "canceled").error is None
        assert client.predictions.cancel(prediction.id).status == "canceled"


async def test_predictions_are_made_and_cancelled_asynchronously(aside: Client) -> None:
    prediction = await aside.models.predictions.async_create(DUMMY, input=SLOW)
    await prediction.async_cancel()
    await prediction.async_wait()
    assert prediction.status == "canceled"
    assert (await aside.predictions.async_get(prediction.id)).status == "canceled"
    assert len(await aside.predictions.async_list()) == 1


def test_an_idempotency_key_is_honoured(service: App) -> None:
    body, headers = {"version": DUMMY, "input": WISH}, {"Idempotency-Key": "once"}
    first, second = (asked(service, "POST", "/predictions", json=body, headers=headers) for _ in range(2))
    assert first.json()["id"] == second.json()["id"]
    assert second.headers["Idempotent-Replayed"] == "true"


# Streams


def kinds(events: list[ServerSentEvent]) -> list[str]:
    return [event.event.value for event in events]


def test_a_stream_tells_the_story_and_ends_with_files(replicate: Client) -> None:
    events = list(replicate.stream(SKETCH, input={**SMALL, "n": 2}))
    assert kinds(events)[-3:] == ["output", "output", "done"]
    assert set(kinds(events)[:-3]) == {"logs"}
    outputs: list[Any] = [event.data for event in events[-3:-1]]
    assert [size_of(output.read()) for output in outputs] == [(64, 48), (64, 48)]


async def test_an_async_stream_does_the_same(aside: Client) -> None:
    events = [event async for event in await aside.async_stream(SKETCH, input=SMALL)]
    assert kinds(events)[-2:] == ["output", "done"]
    output: Any = events[-2].data
    assert size_of(await output.aread()) == (64, 48)


def test_the_stream_of_a_failure_raises_it(replicate: Client) -> None:
    with pytest.raises(RuntimeError, match="asked for permanent"):
        list(replicate.stream(DUMMY, input=FAILING))


def test_the_stream_of_what_has_ended_ends(replicate: Client) -> None:
    prediction = replicate.models.predictions.create(DUMMY, input=SLOW, stream=True)
    prediction_urls = prediction.urls
    until(prediction, "processing").cancel()
    until(prediction, "canceled")
    prediction.urls = prediction_urls
    events = list(prediction.stream())
    assert kinds(events)[-1] == "done"
    assert events[-1].data == '{"reason": "canceled"}'


def test_a_stream_says_that_the_service_stops(service: App, replicate: Client) -> None:
    prediction = replicate.models.predictions.create(DUMMY, input=SLOW, stream=True)
    stream = prediction.stream()
    next(stream)
    service.loop.call_soon_threadsafe(service.engine.begin_stop)
    with pytest.raises(RuntimeError, match=f"about to stop; prediction {prediction.id} goes on"):
        list(stream)


def test_a_stream_that_the_service_stops_has_an_end(service: App) -> None:
    made = asked(service, "POST", "/predictions", json={"version": DUMMY, "input": SLOW}).json()
    with httpx.stream("GET", f"{made['urls']['get']}/stream", timeout=30) as answer:
        lines = answer.iter_lines()
        next(lines)
        service.loop.call_soon_threadsafe(service.engine.begin_stop)
        told = [line for line in lines if line.startswith("event:")]
    assert told[-2:] == ["event: error", "event: done"]


# Models


def test_a_model_says_what_it_takes(replicate: Client) -> None:
    model = replicate.models.get(SKETCH)
    version = model.latest_version
    assert version is not None
    assert (model.owner, model.name, len(version.id)) == ("darkroom", "sketch", 64)
    assert [listed.id for listed in model.versions.list()] == [version.id]
    assert model.versions.get(version.id) == version
    schemas = version.openapi_schema["components"]["schemas"]
    properties = schemas["Input"]["properties"]
    assert schemas["Input"]["required"] == ["prompt"]
    assert properties["prompt"]["type"] == "string"
    assert properties["width"] == {
        "type": "integer", "title": "Width", "description": "Width in pixels.", "minimum": 16, "maximum": 4096,
        "default": 1024, "x-order": 2,
    }  # fmt: skip
    assert properties["image"]["format"] == "uri"
    assert (schemas["Output"]["type"], "x-cog-array-type" in schemas["Output"]) == ("array", False)


def test_models_are_listed_and_found(replicate: Client) -> None:
    assert [model.id for model in replicate.models.list()] == [SKETCH, DUMMY]
    assert [model.id for model in replicate.models.search("Test picture")] == [DUMMY]
    assert len(replicate.models.search("nothing like this")) == 0
    assert [deployment.id for deployment in replicate.deployments.list()] == [SKETCH, DUMMY]


def test_the_listed_versions_are_those_of_what_the_models_take(
    run_app: RunApp, sqlite_url: str, hosted: ReplicateFake
) -> None:
    with (
        run_app(database_url=sqlite_url, working=False, **serving(hosted, flux=AT_REPLICATE, sdxl=PINNED)) as app,
        client_at(app) as client,
    ):
        found = {model.name: model.latest_version for model in client.models.list()}
        searched = [model.latest_version for model in client.models.search("sdxl")]
        released = [deployment.current_release.version for deployment in client.deployments.list()]
        assert searched == [found["sdxl"]]
        assert "num_outputs" not in found["flux"].openapi_schema["components"]["schemas"]["Input"]["properties"]
        assert "steps" in found["flux"].openapi_schema["components"]["schemas"]["Input"]["properties"]
        for version in (found["flux"].id, found["sdxl"].id, *released[:2]):
            assert client.predictions.create(version=version, input=WISH).status == "starting"


def test_models_that_cannot_be_used_are_not_listed(run_app: RunApp, sqlite_url: str) -> None:
    settings = serving(nowhere(), flux=AT_REPLICATE, other={"routes": [{"provider": "fal", "model": "a/flux"}]})
    with run_app(database_url=sqlite_url, working=False, **settings) as app, client_at(app) as client:
        assert [model.id for model in client.models.list()] == [SKETCH, DUMMY]
        assert len(client.models.search("flux")) == 0
        assert [deployment.id for deployment in client.deployments.list()] == [SKETCH, DUMMY]


def test_a_model_answers_to_the_names_of_its_routes_at_their_backend(run_app: RunApp, sqlite_url: str) -> None:
    pinned = "8beff3369e81422112d93b89ca01426147de542cd4684c244b673b105188fe5f"
    parameters = {"n": {"as": "num_outputs", "maximum": 4, "default": 1}}
    route = {"provider": "replicate", "model": f"vendor/animals:{pinned}", "options": {"parameters": parameters}}
    models = {"fox": {"routes": [route]}}
    with (
        run_app(database_url=sqlite_url, working=False, accounts={"replicate": {"key": "r8"}}, models=models) as app,
        client_at(app) as client,
    ):
        for ref in ("vendor/animals", f"vendor/animals:{pinned}", "someone/fox", "darkroom/fox"):
            create = client.predictions.create(version=ref, input=WISH)
            assert create.model == "darkroom/fox"
        assert client.predictions.create(version=pinned, input=WISH).model == "darkroom/fox"
        model = client.models.get("vendor/animals")
        assert model.id == "vendor/animals"
        assert model.versions.get(pinned).id == pinned


def test_there_is_an_account_and_hardware(replicate: Client) -> None:
    assert replicate.accounts.current().username == "darkroom"
    assert [hardware.sku for hardware in replicate.hardware.list()] == ["lane"]


# Errors


def test_the_bare_prefix_answers_in_the_same_shape(service: App) -> None:
    answer = httpx.get(f"{service.url}/replicate")
    assert (answer.status_code, answer.json().keys()) == (404, {"type", "title", "detail", "status"})


Call = Callable[[Client], object]
NOWHERE = str(uuid4())


@pytest.mark.parametrize(
    ("call", "status", "detail"),
    [
        (lambda c: c.run("darkroom/nothing", input=WISH), 404, "there is no model 'nothing'; there are: dummy, sketch"),
        (lambda c: c.models.get("someone/nothing"), 404, "there is no model 'nothing'"),
        (lambda c: c.run(SKETCH, input={}), 422, "- input.prompt: is required"),
        (lambda c: c.run(SKETCH, input={"prompt": " "}), 422, "- input.prompt: must say something"),
        (lambda c: c.run(SKETCH, input={**WISH, "width": -1}), 422, "- input.width: "),
        (lambda c: c.run(SKETCH, input={**WISH, "scheduler": "DDIM"}), 422, "- input.scheduler: sketch has no"),
        (lambda c: c.run(SKETCH, input={**WISH, "aspect_ratio": "wide"}), 422, "- input.aspect_ratio: must be a shape"),
        (lambda c: c.run(SKETCH, input={**WISH, "megapixels": "inf"}), 422, "- input.megapixels: must be a number"),
        (lambda c: c.run(SKETCH, input={**WISH, "megapixels": 10**400}), 422, "- input.megapixels: must be a number"),
        (lambda c: c.run(SKETCH, input={**WISH, "megapixels": "100"}), 422, "- input.megapixels: "),
        (lambda c: c.run(SKETCH, input={**WISH, "aspect_ratio": "1:999"}), 422, "- input.aspect_ratio: height: "),
        (lambda c: c.run(SKETCH, input={**WISH, "num_outputs": 99}), 422, "- input.num_outputs: "),
        (lambda c: c.run(DUMMY, input={**WISH, "num_inference_steps": 9999}), 422, "- input.num_inference_steps: "),
        (lambda c: c.run(SKETCH, input={**WISH, "input_image": "words"}), 422, "- input.input_image: this is no"),
        (lambda c: c.predictions.create(version="f" * 64, input=WISH), 422, "- version: there is no version 'fff"),
        (lambda c: c.predictions.create(version=f"{SKETCH}:old", input=WISH), 422, "- version: there is no version"),
        (lambda c: c.predictions.create(version="a/b/c", input=WISH), 422, "- version: must be the id of a version"),
        (lambda c: c.models.get(SKETCH).versions.get("old"), 404, "sketch has no version 'old'"),
        (lambda c: c.predictions.get(NOWHERE), 404, "there is no media"),
        (lambda c: c.predictions.get("gm3qorzdhgbfurvjtvhg6dckhu"), 404, "there is no prediction"),
        (lambda c: c.predictions.cancel(NOWHERE), 404, "there is no media"),
        (lambda c: c.files.get(NOWHERE), 404, "there is no"),
        (lambda c: c.collections.list(), 404, "there is nothing at this path"),
        (
            lambda c: c.predictions.create(
                version=SKETCH, input=WISH, webhook="https://e.test", webhook_events_filter=["x"]
            ),
            422,
            "- webhook_events_filter: each must be one of start, logs, output, completed",
        ),
    ],
)  # fmt: skip
def test_errors_are_of_the_clients_own_class(replicate: Client, call: Call, status: int, detail: str) -> None:
    with pytest.raises(ReplicateError) as raised:
        call(replicate)
    assert (raised.value.status, raised.value.type) == (status, "about:blank")
    assert detail in str(raised.value.detail)
    assert raised.value.title


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"input": 3}', b'{"input": {"prompt": "a\\u0000b"}}', b"\xff"])
def test_a_body_that_cannot_be_read_is_refused_in_the_same_shape(service: App, body: bytes) -> None:
    answer = asked(
        service, "POST", "/predictions", content=body, headers={"Content-Type": "application/json"}
    )  # fmt: skip
    assert answer.status_code in (400, 422)
    assert answer.json().keys() == {"type", "title", "detail", "status", "invalid_fields"}


def test_after_something_broke_the_connection_is_closed(service: App, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(predictions, "wish_of", broken)
    with httpx.Client(timeout=30) as client:
        for _ in range(3):
            body = {"version": DUMMY, "input": WISH}
            answer = client.post(f"{service.url}/replicate/v1/predictions", json=body)
            assert (answer.status_code, answer.json()["detail"]) == (500, "something broke here")
            assert answer.headers["Connection"] == "close"
            assert answer.headers["X-Request-ID"]
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_a_full_queue_says_when_to_come_back(run_app: RunApp, sqlite_url: str) -> None:
    lanes = {"default": {"max_queued": 1}}
    with run_app(database_url=sqlite_url, working=False, lanes=lanes) as app, client_at(app) as client:
        client.predictions.create(version=DUMMY, input=WISH)
        with pytest.raises(ReplicateError) as raised:
            client.predictions.create(version=DUMMY, input=WISH)
        assert raised.value.status == 429
        answer = asked(app, "POST", "/predictions", json={"version": DUMMY, "input": WISH})
        assert int(answer.headers["Retry-After"]) >= 1


# Pictures to start from


def test_files_are_uploaded_seen_listed_and_deleted(replicate: Client, tmp_path: Path) -> None:
    path = tmp_path / "start.png"
    path.write_bytes(drawing())
    stored = replicate.files.create(path, metadata={"order": "4711"})
    assert (stored.name, stored.content_type, stored.metadata) == ("start.png", "image/png", {"order": "4711"})
    assert replicate.files.get(stored.id) == stored
    assert replicate.files.list() == [stored]
    assert replicate.files.delete(stored.id)
    assert replicate.files.list() == []
    with pytest.raises(ReplicateError, match="404"):
        replicate.files.get(stored.id)


def test_a_file_says_until_when_it_is_kept(replicate: Client, service: App) -> None:
    stored = replicate.files.create(io.BytesIO(drawing()))
    with service.client() as native:
        expires_at = native.get(f"/files/{stored.id}").json()["expires_at"]
    assert expires_at
    assert [stored.expires_at, replicate.files.list()[0].expires_at] == [expires_at] * 2


@pytest.mark.parametrize("parts", [{}, {"content": (None, "words")}, {"other": ("a.png", drawing())}])
def test_an_upload_without_a_file_is_refused(service: App, parts: dict[str, Any]) -> None:
    answer = asked(service, "POST", "/files", files=parts or {"x": (None, "y")})
    assert (answer.status_code, answer.json()["invalid_fields"][0]["field"]) == (422, "content")


@pytest.mark.parametrize("strategy", ["url", "base64"])
@pytest.mark.parametrize("name", ["image", "input_image"])
def test_a_file_object_is_a_picture_to_start_from(replicate: Client, strategy: Any, name: str) -> None:
    wish = {"prompt": "a pier", "width": 64, "height": 48, name: io.BytesIO(drawing()), "prompt_strength": 0}
    outputs = replicate.run(SKETCH, input=wish, file_encoding_strategy=strategy)
    with Image.open(io.BytesIO(outputs[0].read())) as picture:
        red, green, blue = picture.convert("RGB").getpixel((32, 24))  # type: ignore[misc]
    assert (red < 20, green > 110, blue > 110) == (True, True, True)


async def test_a_file_object_is_uploaded_asynchronously_too(aside: Client) -> None:
    outputs = await aside.async_run(SKETCH, input={**SMALL, "image": io.BytesIO(drawing())})
    assert size_of(await outputs[0].aread()) == (64, 48)


def test_the_picture_started_from_is_shown_by_its_address(replicate: Client) -> None:
    stored = replicate.files.create(io.BytesIO(drawing()))
    prediction = replicate.predictions.create(version=SKETCH, input={**SMALL, "image": stored.urls["get"]})
    assert prediction.input is not None
    assert prediction.input["image"] == stored.urls["get"]
    assert size_of(httpx.get(f"{stored.urls['get']}/download").content) == (64, 48)
    prediction.wait()
    assert prediction.status == "succeeded"


# Webhooks


def test_webhooks_tell_the_prediction_and_verify(run_app: RunApp, sqlite_url: str, target: Target) -> None:
    with run_app(database_url=sqlite_url, egress_allow=[HERE]) as app, client_at(app) as client:
        made = client.predictions.create(
            version=SKETCH, input=SMALL, webhook=target.url, webhook_events_filter=["start", "completed"]
        )
        eventually(lambda: len(target.heard) == 2)
        secret = client.webhooks.default.secret()
        for heard in target.heard:
            request = httpx.Request("POST", target.url, headers=heard.headers, content=heard.content)
            client.webhooks.validate(request, secret=secret, tolerance=60)
        assert [heard.json["id"] for heard in target.heard] == [made.id, made.id]
        last = target.heard[-1].json
        assert last["status"] == "succeeded"
        assert "completed with 1 file" in last["logs"]
        assert size_of(httpx.get(last["output"][0]).content) == (64, 48)


@pytest.mark.parametrize("filter_", [None, ["logs", "output"], []])
def test_webhooks_are_told_what_was_asked_for(
    run_app: RunApp, sqlite_url: str, target: Target, filter_: list[str] | None
) -> None:
    asked = {} if filter_ is None else {"webhook_events_filter": filter_}
    with run_app(database_url=sqlite_url, egress_allow=[HERE]) as app, client_at(app) as client:
        slow = {**WISH, "delay": 1.2, "steps": 12}
        client.predictions.create(version=DUMMY, input=slow, webhook=target.url, **asked).wait()
        with app.client() as native:
            eventually(lambda: not native.get("/webhooks/deliveries", params={"state": "pending"}).json()["items"])
    told = [heard.json["status"] for heard in target.heard]
    assert bool(told) == (filter_ != [])
    assert all(status == "succeeded" for status in told[-1:])
