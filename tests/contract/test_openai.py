"""OpenAI's Images API, and servers that speak it."""

import asyncio
import base64
import io
import json
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from decimal import Decimal
from typing import Any, ClassVar
from uuid import uuid4

import jsonschema_rs
import pytest
from PIL import Image
from provider_suite import ProviderContract, collect

from darkroom.errors import (
    AccountRefused,
    InvalidRequest,
    OutputExpired,
    Permanent,
    Rejected,
    SubmissionUncertain,
    Throttled,
    Transient,
)
from darkroom.media.model import Request
from darkroom.providers import registry
from darkroom.providers.base import Event, Finished, Preview, Produced, Provider
from darkroom.providers.openai import OpenAI
from services.backends.base import data_uri, picture
from services.backends.openai import (
    HARD_LIMIT,
    INPUT_PICTURE_TOKENS,
    OUTPUT_TOKENS,
    PARTIAL_TOKENS,
    QUOTA,
    RATE_LIMIT,
    SERVER_ERROR,
    OpenAIFake,
    Refused,
    form_of,
)

PROMPT = "a lighthouse at dusk"
PNG = data_uri(picture())
PRICES = {"text_input": 5, "image_input": "8", "image_output": 30.0}


class SlowAtHigh(OpenAIFake):
    """High quality takes a minute."""

    def duration(self, body: Mapping[str, Any]) -> float:
        return 60.0 if body.get("quality") == "high" else self.seconds


@pytest.fixture(scope="class")
def shared(request: pytest.FixtureRequest) -> Iterator[None]:
    """One fake for a class of contract tests, which leave nothing in it that they look at."""
    with SlowAtHigh(local=request.cls.local).running() as fake:
        request.cls.fake = fake
        yield


@pytest.mark.usefixtures("shared")
class TestOpenAI(ProviderContract):
    model = "gpt-image-1.5"
    parameters = {"width": 1024, "height": 1024}
    slow_parameters = {"quality": "high"}
    fake: ClassVar[OpenAIFake]
    local: ClassVar[bool] = False

    def make(self) -> Provider:
        return registry.load("openai")(key=self.fake.key, url=f"{self.fake.url}/v1")


class TestOpenAIWithoutStreams(TestOpenAI):
    model = "gpt-image-2"

    def make(self) -> Provider:
        return OpenAI(key=self.fake.key, url=f"{self.fake.url}/v1", partial_images=0)


class TestAnotherServer(TestOpenAI):
    model = "stable-diffusion-3.5"
    parameters = {"width": 512, "height": 384}
    local = True
    slow_parameters = {}

    def make(self) -> Provider:
        return OpenAI(url=f"{self.fake.url}/v1/")


# What follows looks at what was sent, and at what is billed.


@pytest.fixture(scope="module")
def hosted() -> Iterator[OpenAIFake]:
    with OpenAIFake().running() as fake:
        yield fake


@pytest.fixture(scope="module")
def at_home() -> Iterator[OpenAIFake]:
    with OpenAIFake(local=True).running() as fake:
        yield fake


@pytest.fixture
def fake(hosted: OpenAIFake) -> OpenAIFake:
    hosted.forget()
    return hosted


@pytest.fixture
def local(at_home: OpenAIFake) -> OpenAIFake:
    at_home.forget()
    return at_home


@pytest.fixture
async def openai(fake: OpenAIFake) -> AsyncIterator[OpenAI]:
    provider = OpenAI(key=fake.key, url=f"{fake.url}/v1", timeout=10)
    yield provider
    await provider.aclose()


@pytest.fixture
async def other(local: OpenAIFake) -> AsyncIterator[OpenAI]:
    provider = OpenAI(url=f"{local.url}/v1", timeout=10)
    yield provider
    await provider.aclose()


def asking(model: str = "gpt-image-1.5", prompt: str = PROMPT, **more: Any) -> Request:
    options, extra = more.pop("options", {}), more.pop("extra", {})
    return Request(uuid4(), uuid4(), prompt, model, more, options, extra)


def sent(fake: OpenAIFake) -> dict[str, Any]:
    (call,) = fake.called("create")
    return json.loads(call.body)


def size_of(event: Event) -> tuple[int, int]:
    assert isinstance(event, Produced)
    return Image.open(io.BytesIO(event.content)).size


def takes(provider: OpenAI, model: str, asked: Mapping[str, Any], **options: Any) -> bool:
    return jsonschema_rs.Draft202012Validator(provider.schema(model, options)).is_valid(dict(asked))


# How it is set up


def test_openai_itself_wants_a_key() -> None:
    assert OpenAI().problem() == "OPENAI_API_KEY is not set"
    assert OpenAI(url="https://api.openai.com/v1/").problem() == "OPENAI_API_KEY is not set"
    assert OpenAI(key="sk-1").problem() is None


def test_another_server_may_do_without_a_key() -> None:
    assert OpenAI(url="http://localai:8080/v1").problem() is None


@pytest.mark.parametrize("wrong", [{"url": "localai:8080"}, {"partial_images": 4}, {"partial_images": True}])
def test_wrong_options_of_an_account_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        OpenAI(**wrong)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"like": "midjourney"}, "options.like"),
        ({"partial_images": 9}, "options.partial_images"),
        ({"partial_images": "1"}, "options.partial_images"),
        ({"response_format": "base64"}, "options.response_format"),
        ({"token_prices": {"image_output": 30}}, "options.token_prices"),
        ({"token_prices": {**PRICES, "text_input": "cheap"}}, "options.token_prices"),
        ({"token_prices": {**PRICES, "text_input": -1}}, "options.token_prices"),
        ({"parameters": ["n"]}, "options.parameters"),
        ({"parameters": {"quality": "high"}}, "options.parameters.quality"),
        ({"parameters": {"mood": {"type": "string"}}}, "options.parameters.mood"),
    ],
)
def test_wrong_options_of_a_route_are_named(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        OpenAI().schema("gpt-image-2", options)
    assert error.value.field == field


async def test_who_pays_is_said_with_each_request(fake: OpenAIFake) -> None:
    provider = OpenAI(key=fake.key, url=f"{fake.url}/v1", organization="org-1", project="proj-1")
    request = asking()
    await collect(provider, request)
    await provider.aclose()
    headers = fake.calls[0].headers
    assert headers["authorization"] == f"Bearer {fake.key}"
    assert (headers["openai-organization"], headers["openai-project"]) == ("org-1", "proj-1")
    assert headers["x-client-request-id"] == str(request.job_id)


async def test_another_server_gets_no_credentials_where_there_are_none(other: OpenAI, local: OpenAIFake) -> None:
    await collect(other, asking("sd"))
    assert "authorization" not in local.calls[0].headers


# What models take


@pytest.mark.parametrize(
    ("model", "good", "bad"),
    [
        ("gpt-image-1", {"width": 1536, "height": 1024}, {"width": 1536, "height": 1536}),
        ("gpt-image-1-mini", {"aspect_ratio": "2:3"}, {"aspect_ratio": "16:9"}),
        ("chatgpt-image-latest", {"quality": "high"}, {"quality": "max"}),
        ("gpt-image-2", {"width": 1536, "height": 864}, {"width": 1000, "height": 1000}),
        ("gpt-image-2", {"aspect_ratio": "16:9"}, {"width": 1024}),
        ("gpt-image-2", {"image": PNG, "mask": PNG}, {"mask": PNG}),
        ("gpt-image-2.5-sunburst-2026-09-08", {"quality": "max"}, {"complexity": "low"}),
        ("gpt-image-2.6-flare", {"complexity": "low", "n": 10}, {"n": 11}),
        ("openai/gpt-image-2.6-flare", {"complexity": "low"}, {"style": "vivid"}),
        ("gpt-image-1.5", {"background": "transparent", "output_format": "webp"}, {"output_format": "gif"}),
        ("dall-e-3", {"style": "vivid", "quality": "hd", "aspect_ratio": "7:4"}, {"n": 2}),
        ("dall-e-3", {"width": 1792, "height": 1024}, {"image": PNG}),
        ("dall-e-2", {"width": 256, "height": 256, "image": PNG}, {"quality": "hd"}),
        ("flux.1-dev", {"width": 777, "height": 555, "n": 2}, {"seed": 1}),
    ],
)
def test_a_model_takes_what_its_family_takes(model: str, good: dict[str, Any], bad: dict[str, Any]) -> None:
    provider = OpenAI()
    assert takes(provider, model, good)
    assert not takes(provider, model, bad)


def test_a_route_says_what_an_unknown_model_takes() -> None:
    parameters = {"seed": {}, "steps": {"as": "num_inference_steps", "maximum": 8}}
    assert takes(OpenAI(), "flux", {"seed": 1, "steps": 8}, parameters=parameters)
    assert not takes(OpenAI(), "flux", {"width": 512, "height": 512}, parameters=parameters)


def test_a_route_restricts_a_known_model() -> None:
    parameters = {"quality": {"default": "low"}, "background": {"enum": ["opaque"]}}
    quality = OpenAI().schema("gpt-image-2", {"parameters": parameters})["properties"]["quality"]
    assert (quality["default"], quality["enum"]) == ("low", ["auto", "low", "medium", "high"])
    assert not takes(OpenAI(), "gpt-image-2", {"background": "transparent"}, parameters=parameters)


def test_a_route_says_which_model_an_alias_is() -> None:
    assert takes(OpenAI(), "pictures", {"quality": "hd"}, like="dall-e-3")
    assert not takes(OpenAI(), "pictures", {"quality": "hd"}, like="gpt-image-2")


# What is sent


async def test_a_request_is_put_into_openai_s_words(openai: OpenAI, fake: OpenAIFake) -> None:
    request = asking(
        "gpt-image-2.6-sunburst",
        aspect_ratio="16:9",
        n=2,
        quality="max",
        output_format="webp",
        output_compression=80,
        background="opaque",
        complexity="low",
        extra={"moderation": "low"},
    )
    made = [event for event in await collect(openai, request) if isinstance(event, Produced)]
    assert sent(fake) == {
        "model": "gpt-image-2.6-sunburst",
        "prompt": PROMPT,
        "size": "1536x864",
        "n": 2,
        "quality": "max",
        "output_format": "webp",
        "output_compression": 80,
        "background": "opaque",
        "complexity": "low",
        "moderation": "low",
    }
    assert [Image.open(io.BytesIO(event.content)).format for event in made] == ["WEBP", "WEBP"]


@pytest.mark.parametrize(
    ("model", "shape", "size"),
    [
        ("gpt-image-1.5", {"aspect_ratio": "3:2"}, "1536x1024"),
        ("gpt-image-1.5", {"width": 1024, "height": 1536}, "1024x1536"),
        ("gpt-image-1.5", {}, None),
        ("gpt-image-2", {"width": 2048, "height": 1152}, "2048x1152"),
        ("dall-e-3", {"aspect_ratio": "4:7"}, "1024x1792"),
        ("dall-e-2", {"aspect_ratio": "1:1"}, "1024x1024"),
    ],
)
async def test_size_is_what_the_shape_asks_for(
    openai: OpenAI, fake: OpenAIFake, model: str, shape: dict[str, Any], size: str | None
) -> None:
    await collect(openai, asking(model, **shape))
    assert sent(fake).get("size") == size


@pytest.mark.parametrize("shape", sorted(OpenAI().schema("gpt-image-2")["properties"]["aspect_ratio"]["enum"]))
async def test_every_aspect_ratio_is_a_size_that_openai_makes(openai: OpenAI, shape: str) -> None:
    *_, made, _finished = await collect(openai, asking("gpt-image-2", aspect_ratio=shape, n=2))
    width, height = size_of(made)
    assert width * int(shape.partition(":")[2]) == height * int(shape.partition(":")[0])


async def test_what_is_passed_through_changes_neither_the_number_nor_the_size(other: OpenAI, local: OpenAIFake) -> None:
    extra = {"n": 10, "size": "4096x4096", "model": "dearer", "prompt": "else", "stream": True, "loras": ["a"]}
    await collect(other, asking("sd", width=512, height=512, extra=extra))
    assert sent(local) == {
        "model": "sd", "prompt": PROMPT, "n": 1, "size": "512x512", "response_format": "b64_json", "loras": ["a"],
    }  # fmt: skip


async def test_declared_parameters_go_to_the_top_level(other: OpenAI, local: OpenAIFake) -> None:
    parameters = {
        "width": {"default": 640},
        "height": {"default": 480},
        "aspect_ratio": {},
        "seed": {},
        "steps": {"as": "num_inference_steps"},
        "negative_prompt": {},
    }
    request = asking(
        "sd", seed=7, steps=4, aspect_ratio="4:3", negative_prompt="fog", options={"parameters": parameters}
    )
    made, _ = await collect(other, request)
    body = sent(local)
    assert {name: body[name] for name in ("seed", "num_inference_steps", "aspect_ratio", "negative_prompt")} == {
        "seed": 7, "num_inference_steps": 4, "aspect_ratio": "4:3", "negative_prompt": "fog",
    }  # fmt: skip
    assert body["size"] == "640x480"
    assert "n" not in body
    assert size_of(made) == (40, 30)


async def test_a_picture_to_start_from_makes_it_an_edit(openai: OpenAI, fake: OpenAIFake) -> None:
    start, mask = picture(seed=1), picture(seed=2)
    request = asking(
        image=data_uri(start), mask=data_uri(mask), n=2, quality="low", extra={"input_fidelity": "high", "model": "x"}
    )
    events = await collect(openai, request)
    (call,) = fake.called("edit")
    fields, files = form_of(call.headers["content-type"], call.body)
    assert files == {"image": start, "mask": mask}
    assert fields == {
        "model": "gpt-image-1.5", "prompt": PROMPT, "n": "2", "quality": "low", "input_fidelity": "high",
    }  # fmt: skip
    assert sum(isinstance(event, Produced) for event in events) == 2


async def test_an_edit_is_streamed_too(openai: OpenAI, fake: OpenAIFake) -> None:
    preview, made, finished = await collect(openai, asking(image=PNG))
    assert isinstance(preview, Preview)
    assert isinstance(made, Produced)
    assert finished.metrics["input_image_tokens"] == INPUT_PICTURE_TOKENS


async def test_the_part_of_a_picture_may_have_another_name(other: OpenAI, local: OpenAIFake) -> None:
    parameters = {"image": {"as": "image[]"}}
    await collect(other, asking("sd", image=PNG, options={"parameters": parameters}, extra={"loras": [{"id": 1}]}))
    (call,) = local.called("edit")
    fields, files = form_of(call.headers["content-type"], call.body)
    assert files == {"image[]": picture()}
    assert json.loads(fields["loras"]) == [{"id": 1}]


async def test_only_urls_are_asked_for_where_a_route_says_so(other: OpenAI, local: OpenAIFake) -> None:
    await collect(other, asking("sd", options={"response_format": "url"}))
    assert sent(local)["response_format"] == "url"


async def test_a_route_leaves_the_form_of_the_answer_to_the_server(other: OpenAI, local: OpenAIFake) -> None:
    made, _ = await collect(other, asking("sd", options={"response_format": False}))
    assert "response_format" not in sent(local)
    assert size_of(made) == (64, 64)


# Pictures on their way


async def test_one_picture_is_streamed_with_one_on_its_way(openai: OpenAI, fake: OpenAIFake) -> None:
    preview, made, _finished = await collect(openai, asking())
    assert isinstance(preview, Preview)
    assert isinstance(made, Produced)
    assert preview.image != made.content
    assert (sent(fake)["stream"], sent(fake)["partial_images"]) == (True, 1)


async def test_a_preview_is_shown_as_soon_as_it_is_there(openai: OpenAI, fake: OpenAIFake) -> None:
    fake.seconds = 60.0
    events = openai.generate(asking(options={"partial_images": 3}), resume=None)
    async with asyncio.timeout(5):
        assert isinstance(await anext(events), Preview)
    await events.aclose()  # type: ignore[attr-defined]


async def test_as_many_previews_come_as_were_asked_for(openai: OpenAI) -> None:
    events = await collect(openai, asking(options={"partial_images": 3}))
    assert [type(event) for event in events] == [Preview, Preview, Preview, Produced, Finished]


@pytest.mark.parametrize(
    "asked",
    [{"n": 2}, {"options": {"partial_images": 0}}, {"model": "dall-e-3"}],
    ids=["several pictures", "switched off", "a model that cannot"],
)
async def test_nothing_is_streamed(openai: OpenAI, fake: OpenAIFake, asked: dict[str, Any]) -> None:
    events = await collect(openai, asking(**asked))
    assert not any(isinstance(event, Preview) for event in events)
    assert "stream" not in sent(fake)


async def test_a_server_that_does_not_stream_is_understood(other: OpenAI, local: OpenAIFake) -> None:
    made, _finished = await collect(other, asking("sd", options={"partial_images": 1}))
    assert sent(local)["stream"] is True
    assert isinstance(made, Produced)


# Cost


async def test_the_cost_is_that_of_the_tokens(openai: OpenAI) -> None:
    *_, finished = await collect(openai, asking(n=2, image=PNG, options={"token_prices": PRICES}))
    text, image, output = len(PROMPT.split()), INPUT_PICTURE_TOKENS, 2 * OUTPUT_TOKENS
    assert finished.cost == Decimal(text * 5 + image * 8 + output * 30) / 1_000_000
    assert finished.metrics["total_tokens"] == text + image + output


async def test_a_preview_is_in_the_cost(openai: OpenAI) -> None:
    *_, finished = await collect(openai, asking(options={"token_prices": {**PRICES, "text_input": 0}}))
    assert finished.cost == Decimal(30 * (OUTPUT_TOKENS + PARTIAL_TOKENS)) / 1_000_000


async def test_input_that_is_not_told_apart_is_priced_as_pictures(openai: OpenAI, fake: OpenAIFake) -> None:
    fake.usage = {"input_tokens": 10, "output_tokens": 20}
    *_, finished = await collect(openai, asking(options={"token_prices": PRICES}))
    assert finished.cost == Decimal(10 * 8 + 20 * 30) / 1_000_000


async def test_without_prices_the_cost_is_not_known(openai: OpenAI) -> None:
    *_, finished = await collect(openai, asking())
    assert finished.cost is None
    assert finished.metrics["output_tokens"] == OUTPUT_TOKENS + PARTIAL_TOKENS


@pytest.mark.parametrize("usage", ["much", {"output_tokens": "many", "input_tokens_details": [7]}, [1]])
async def test_a_strange_usage_costs_no_picture(openai: OpenAI, fake: OpenAIFake, usage: Any) -> None:
    fake.usage = usage
    *_, made, finished = await collect(openai, asking(options={"token_prices": PRICES}))
    assert isinstance(made, Produced)
    assert (finished.cost, finished.metrics) == (None, {})


# Refusals, of which none is billed


@pytest.mark.parametrize(
    ("refusal", "meant"),
    [
        (QUOTA, AccountRefused),
        (HARD_LIMIT, AccountRefused),
        (RATE_LIMIT, Throttled),
        (SERVER_ERROR, Transient),
        (Refused(503, "That model is overloaded.", type="server_error"), Transient),
        (Refused(403, "Your organization must be verified to use this model."), AccountRefused),
        (Refused(400, "Invalid value: 'huge'.", param="size", code="invalid_value"), Permanent),
        (Refused(404, "The model does not exist.", code="model_not_found"), Permanent),
        (Refused(400, "Your request was rejected as a result of our safety system."), Rejected),
        (Refused(400, "Not this.", code="content_policy_violation"), Rejected),
        (Refused(500, "No.", type="image_generation_user_error", code="moderation_blocked"), Rejected),
        (Refused(400, "litellm.ContentPolicyViolationError: no", code="400"), Rejected),
        (Refused(500, "odd", code={"deep": 1}, type=["list"]), Transient),
    ],
)
async def test_a_refusal_is_told_by_its_code(
    openai: OpenAI, fake: OpenAIFake, refusal: Refused, meant: type[Exception]
) -> None:
    fake.refusal = refusal
    with pytest.raises(meant) as error:
        await collect(openai, asking())
    assert type(error.value) is meant
    assert str(refusal) in error.value.message
    assert fake.created == []


@pytest.mark.parametrize("n", [1, 2])
async def test_a_forbidden_prompt_is_rejected_before_it_costs(openai: OpenAI, fake: OpenAIFake, n: int) -> None:
    with pytest.raises(Rejected, match="safety system"):
        await collect(openai, asking(prompt="something forbidden", n=n))
    assert fake.created == []


@pytest.mark.parametrize("n", [1, 2], ids=["in the stream", "in the answer"])
async def test_a_picture_that_is_taken_out_is_rejected(openai: OpenAI, fake: OpenAIFake, n: int) -> None:
    with pytest.raises(Rejected, match="safety system"):
        await collect(openai, asking(prompt="something lurid", n=n))
    assert len(fake.created) == 1


async def test_a_wrong_key_is_not_repeated(fake: OpenAIFake) -> None:
    provider = OpenAI(key="sk-secret-of-ours", url=f"{fake.url}/v1")
    with pytest.raises(AccountRefused) as error:
        await collect(provider, asking())
    await provider.aclose()
    assert "ours" not in error.value.message
    assert "sk-" not in error.value.message
    assert fake.created == []


async def test_what_the_backend_waits_for_is_passed_on(openai: OpenAI, fake: OpenAIFake) -> None:
    body = json.dumps({"error": RATE_LIMIT.error}).encode()
    fake.fail("create", status=429, headers={"retry-after": "7"}, body=body)
    with pytest.raises(Throttled) as error:
        await collect(openai, asking())
    assert error.value.retry_after == 7
    assert fake.created == []


@pytest.mark.parametrize(
    ("error", "meant"),
    [
        (SERVER_ERROR, Transient),
        (RATE_LIMIT, Throttled),
        (QUOTA, AccountRefused),
        (Refused(400, "Invalid image."), Permanent),
        (Refused(400, "odd", code={"deep": 1}, type=["list"]), Transient),
    ],
)
async def test_an_error_in_a_stream_means_what_it_says(
    openai: OpenAI, fake: OpenAIFake, error: Refused, meant: type[Exception]
) -> None:
    fake.stream_error = error
    with pytest.raises(meant, match=str(error)) as raised:
        await collect(openai, asking())
    assert type(raised.value) is meant
    assert len(fake.created) == 1


@pytest.mark.parametrize("body", [b'{"error": {"message": "no GPU"}}', b'{"error": "no GPU"}'])
async def test_an_error_with_a_200_is_an_error(other: OpenAI, local: OpenAIFake, body: bytes) -> None:
    local.fail("create", status=200, body=body)
    with pytest.raises(Transient, match="no GPU"):
        await collect(other, asking("sd"))
    assert local.created == []


# Faults, after which nobody asks twice for what may have been made


async def test_a_server_that_is_not_there_can_be_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    provider = OpenAI(url=f"http://127.0.0.1:{port}/v1")
    with pytest.raises(Transient) as error:
        await collect(provider, asking())
    await provider.aclose()
    assert type(error.value) is Transient


@pytest.mark.parametrize("status", [500, 503])
async def test_a_server_that_fails_can_be_tried_again(openai: OpenAI, fake: OpenAIFake, status: int) -> None:
    fake.fail("create", status=status)
    with pytest.raises(Transient) as error:
        await collect(openai, asking())
    assert type(error.value) is Transient
    assert fake.created == []
    assert await collect(openai, asking())


@pytest.mark.parametrize("n", [1, 2], ids=["streamed", "plain"])
@pytest.mark.parametrize("endpoint", ["create", "edit"])
@pytest.mark.parametrize(
    ("fault", "billed"),
    [
        ({"how": "cut", "handled": True}, 1),
        ({"how": "cut"}, 0),
        ({"how": "cut_body"}, 1),
        ({"how": "garbage", "handled": True}, 1),
        ({"how": "answer", "status": 502, "handled": True}, 1),
        ({"how": "answer", "status": 504, "handled": True}, 1),
    ],
    ids=["cut after", "cut before", "cut in the middle", "garbage", "bad gateway", "gateway timeout"],
)
async def test_a_lost_answer_is_uncertain_and_not_asked_for_again(
    openai: OpenAI, fake: OpenAIFake, endpoint: str, fault: dict[str, Any], billed: int, n: int
) -> None:
    fake.fail(endpoint, **fault)
    with pytest.raises(SubmissionUncertain):
        await collect(openai, asking(n=n, **({"image": PNG} if endpoint == "edit" else {})))
    assert len(fake.called(endpoint)) == 1
    assert len(fake.created) == billed


async def test_a_silent_server_is_given_up(fake: OpenAIFake) -> None:
    provider = OpenAI(key=fake.key, url=f"{fake.url}/v1", timeout=0.2)
    fake.fail("create", "hang", handled=True)
    with pytest.raises(SubmissionUncertain):
        await collect(provider, asking())
    await provider.aclose()
    assert len(fake.created) == 1


async def test_a_slow_start_is_waited_for(openai: OpenAI, fake: OpenAIFake) -> None:
    fake.fail("create", "slow", seconds=0.3)
    *_, made, _finished = await collect(openai, asking())
    assert isinstance(made, Produced)
    assert len(fake.created) == 1


async def test_a_stream_that_ends_without_its_picture_is_uncertain(openai: OpenAI, fake: OpenAIFake) -> None:
    fake.ends_early = True
    with pytest.raises(SubmissionUncertain, match="0 of 1"):
        await collect(openai, asking())
    assert len(fake.created) == 1


@pytest.mark.parametrize(
    "event",
    [b"data: {not json\n\n", b"data: 7\n\n", b'data: {"type": "image_generation.completed"}\n\n', b"data: [DONE]\n\n"],
)
async def test_a_garbled_stream_is_uncertain(openai: OpenAI, fake: OpenAIFake, event: bytes) -> None:
    fake.fail("create", status=200, headers={"content-type": "text/event-stream"}, body=event, handled=True)
    with pytest.raises(SubmissionUncertain):
        await collect(openai, asking())
    assert len(fake.created) == 1


async def test_a_garbled_preview_costs_no_picture(openai: OpenAI, fake: OpenAIFake) -> None:
    good = base64.b64encode(picture()).decode()
    events = (
        ": keep-alive\n\n"
        'data: {"type": "image_generation.partial_image", "b64_json": "~"}\n\n'
        f'data: {{"type": "image_generation.completed", "b64_json": "{good}"}}\n\n'
    )
    fake.fail("create", status=200, headers={"content-type": "text/event-stream"}, body=events.encode())
    made, _finished = await collect(openai, asking())
    assert made.content == picture()


async def test_a_large_picture_comes_through_a_stream(openai: OpenAI, fake: OpenAIFake) -> None:
    content = bytes(6_000_000)
    event = {"type": "image_generation.completed", "b64_json": base64.b64encode(content).decode()}
    body = f"data: {json.dumps(event)}\n\n".encode()
    fake.fail("create", status=200, headers={"content-type": "text/event-stream"}, body=body)
    made, _finished = await collect(openai, asking())
    assert made.content == content


@pytest.mark.parametrize(
    "answer",
    [
        b"[]",
        b"{}",
        b'{"data": null}',
        b'{"data": []}',
        b'{"data": [{"b64_json": ""}]}',
        b'{"data": [{"b64_json": "~~~"}]}',
        '{"data": [{"b64_json": "é"}]}'.encode(),
        b'{"data": [{"url": "http://[bad"}]}',
        b'{"data": ["x"]}',
    ],
)
async def test_an_answer_without_a_picture_is_uncertain(other: OpenAI, local: OpenAIFake, answer: bytes) -> None:
    local.fail("create", status=200, body=answer, handled=True)
    with pytest.raises(SubmissionUncertain):
        await collect(other, asking("sd"))
    assert len(local.created) == 1


async def test_too_few_pictures_are_not_made_again(openai: OpenAI, fake: OpenAIFake) -> None:
    fake.missing = 1
    with pytest.raises(SubmissionUncertain, match="2 of 3"):
        await collect(openai, asking(n=3))
    assert len(fake.created) == 1


async def test_an_answer_that_does_not_unpack_is_uncertain(other: OpenAI, local: OpenAIFake) -> None:
    local.fail("create", status=200, headers={"content-encoding": "gzip"}, body=b"no gzip", handled=True)
    with pytest.raises(SubmissionUncertain):
        await collect(other, asking("sd"))
    assert len(local.created) == 1


async def test_leaving_in_the_middle_of_a_stream_closes_it(openai: OpenAI, fake: OpenAIFake) -> None:
    fake.seconds = 60
    call = asyncio.create_task(collect(openai, asking()))
    async with asyncio.timeout(5):
        while not fake.created:
            await asyncio.sleep(0.005)
    call.cancel()
    await asyncio.wait({call}, timeout=5)
    assert call.cancelled()


# Pictures by URL

BY_URL = {"response_format": "url"}


@pytest.mark.parametrize("host", [None, ""], ids=["absolute", "relative"])
async def test_pictures_by_url_are_fetched(other: OpenAI, local: OpenAIFake, host: str | None) -> None:
    local.host = local.url if host is None else host
    events = await collect(other, asking("sd", n=3, width=640, height=320, options=BY_URL))
    assert [size_of(event) for event in events[:-1]] == [(40, 20)] * 3
    assert len(local.called("output")) == 3


async def test_a_data_uri_is_no_url(other: OpenAI, local: OpenAIFake) -> None:
    local.fail("create", status=200, body=json.dumps({"data": [{"url": PNG}]}).encode())
    made, _finished = await collect(other, asking("sd"))
    assert made.content == picture()


async def test_the_key_goes_to_no_other_host(openai: OpenAI, fake: OpenAIFake, local: OpenAIFake) -> None:
    local.outputs["x"] = picture(), float("inf")
    fake.fail("create", status=200, body=json.dumps({"data": [{"url": f"{local.url}/outputs/x"}]}).encode())
    await collect(openai, asking("dall-e-3"))
    (call,) = local.calls
    assert "authorization" not in call.headers


async def test_a_picture_that_expired_is_gone(other: OpenAI, local: OpenAIFake) -> None:
    local.lifetime = -1
    with pytest.raises(OutputExpired):
        await collect(other, asking("sd", options=BY_URL))
    assert len(local.created) == 1


@pytest.mark.parametrize(
    "fault", [{"status": 500}, {"how": "cut"}, {"how": "cut_body"}, {"how": "answer", "status": 429}],
    ids=["500", "cut", "cut body", "throttled"],
)  # fmt: skip
async def test_a_picture_that_cannot_be_fetched_is_not_made_again(
    other: OpenAI, local: OpenAIFake, fault: dict[str, Any]
) -> None:
    local.fail("output", times=9, **fault)
    with pytest.raises(SubmissionUncertain, match="made the picture"):
        await collect(other, asking("sd", options=BY_URL))
    assert len(local.created) == 1


@pytest.mark.parametrize("fault", [{"status": 503}, {"how": "cut"}, {"how": "cut_body"}], ids=["503", "cut", "body"])
async def test_fetching_a_picture_is_tried_again(other: OpenAI, local: OpenAIFake, fault: dict[str, Any]) -> None:
    local.fail("output", **fault)
    made, _finished = await collect(other, asking("sd", options=BY_URL))
    assert size_of(made) == (64, 64)
    assert len(local.called("output")) == 2
    assert len(local.created) == 1
