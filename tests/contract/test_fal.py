"""fal: the contract against a fake of its queue, and what each of its failures means."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import pytest
from provider_suite import ProviderContract, accepted, collect, eventually
from provider_suite import pictures as pictures_of

from darkroom.errors import (
    AccountRefused,
    Interrupted,
    InvalidOutput,
    InvalidRequest,
    OutputExpired,
    Permanent,
    ProviderError,
    Rejected,
    SubmissionUncertain,
    Throttled,
    Transient,
)
from darkroom.media.model import Request
from darkroom.providers import registry
from darkroom.providers.base import Finished, Produced, Progress, Provider
from darkroom.providers.parameters import PRICED
from services.backends.base import Fault, data_uri, picture
from services.backends.fal import FalFake
from services.routed import Routed

MODEL = "fal-ai/flux/schnell"
OPTIONS = {
    "parameters": {
        "width": {"as": "image_size.width", "maximum": 2048},
        "height": {"as": "image_size.height", "maximum": 2048},
        "aspect_ratio": {
            "as": "image_size",
            "enum": ["1:1", "16:9"],
            "values": {"1:1": "square_hd", "16:9": "landscape_16_9"},
        },
        "n": {"as": "num_images", "maximum": 4},
        "seed": {},
        "steps": {"as": "num_inference_steps", "maximum": 500, "default": 1},
        "image": {"as": "image_url"},
    }
}


def provider_at(fake: FalFake, **options: Any) -> Provider:
    made: Provider = registry.load("fal")(
        **{"key": fake.key, "url": fake.url, "catalogue": f"{fake.url}/v1", "poll": 0.01, "timeout": 5.0, **options}
    )
    return made


def request(options: Any = OPTIONS, extra: Any = (), **parameters: Any) -> Request:
    return Request(uuid4(), uuid4(), "a lighthouse", MODEL, parameters, options, dict(extra))


def named(value: Any) -> str | None:
    """The id of a fault in a list of tests."""
    return f"{value.on}-{value.how}-{value.status}" if isinstance(value, Fault) else None


@pytest.fixture(scope="module")
def shared() -> Iterator[FalFake]:
    with FalFake().running() as fake:
        yield fake


@pytest.fixture
def fal(shared: FalFake) -> FalFake:
    shared.reset()
    return shared


@pytest.fixture
async def provider(fal: FalFake) -> AsyncIterator[Provider]:
    made = provider_at(fal)
    yield made
    await made.aclose()


class TestFal(ProviderContract):
    model = MODEL
    parameters = {"width": 64, "height": 48}
    slow_parameters = {"steps": 500}

    @pytest.fixture(autouse=True)
    def _at(self, fal: FalFake) -> None:
        self.fake = fal
        fal.step_seconds = 0.01

    def make(self) -> Provider:
        return Routed(provider_at(self.fake), OPTIONS)


class TestFalUndeclared(TestFal):
    """What the app takes is learned from fal's catalogue."""

    slow_parameters = {"steps": 12}

    @pytest.fixture
    async def provider(self) -> AsyncIterator[Provider]:
        made = provider_at(self.fake)
        await made.learn(self.model)
        yield made
        await made.aclose()

    def make(self) -> Provider:
        return provider_at(self.fake)


pytestmark = pytest.mark.anyio


# What is asked for


async def test_parameters_go_by_fals_names(fal: FalFake, provider: Provider) -> None:
    asked = request(width=80, height=60, n=2, seed=11, steps=3, image=data_uri(picture()))
    made = await pictures_of(provider, asked)
    assert len(made) == 2
    body = fal.created[0].body
    assert body["prompt"] == "a lighthouse"
    assert body["image_size"] == {"width": 80, "height": 60}
    assert (body["num_images"], body["seed"], body["num_inference_steps"]) == (2, 11, 3)
    assert body["image_url"].startswith("data:image/png;base64,")


async def test_an_aspect_ratio_goes_by_fals_name_of_a_size(fal: FalFake, provider: Provider) -> None:
    await collect(provider, request(aspect_ratio="16:9"))
    assert fal.created[0].body["image_size"] == "landscape_16_9"


async def test_what_is_passed_through_changes_nothing_that_is_ours(fal: FalFake, provider: Provider) -> None:
    extra = {
        "enable_safety_checker": False,
        "num_images": 4,
        "image_size": "square_hd",
        "sync_mode": True,
        "prompt": "x",
    }
    await collect(provider, request(extra=extra))
    body = fal.created[0].body
    assert body["enable_safety_checker"] is False
    assert (body["num_images"], body["prompt"]) == (1, "a lighthouse")
    assert not {"image_size", "sync_mode"} & body.keys()


async def test_what_would_make_it_dearer_is_not_passed_through(fal: FalFake, provider: Provider) -> None:
    extra = dict.fromkeys(PRICED, 4) | {"image_size.width": 4096, "nested": {"num_images": 4, "kept": 1}}
    await collect(provider, request(options={"parameters": {}}, extra=extra))
    body = fal.created[0].body
    assert body.pop("nested") == {"kept": 1}
    assert not PRICED & body.keys()


async def test_a_media_without_a_seed_has_one_of_its_own(fal: FalFake, provider: Provider) -> None:
    asked = request()
    await collect(provider, asked)
    events = await collect(provider, asked)
    assert fal.created[0].body["seed"] == fal.created[1].body["seed"]
    assert [event.seed for event in events if isinstance(event, Produced)] == [fal.created[0].body["seed"]]


async def test_an_undeclared_app_is_looked_up_in_the_catalogue(fal: FalFake, provider: Provider) -> None:
    assert provider.schema(MODEL) is None
    await provider.learn(MODEL)
    schema = provider.schema(MODEL)
    assert schema is not None
    properties = schema["properties"]
    assert properties.keys() == {"width", "height", "aspect_ratio", "n", "seed", "steps", "output_format"}
    assert (properties["n"]["maximum"], properties["steps"]["maximum"]) == (4, 12)
    assert properties["aspect_ratio"]["enum"] == ["1:1", "4:3", "16:9", "3:4", "9:16"]
    assert schema["dependentRequired"] == {"width": ["height"], "height": ["width"]}
    assert "authorization" not in fal.called("models")[0].headers


async def test_an_app_that_the_catalogue_does_not_have_must_be_declared(fal: FalFake, provider: Provider) -> None:
    fal.knows_apps = False
    with pytest.raises(Permanent, match=r"options\.parameters"):
        await provider.learn(MODEL)
    assert provider.schema(MODEL, OPTIONS) is not None


async def test_a_catalogue_that_is_down_leaves_nothing_to_resume(
    fal: FalFake, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("darkroom.providers.http.FIRST_REST", 0.001)
    fal.fail("models", status=503, times=4)
    with pytest.raises(Transient) as caught:
        await collect(provider, request(options={}))
    assert type(caught.value) is Transient
    assert fal.created == []


async def test_a_status_that_fal_does_not_document_is_looked_at_again(fal: FalFake, provider: Provider) -> None:
    fal.fail("status", status=200, body=b'{"status": "FAILED"}')
    with pytest.raises(Interrupted):
        await collect(provider, request())
    assert len(fal.created) == 1


async def test_a_wrong_declaration_is_named(provider: Provider) -> None:
    with pytest.raises(InvalidRequest) as caught:
        provider.schema(MODEL, {"parameters": {"shininess": {}}})
    assert caught.value.field == "options.parameters.shininess"


def test_a_missing_key_is_named() -> None:
    assert registry.load("fal")().problem() == "FAL_KEY is not set"
    assert registry.load("fal")(key="k").problem() is None


# How it goes


async def test_the_progress_bar_of_the_logs_is_progress(fal: FalFake, provider: Provider) -> None:
    fal.seconds = 0.3
    events = await collect(provider, request())
    steps = [event.step for event in events if isinstance(event, Progress)]
    assert len(steps) > 2, "the bar was not followed"
    assert steps[0] < 100, "what is loaded is no progress"
    assert steps[-1] == 100


async def test_a_slow_start_is_waited_for(fal: FalFake, provider: Provider) -> None:
    fal.waits = 0.15
    events = await collect(provider, request())
    assert isinstance(events[-1], Finished)
    assert events[-1].seconds == 0.25
    assert len(fal.called("status")) > 2


async def test_the_key_is_for_fal_alone(fal: FalFake, provider: Provider) -> None:
    with FalFake().running() as elsewhere:
        ref = json.loads(await accepted(provider, request()))
        away = {name: each.replace(fal.url, elsewhere.url) for name, each in ref.items()}
        with pytest.raises(Interrupted):
            await collect(provider, request(), resume=json.dumps(away))
        assert all("authorization" not in call.headers for call in elsewhere.calls)


# What fails before it is accepted


@pytest.mark.parametrize(
    ("fault", "error", "created"),
    [
        (Fault("create", status=429, headers={"retry-after": "7"}), Throttled, 0),
        (Fault("create", status=500), Transient, 0),
        (Fault("create", status=503), Transient, 0),
        (Fault("create", status=504), SubmissionUncertain, 0),
        (Fault("create", status=422, body=b'{"detail": [{"msg": "no", "type": "missing"}]}'), Permanent, 0),
        (Fault("create", status=404), Permanent, 0),
        (Fault("create", status=402), AccountRefused, 0),
        (Fault("create", how="cut"), SubmissionUncertain, 0),
        (Fault("create", how="cut", handled=True), SubmissionUncertain, 1),
        (Fault("create", how="cut_body"), SubmissionUncertain, 1),
        (Fault("create", how="garbage", handled=True), SubmissionUncertain, 1),
        (Fault("create", status=200, body=b"{}", handled=True), SubmissionUncertain, 1),
        (Fault("create", how="hang"), SubmissionUncertain, 0),
    ],
    ids=named,
)
async def test_a_request_that_was_not_answered(
    fal: FalFake, fault: Fault, error: type[ProviderError], created: int
) -> None:
    fal.faults.append(fault)
    provider = provider_at(fal, timeout=0.3)
    with pytest.raises(error) as caught:
        await collect(provider, request())
    assert type(caught.value) is error
    assert caught.value.retry_after == (7 if error is Throttled else None)
    assert len(fal.created) == created
    assert len(fal.called("create")) == 1
    await provider.aclose()


async def test_a_backend_that_is_not_there_took_nothing() -> None:
    provider = registry.load("fal")(key="k", url="http://127.0.0.1:1")
    with pytest.raises(Transient):
        await collect(provider, request())
    await provider.aclose()


async def test_a_wrong_key_is_refused(fal: FalFake) -> None:
    provider = provider_at(fal, key="wrong")
    with pytest.raises(AccountRefused) as caught:
        await collect(provider, request())
    assert "wrong" not in caught.value.message
    assert fal.created == []
    await provider.aclose()


# What fails afterwards


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        ("nsfw", Rejected),
        ("policy", Rejected),
        ("invalid", Permanent),
        ("nothing", InvalidOutput),
        ("crash", Transient),
        ("unavailable", Transient),
    ],
)
async def test_a_request_that_ends_without_pictures(
    fal: FalFake, provider: Provider, outcome: Any, error: type[ProviderError]
) -> None:
    fal.outcome = outcome
    with pytest.raises(error) as caught:
        await collect(provider, request())
    assert type(caught.value) is error
    assert len(fal.created) == 1
    assert len(fal.called("result")) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", status=429, headers={"retry-after": "0.05"}, times=2),
        Fault("result", status=429, headers={"retry-after": "0.05"}),
        Fault("status", status=502),
        Fault("result", status=502),
        Fault("output", status=503),
        Fault("status", how="garbage"),
        Fault("status", how="cut"),
        Fault("result", how="cut_body"),
        Fault("output", how="cut_body"),
    ],
    ids=named,
)
async def test_trouble_on_the_way_is_overcome(fal: FalFake, provider: Provider, fault: Fault) -> None:
    fal.faults.append(fault)
    assert len(await pictures_of(provider, request())) == 1
    assert fal.faults == []
    assert len(fal.created) == 1


@pytest.mark.parametrize("endpoint", ["status", "result", "output"])
async def test_trouble_that_stays_is_interrupted_and_can_be_resumed(
    fal: FalFake, provider: Provider, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("darkroom.providers.http.FIRST_REST", 0.001)
    fal.fail(endpoint, status=500, times=4)
    ref = await accepted(provider, request())
    with pytest.raises(Interrupted):
        await collect(provider, request(), resume=ref)
    assert len([e for e in await collect(provider, request(), resume=ref) if isinstance(e, Produced)]) == 1
    assert len(fal.created) == 1


REFUSED = [(on, status) for on in ("status", "result", "output") for status in (400, 401, 402, 422)]


@pytest.mark.parametrize(("endpoint", "status"), [*REFUSED, ("status", 403), ("result", 403)])
async def test_a_refused_look_at_what_was_accepted_can_be_resumed(
    fal: FalFake, provider: Provider, endpoint: str, status: int
) -> None:
    ref = await accepted(provider, request())
    fal.fail(endpoint, status=status)
    with pytest.raises(Interrupted):
        await collect(provider, request(), resume=ref)
    assert isinstance((await collect(provider, request(), resume=ref))[-1], Finished)
    assert len(fal.created) == 1


async def test_what_a_download_is_answered_is_no_word_about_the_request(fal: FalFake, provider: Provider) -> None:
    fal.fail("output", status=422, body=b'{"detail": [{"type": "less_than_equal", "msg": "no"}]}')
    with pytest.raises(Interrupted):
        await collect(provider, request())
    assert len(fal.created) == 1


async def test_pictures_that_are_gone_are_expired(fal: FalFake, provider: Provider) -> None:
    fal.expired = True
    with pytest.raises(OutputExpired):
        await collect(provider, request())
    assert len(fal.created) == 1


async def test_a_request_that_fal_forgot_is_expired_and_not_made_anew(fal: FalFake, provider: Provider) -> None:
    ref = await accepted(provider, request())
    fal.forget()
    with pytest.raises(OutputExpired):
        await collect(provider, request(), resume=ref)
    await provider.cancel(ref)
    assert len(fal.created) == 1


# How it is cancelled


async def test_a_request_that_hangs_can_be_cancelled(fal: FalFake, provider: Provider) -> None:
    fal.hangs = True
    ref = await accepted(provider, request())
    call = asyncio.create_task(collect(provider, request(), resume=ref))
    await eventually(lambda: len(fal.called("status")) > 1, 5, "it is not polled")
    await provider.cancel(ref)
    with pytest.raises(Transient, match="client_cancelled"):
        await call
    assert len(fal.created) == 1


async def test_one_that_has_ended_is_cancelled_in_peace(fal: FalFake, provider: Provider) -> None:
    ref = await accepted(provider, request())
    await collect(provider, request(), resume=ref)
    await provider.cancel(ref)
    assert len(fal.called("cancel")) == 1


async def test_a_cancellation_that_may_not_have_arrived_is_an_error(
    fal: FalFake, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("darkroom.providers.http.FIRST_REST", 0.001)
    fal.hangs = True
    ref = await accepted(provider, request())
    fal.fail("cancel", "cut", times=4)
    with pytest.raises(ProviderError):
        await provider.cancel(ref)
    await provider.cancel(ref)
