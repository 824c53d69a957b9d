"""Replicate: the contract against a fake of its API, and what each of its failures means and costs."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

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
from darkroom.providers import http, registry
from darkroom.providers.base import Accepted, Finished, Produced, Progress, Provider
from darkroom.providers.parameters import PRICED
from darkroom.providers.replicate.prediction import progress_of
from services.backends.base import Fault, data_uri, picture
from services.backends.replicate import (
    DEPLOYMENT,
    NSFW,
    OUT_OF_MEMORY,
    SCHNELL,
    SDXL,
    SDXL_VERSION,
    SEEDLESS,
    SENSITIVE,
    End,
    ReplicateFake,
    document,
    enum,
    inline,
)

VERSION = f"{SDXL}:{SDXL_VERSION}"
DEPLOYED = f"deployments/{DEPLOYMENT}"
OPTIONS = {
    "parameters": {
        "aspect_ratio": {"enum": ["1:1", "16:9"], "default": "1:1"},
        "n": {"as": "num_outputs", "maximum": 4},
        "seed": {},
        "steps": {"as": "num_inference_steps", "maximum": 4, "default": 4},
        "output_format": {"values": {"jpeg": "jpg"}, "default": "webp"},
    }
}
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def provider_at(fake: ReplicateFake, **options: Any) -> Provider:
    made: Provider = registry.load("replicate")(
        **{"key": fake.key, "url": fake.api, "poll": 0.01, "timeout": 5.0, **options}
    )
    return made


def request(model: str = SCHNELL, *, media: UUID | None = None, extra: Any = (), **parameters: Any) -> Request:
    options = OPTIONS if model == SCHNELL else {}
    return Request(media or uuid4(), uuid4(), "a lighthouse", model, parameters, options, dict(extra))


def named(value: Any) -> str | None:
    """The id of a fault in a list of tests."""
    return f"{value.on}-{value.how}-{value.status}-{value.handled}" if isinstance(value, Fault) else None


@pytest.fixture(scope="module")
def shared() -> Iterator[ReplicateFake]:
    with ReplicateFake().running() as fake:
        yield fake


@pytest.fixture
def replicate(shared: ReplicateFake) -> ReplicateFake:
    shared.reset()
    return shared


@pytest.fixture(autouse=True)
def _short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "FIRST_REST", 0.001)


@pytest.fixture
async def provider(replicate: ReplicateFake) -> AsyncIterator[Provider]:
    made = provider_at(replicate)
    yield made
    await made.aclose()


class TestReplicate(ProviderContract):
    """A version, whose parameters are learned."""

    model = VERSION
    parameters = {"steps": 4}
    slow_parameters = {"steps": 500}

    @pytest.fixture(autouse=True)
    def _at(self, replicate: ReplicateFake) -> None:
        self.fake = replicate
        replicate.step_seconds = 0.005

    def make(self) -> Provider:
        return provider_at(self.fake)


class TestReplicateDeclared(TestReplicate):
    """An official model, whose parameters are declared."""

    model = SCHNELL
    options = OPTIONS
    parameters = {"steps": 1}
    slow_parameters = {"steps": 4}

    @pytest.fixture(autouse=True)
    def _slower(self, _at: None) -> None:
        self.fake.step_seconds = 0.02


pytestmark = pytest.mark.anyio


# What is asked for


@pytest.mark.parametrize(
    ("model", "path", "version"),
    [
        (SCHNELL, f"/v1/models/{SCHNELL}/predictions", None),
        (VERSION, "/v1/predictions", SDXL_VERSION),
        (DEPLOYED, f"/v1/deployments/{DEPLOYMENT}/predictions", None),
    ],
)
async def test_each_kind_of_model_has_its_address(
    replicate: ReplicateFake, provider: Provider, model: str, path: str, version: str | None
) -> None:
    assert len(await pictures_of(provider, request(model))) == 1
    [call] = replicate.called("create")
    assert (call.method, call.path) == ("POST", path)
    assert json.loads(call.body).get("version") == version
    assert call.headers["authorization"] == f"Bearer {replicate.key}"
    assert "prefer" not in call.headers, "waiting would only hold the id back"
    assert "cancel-after" not in call.headers


async def test_parameters_go_by_the_models_names(replicate: ReplicateFake, provider: Provider) -> None:
    await collect(provider, request(n=3, seed=11, steps=2, output_format="jpeg", aspect_ratio="16:9"))
    assert replicate.created[0].body["input"] == {
        "prompt": "a lighthouse", "num_outputs": 3, "seed": 11, "num_inference_steps": 2, "output_format": "jpg",
        "aspect_ratio": "16:9",
    }  # fmt: skip


async def test_what_is_passed_through_changes_nothing_that_is_ours(
    replicate: ReplicateFake, provider: Provider
) -> None:
    await collect(provider, request(extra={"go_fast": False, "num_outputs": 4, "prompt": "x", "seed": 1}, n=2, seed=2))
    sent = replicate.created[0].body["input"]
    assert sent["go_fast"] is False
    assert (sent["num_outputs"], sent["prompt"], sent["seed"]) == (2, "a lighthouse", 2)


async def test_what_would_make_it_dearer_is_not_passed_through(replicate: ReplicateFake, provider: Provider) -> None:
    extra = dict.fromkeys(PRICED, 4) | {"image_size.width": 4096, "nested": {"num_images": 4, "kept": 1}}
    await collect(provider, request(extra=extra))
    body = replicate.created[0].body["input"]
    assert body.pop("nested") == {"kept": 1}
    assert PRICED & body.keys() == {"num_outputs"}
    assert body["num_outputs"] == 1


async def test_a_picture_goes_along_as_it_is(replicate: ReplicateFake, provider: Provider) -> None:
    image = data_uri(picture())
    await collect(provider, request(VERSION, image=image, strength=0.5, guidance=3))
    sent = replicate.created[0].body["input"]
    assert (sent["image"], sent["prompt_strength"], sent["guidance_scale"]) == (image, 0.5, 3)


async def test_a_media_without_a_seed_has_one_of_its_own(replicate: ReplicateFake, provider: Provider) -> None:
    asked = request()
    events = [event for _ in range(2) for event in await collect(provider, asked)]
    first, again = (created.body["input"]["seed"] for created in replicate.created)
    assert first == again
    assert {event.seed for event in events if isinstance(event, Produced)} == {first}


async def test_a_deadline_is_told(replicate: ReplicateFake) -> None:
    provider = provider_at(replicate, cancel_after=90)
    await collect(provider, request())
    await provider.aclose()
    assert replicate.called("create")[0].headers["cancel-after"] == "90s"
    with pytest.raises(ValueError, match="cancel_after"):
        provider_at(replicate, cancel_after=4)


async def test_the_token_goes_to_replicate_alone(replicate: ReplicateFake, provider: Provider) -> None:
    await collect(provider, request())
    assert [call.path for call in replicate.calls][-1].startswith("/delivery/")
    assert "authorization" not in replicate.called("output")[0].headers


def test_a_missing_token_is_named(replicate: ReplicateFake) -> None:
    assert provider_at(replicate).problem() is None
    assert provider_at(replicate, key=None).problem() == "REPLICATE_API_TOKEN is not set"


@pytest.mark.parametrize(
    "model", ["flux", "a/b/c", "../x/y", "a/..", "deployments/a/b:c", "a/b:", "a b/c", "a/b?c", "https://x/y"]
)
def test_what_cannot_be_a_model_is_refused(replicate: ReplicateFake, model: str) -> None:
    with pytest.raises(InvalidRequest):
        provider_at(replicate).schema(model)


# What a model takes


async def test_declared_parameters_are_not_asked_for(replicate: ReplicateFake, provider: Provider) -> None:
    schema = provider.schema(SCHNELL, OPTIONS)
    assert schema is not None
    await provider.learn(SCHNELL, OPTIONS)
    assert replicate.calls == []
    with pytest.raises(InvalidRequest):
        provider.schema(SCHNELL, {"parameters": {"go_fast": {"type": "boolean"}}})


async def test_parameters_are_learned_in_our_words(provider: Provider) -> None:
    assert provider.schema(SCHNELL) is None
    await provider.learn(SCHNELL)
    schema = provider.schema(SCHNELL)
    assert schema is not None
    properties = schema["properties"]
    assert properties.keys() == {"aspect_ratio", "n", "seed", "steps", "output_format"}
    assert schema["additionalProperties"] is False
    assert properties["output_format"]["enum"] == ["webp", "jpeg", "png"]
    assert properties["output_format"]["default"] == "webp"
    assert properties["aspect_ratio"]["enum"][2] == "21:9"
    assert (properties["n"]["maximum"], properties["n"]["default"]) == (4, 1)
    assert (properties["steps"]["minimum"], properties["steps"]["maximum"], properties["steps"]["default"]) == (1, 4, 4)
    assert (properties["seed"]["minimum"], properties["seed"]["maximum"]) == (0, 2**31 - 1)
    assert "default" not in properties["seed"]


@pytest.mark.parametrize(("model", "endpoint"), [(SDXL, "model"), (VERSION, "version"), (DEPLOYED, "deployment")])
async def test_each_kind_of_model_says_what_it_takes(
    replicate: ReplicateFake, provider: Provider, model: str, endpoint: str
) -> None:
    await provider.learn(model)
    schema = provider.schema(model)
    assert schema is not None
    assert {"width", "guidance", "strength", "mask", "image", "negative_prompt"} <= schema["properties"].keys()
    assert "scheduler" not in schema["properties"]
    assert len(replicate.called(endpoint)) == 1


async def test_a_model_that_takes_no_number_makes_one(replicate: ReplicateFake, provider: Provider) -> None:
    await provider.learn(SEEDLESS)
    schema = provider.schema(SEEDLESS)
    assert schema is not None
    assert schema["properties"].keys() == {"n"}
    assert schema["properties"]["n"]["maximum"] == 1
    await collect(provider, request(SEEDLESS, n=1))
    assert replicate.created[0].body["input"] == {"prompt": "a lighthouse"}


async def test_odd_parameters_are_narrowed_to_ours_or_left_out(replicate: ReplicateFake, provider: Provider) -> None:
    properties = {
        "prompt": {"type": "string"},
        "seed": {"type": "integer", "minimum": -1, "maximum": 4294967295, "default": -1},
        "width": enum("width"),
        "image": {"type": "array", "items": {"type": "string", "format": "uri"}},
        "output_format": enum("output_format", "mp4"),
        "num_outputs": {"type": "integer", "default": 4, "minimum": 1, "maximum": 8},
        "guidance": {"anyOf": [{"type": "number", "maximum": 10}, {"type": "null"}], "default": None},
        "strength": {"$ref": "#/components/schemas/strength"},
        "aspect_ratio": {"$ref": "#/components/schemas/nowhere"},
    }
    made = document(properties, {"output_format": ("mp4", "jpg"), "width": ("small",)}, ["prompt", "strength"])
    made["components"]["schemas"]["strength"] = {"allOf": [{"$ref": "#/components/schemas/strength"}], "type": "number"}
    replicate.documents["acme/odd"] = made
    await provider.learn("acme/odd")
    schema = provider.schema("acme/odd")
    assert schema is not None
    rules = schema["properties"]
    assert rules.keys() == {"seed", "output_format", "n", "guidance", "strength"}
    assert (rules["seed"]["minimum"], rules["seed"]["maximum"]) == (0, 2**31 - 1)
    assert rules["output_format"]["enum"] == ["jpeg"]
    assert "default" not in rules["output_format"]
    assert (rules["n"]["maximum"], rules["n"]["default"]) == (8, 1)
    assert rules["guidance"]["maximum"] == 10
    assert schema["required"] == ["strength"]


async def test_a_size_asks_for_the_custom_aspect_ratio(replicate: ReplicateFake, provider: Provider) -> None:
    size = {"type": "integer", "minimum": 256, "maximum": 1440}
    properties = {"prompt": {"type": "string"}, "width": size, "height": size, "aspect_ratio": enum("shape", "1:1")}
    replicate.documents["acme/sizes"] = document(properties, {"shape": ("1:1", "custom")}, ["prompt"])
    await collect(provider, request("acme/sizes", width=512, height=256))
    await collect(provider, request("acme/sizes"))
    sized, plain = (created.body["input"] for created in replicate.created)
    assert (sized["aspect_ratio"], sized["width"]) == ("custom", 512)
    assert "aspect_ratio" not in plain


async def test_what_was_learned_is_kept_for_a_while(replicate: ReplicateFake, provider: Provider) -> None:
    for _ in range(2):
        await collect(provider, request(VERSION))
    assert len(replicate.called("version")) == 1


async def test_what_was_learned_is_asked_again_and_counts_while_nobody_answers(replicate: ReplicateFake) -> None:
    provider = provider_at(replicate, remember=0)
    await collect(provider, request(VERSION))
    replicate.fail("version", status=503, times=99)
    await collect(provider, request(VERSION))
    await provider.aclose()
    assert len(replicate.called("version")) > 1
    assert len(replicate.created) == 2


async def test_a_model_that_cannot_be_asked_leaves_nothing_to_resume(
    replicate: ReplicateFake, provider: Provider
) -> None:
    replicate.fail("version", "cut", times=99)
    with pytest.raises(Transient) as caught:
        await collect(provider, request(VERSION))
    assert not isinstance(caught.value, Interrupted)
    assert replicate.created == []


@pytest.mark.parametrize("model", ["acme/unknown", "acme/empty", "acme/mute", "deployments/acme/unknown"])
async def test_a_model_that_says_nothing_must_be_declared(
    replicate: ReplicateFake, provider: Provider, model: str
) -> None:
    replicate.documents |= {"acme/empty": {}, "acme/mute": {"components": {"schemas": {}}}}
    with pytest.raises(Permanent):
        await provider.learn(model)
    assert provider.schema(model) is None
    assert provider.schema(model, OPTIONS) is not None


# What comes back


async def test_the_id_is_said_before_anything_else_is_asked(replicate: ReplicateFake, provider: Provider) -> None:
    ref = await accepted(provider, request())
    assert [call.endpoint for call in replicate.calls] == ["create"]
    assert ref == replicate.created[0].id


async def test_progress_is_read_from_the_log(replicate: ReplicateFake, provider: Provider) -> None:
    replicate.step_seconds = 0.03
    events = await collect(provider, request(steps=4))
    steps = [(event.step, event.total) for event in events if isinstance(event, Progress)]
    assert len(steps) > 2
    assert steps == sorted(set(steps))
    assert steps[-1] == (4, 4)


def test_a_second_bar_goes_on_where_the_first_ended() -> None:
    bars = "100%|██████████| 16/16 [00:02<00:00,  7.81it/s]\n  0%|          | 0/5 [00:00<?, ?it/s]\n"
    downloaded = "Downloading: 45%|████▌     | 9.2M/20.4M [00:01<00:02]\n"
    assert progress_of({"logs": bars}) == Progress(16, 21)
    assert progress_of({"logs": f"{bars} 20%|██        | 1/5 [00:00<00:00,  7.47it/s]"}) == Progress(17, 21)
    assert progress_of({"logs": downloaded}) is None
    assert progress_of({"logs": None}) is None


async def test_the_time_that_is_billed_is_said(replicate: ReplicateFake, provider: Provider) -> None:
    replicate.seconds = 0.05
    last = (await collect(provider, request()))[-1]
    assert isinstance(last, Finished)
    assert last.seconds == pytest.approx(0.05)
    assert last.metrics["total_time"] == pytest.approx(0.05)
    assert last.cost is None


@pytest.mark.parametrize(
    ("output", "made"),
    [
        (inline(1), 1),
        ([inline(1), inline(2)], 2),
        ({"image": inline(1), "text": "a lighthouse"}, 1),
        ([{"file": inline(1)}, {"file": inline(2)}], 2),
        ([inline(1), inline(2), inline(3)], 2),
    ],
    ids=["string", "list", "table", "tables", "more than wanted"],
)
async def test_every_shape_of_output_is_read(
    replicate: ReplicateFake, provider: Provider, output: Any, made: int
) -> None:
    replicate.ends = [End(output=output)]
    events = await collect(provider, request(n=2))
    produced = [event for event in events if isinstance(event, Produced)]
    assert [event.index for event in produced] == list(range(made))
    assert produced[0].content == picture(seed=1)


async def test_a_slow_start_is_waited_for(replicate: ReplicateFake, provider: Provider) -> None:
    replicate.starting = 0.15
    assert len(await pictures_of(provider, request())) == 1
    assert len(replicate.called("poll")) > 1
    assert len(replicate.created) == 1


# What fails, and what it costs

REFUSED = [
    (Fault("create", status=429, headers={"retry-after": "7"}), Throttled, 0),
    (Fault("create", status=500), Transient, 0),
    (Fault("create", status=503), Transient, 0),
    (Fault("create", status=502), SubmissionUncertain, 0),
    (Fault("create", status=504, handled=True), SubmissionUncertain, 1),
    (Fault("create", "cut"), SubmissionUncertain, 0),
    (Fault("create", "cut", handled=True), SubmissionUncertain, 1),
    (Fault("create", "cut_body"), SubmissionUncertain, 1),
    (Fault("create", "garbage"), SubmissionUncertain, 0),
    (Fault("create", "garbage", handled=True), SubmissionUncertain, 1),
    (Fault("create", "answer", 201, body=b"[]", handled=True), SubmissionUncertain, 1),
    (Fault("create", "answer", 201, body=b"{}", handled=True), SubmissionUncertain, 1),
    (Fault("create", status=401), AccountRefused, 0),
    (Fault("create", status=402, body=b'{"detail": "You have insufficient credit"}'), AccountRefused, 0),
    (Fault("create", status=404), Permanent, 0),
]


@pytest.mark.parametrize(("fault", "error", "created"), REFUSED, ids=named)
async def test_a_create_that_goes_wrong_says_what_is_known(
    replicate: ReplicateFake, provider: Provider, fault: Fault, error: type[ProviderError], created: int
) -> None:
    replicate.fail(fault.on, fault.how, status=fault.status, headers=fault.headers, body=fault.body,
                   handled=fault.handled)  # fmt: skip
    with pytest.raises(ProviderError) as caught:
        await collect(provider, request())
    assert type(caught.value) is error
    assert caught.value.retry_after == (7 if fault.status == 429 else None)
    assert len(replicate.created) == created
    assert len(replicate.called("create")) == 1, "it was asked for again"
    assert replicate.key not in caught.value.message


async def test_a_create_that_is_not_answered_is_uncertain(replicate: ReplicateFake) -> None:
    provider = provider_at(replicate, timeout=0.1)
    replicate.fail("create", "hang", handled=True)
    with pytest.raises(SubmissionUncertain):
        await collect(provider, request())
    await provider.aclose()
    assert len(replicate.created) == len(replicate.called("create")) == 1


async def test_where_nobody_listens_nothing_was_sent(replicate: ReplicateFake) -> None:
    provider = provider_at(replicate, url="http://127.0.0.1:9/v1")
    with pytest.raises(Transient) as caught:
        await collect(provider, request())
    await provider.aclose()
    assert not isinstance(caught.value, Interrupted)


async def test_a_wrong_token_is_the_accounts_fault(replicate: ReplicateFake) -> None:
    provider = provider_at(replicate, key="wrong-key-of-mine")
    with pytest.raises(AccountRefused, match="valid authentication token") as caught:
        await collect(provider, request())
    await provider.aclose()
    assert "wrong-key-of-mine" not in caught.value.message
    assert replicate.created == []


async def test_an_input_that_the_model_does_not_take_is_permanent(replicate: ReplicateFake, provider: Provider) -> None:
    with pytest.raises(Permanent, match="output_quality"):
        await collect(provider, request(extra={"output_quality": 101}))
    assert replicate.created == []


SHORT = [
    Fault("poll", status=500),
    Fault("poll", status=503),
    Fault("poll", status=429, headers={"retry-after": "0"}),
    Fault("poll", "cut"),
    Fault("poll", "cut_body"),
    Fault("poll", "garbage"),
    Fault("output", status=502),
    Fault("output", "cut"),
    Fault("output", "cut_body"),
]


@pytest.mark.parametrize("fault", SHORT, ids=named)
async def test_a_short_trouble_after_the_create_is_overcome(
    replicate: ReplicateFake, provider: Provider, fault: Fault
) -> None:
    replicate.fail(fault.on, fault.how, status=fault.status, headers=fault.headers, times=2)
    assert (await pictures_of(provider, request(seed=5)))[0] == picture(seed=5)
    assert len(replicate.created) == 1


LONG = [
    Fault("poll", status=503),
    Fault("poll", status=401),
    Fault("poll", status=400),
    Fault("poll", status=404),
    Fault("poll", "cut"),
    Fault("poll", "cut_body"),
    Fault("poll", "garbage"),
    Fault("poll", "answer", 200, body=b"[]"),
    Fault("poll", "answer", 200, body=b'{"id": "x"}'),
    Fault("output", status=503),
    Fault("output", status=401),
    Fault("output", status=429, headers={"retry-after": "3"}),
    Fault("output", "cut_body"),
]


@pytest.mark.parametrize("fault", LONG, ids=named)
async def test_a_long_trouble_after_the_create_leaves_something_to_resume(
    replicate: ReplicateFake, provider: Provider, fault: Fault
) -> None:
    replicate.fail(fault.on, fault.how, status=fault.status, headers=fault.headers, body=fault.body, times=99)
    asked = request()
    with pytest.raises(Interrupted):
        await collect(provider, asked)
    replicate.faults.clear()
    events = await collect(provider, asked, resume=replicate.created[0].id)
    assert sum(isinstance(event, Produced) for event in events) == 1
    assert len(replicate.created) == len(replicate.called("create")) == 1


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (End("failed", NSFW), Rejected),
        (End("failed", SENSITIVE), Rejected),
        (End("failed", "Error: Request Moderated"), Rejected),
        (End("failed", "Your request was rejected as a result of our safety system."), Rejected),
        (End("failed", OUT_OF_MEMORY), Transient),
        (End("failed", "Prediction interrupted; please retry (code: PA)"), Transient),
        (End("failed", "Model ran out of memory (E1001)"), Transient),
        (End("failed", None), Transient),
        (End("failed", "Input validation error: image is not an image"), Permanent),
        (End("failed", "disable_safety_checker is not there: KeyError"), Transient),
        (End("canceled"), Transient),
        (End("aborted"), Transient),
        (End(output=[]), InvalidOutput),
        (End(output="a haiku"), InvalidOutput),
    ],
    ids=lambda value: (value.error or value.status)[:30] if isinstance(value, End) else None,
)
async def test_a_prediction_that_makes_nothing_says_why(
    replicate: ReplicateFake, provider: Provider, end: End, error: type[ProviderError]
) -> None:
    replicate.ends = [end]
    with pytest.raises(ProviderError) as caught:
        await collect(provider, request())
    assert type(caught.value) is error
    assert (end.error or "") in caught.value.message
    assert len(replicate.created) == len(replicate.called("create")) == 1


@pytest.mark.parametrize("removed", [True, False], ids=["data removed", "output gone"])
async def test_an_output_that_expired_is_not_made_again(
    replicate: ReplicateFake, provider: Provider, removed: bool
) -> None:
    asked = request()
    ref = await accepted(provider, asked)
    replicate.expire(removed=removed)
    with pytest.raises(OutputExpired):
        await collect(provider, asked, resume=ref)
    assert len(replicate.created) == 1


@pytest.mark.parametrize("ref", ["never-seen", "../predictions"])
async def test_a_prediction_that_is_not_known_any_more_is_not_made_again(
    replicate: ReplicateFake, provider: Provider, ref: str
) -> None:
    with pytest.raises(OutputExpired):
        await collect(provider, request(), resume=ref)
    assert replicate.created == []


async def test_a_prediction_that_hangs_is_watched_until_it_is_cancelled(
    replicate: ReplicateFake, provider: Provider
) -> None:
    replicate.ends = [End(hang=True)]
    call = asyncio.create_task(collect(provider, request()))
    await eventually(lambda: len(replicate.called("poll")) > 2, 5, "it is not polled")
    await provider.cancel(replicate.created[0].id)
    with pytest.raises(Transient, match="canceled"):
        await asyncio.wait_for(call, 5)
    assert len(replicate.created) == 1


# Cancelling


async def test_a_cancelled_prediction_does_not_run_on(replicate: ReplicateFake, provider: Provider) -> None:
    replicate.ends = [End(hang=True)]
    ref = await accepted(provider, request())
    await provider.cancel(ref)
    assert not replicate.goes_on(ref)
    await provider.cancel(ref)


async def test_cancelling_what_is_over_or_unknown_is_fine(replicate: ReplicateFake, provider: Provider) -> None:
    events = await collect(provider, request())
    [ref] = [event.ref for event in events if isinstance(event, Accepted)]
    await provider.cancel(ref)
    replicate.fail("cancel", status=422)
    await provider.cancel(ref)
    await provider.cancel("never-seen")


@pytest.mark.parametrize("how", ["cut", "garbage", "answer"])
async def test_a_cancel_that_may_not_have_come_through_is_an_error(
    replicate: ReplicateFake, provider: Provider, how: Any
) -> None:
    replicate.ends = [End(hang=True)]
    ref = await accepted(provider, request())
    replicate.fail("cancel", how, status=422, times=99)
    with pytest.raises(ProviderError):
        await provider.cancel(ref)
    assert replicate.goes_on(ref)


# Finding what was sent


async def lost(provider: Provider, fake: ReplicateFake, asked: Request) -> str:
    """The id of a prediction whose answer got lost."""
    fake.fail("create", "cut", handled=True)
    with pytest.raises(SubmissionUncertain):
        await collect(provider, asked)
    return fake.created[-1].id


@pytest.mark.parametrize("model", [SCHNELL, VERSION, DEPLOYED])
@pytest.mark.parametrize("bare", [False, True], ids=["whole", "bare"])
async def test_a_lost_request_is_found(replicate: ReplicateFake, provider: Provider, model: str, bare: bool) -> None:
    replicate.bare = bare
    began = datetime.now(UTC)
    await collect(provider, request(model))
    asked = request(model)
    ref = await lost(provider, replicate, asked)
    await collect(provider, request(model))
    assert await provider.find(asked, since=began) == [ref]
    assert len(replicate.created) == 3


async def test_requests_of_the_same_words_are_told_apart(replicate: ReplicateFake, provider: Provider) -> None:
    both = [request(), request()]
    asked = [asyncio.create_task(lost(provider, replicate, each)) for each in both]
    await asyncio.gather(*asked)
    found = [await provider.find(each, since=LONG_AGO) for each in both]
    assert [len(refs) for refs in found] == [1, 1]
    assert {refs[0] for refs in found} == {created.id for created in replicate.created}


async def test_a_seed_of_the_callers_does_not_make_two_requests_one(
    replicate: ReplicateFake, provider: Provider
) -> None:
    asked = request(seed=7, n=2)
    ref = await lost(provider, replicate, asked)
    await collect(provider, request(seed=7, n=1))
    assert await provider.find(asked, since=LONG_AGO) == [ref]


async def test_requests_that_nothing_tells_apart_are_all_named(replicate: ReplicateFake, provider: Provider) -> None:
    for _ in range(2):
        await collect(provider, request(SEEDLESS))
    found = await provider.find(request(SEEDLESS), since=LONG_AGO)
    assert set(found) == {created.id for created in replicate.created}


async def test_a_request_is_found_though_the_models_defaults_have_changed(
    replicate: ReplicateFake, provider: Provider
) -> None:
    asked = request(VERSION)
    ref = await lost(provider, replicate, asked)
    other = provider_at(replicate)
    changed = json.loads(json.dumps(replicate.documents[SDXL]))
    changed["components"]["schemas"]["Input"]["properties"]["width"]["default"] = 768
    replicate.documents[SDXL] = changed
    assert await other.find(asked, since=LONG_AGO) == [ref]
    await other.aclose()


async def test_another_model_with_the_same_input_is_not_meant(replicate: ReplicateFake, provider: Provider) -> None:
    media = uuid4()
    await collect(provider, request(VERSION, media=media))
    await collect(provider, request(DEPLOYED, media=media))
    replicate.documents["acme/other"] = replicate.documents[SDXL]
    await collect(provider, request("acme/other", media=media))
    version, deployed, other = (created.id for created in replicate.created)
    assert await provider.find(request(VERSION, media=media), since=LONG_AGO) == [version, deployed]
    assert await provider.find(request(DEPLOYED, media=media), since=LONG_AGO) == [deployed, other, version]
    assert await provider.find(request("acme/other", media=media), since=LONG_AGO) == [other]


async def test_an_official_model_is_found_under_its_internal_name(replicate: ReplicateFake, provider: Provider) -> None:
    replicate.hidden = True
    asked = request()
    ref = await lost(provider, replicate, asked)
    assert await provider.find(asked, since=LONG_AGO) == [ref]


async def test_a_request_with_a_picture_is_found_though_pictures_are_not_kept(
    replicate: ReplicateFake, provider: Provider
) -> None:
    asked = request(VERSION, seed=3, image=data_uri(picture()))
    ref = await lost(provider, replicate, asked)
    kept = replicate.predictions[ref]
    kept.input = {name: value for name, value in kept.input.items() if name != "image"}
    assert await provider.find(asked, since=LONG_AGO) == [ref]


async def test_what_lost_its_data_comes_last(replicate: ReplicateFake, provider: Provider) -> None:
    await collect(provider, request())
    asked = request()
    ref = await lost(provider, replicate, asked)
    replicate.predictions[replicate.created[0].id].removed = True
    assert await provider.find(asked, since=LONG_AGO) == [ref, replicate.created[0].id]


@pytest.mark.parametrize("filters", [True, False])
async def test_every_page_is_read_until_it_gets_too_old(
    replicate: ReplicateFake, provider: Provider, filters: bool
) -> None:
    replicate.page, replicate.filters = 2, filters
    asked = request()
    ref = await lost(provider, replicate, asked)
    for _ in range(4):
        await collect(provider, request())
    assert await provider.find(asked, since=LONG_AGO) == [ref]
    assert len(replicate.called("list")) == 3
    for created in replicate.created[:2]:
        replicate.predictions[created.id].created -= timedelta(hours=1)
    assert await provider.find(asked, since=datetime.now(UTC)) == []
    assert len(replicate.called("list")) == 5


@pytest.mark.parametrize(
    "fault",
    [Fault("list", "cut"), Fault("list", "garbage"), Fault("list", status=401), Fault("list", "answer", 200)],
    ids=named,
)
async def test_a_list_that_is_not_answered_is_not_an_empty_one(
    replicate: ReplicateFake, provider: Provider, fault: Fault
) -> None:
    replicate.fail(fault.on, fault.how, status=fault.status, times=99)
    with pytest.raises(Transient):
        await provider.find(request(), since=LONG_AGO)
