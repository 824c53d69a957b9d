"""The provider `recipe`: the contract and its failures, with the recipe of docs/providers.md against a fake of BFL."""

import asyncio
import re
import tomllib
from collections.abc import AsyncIterator, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from provider_suite import ProviderContract, accepted, collect, eventually
from provider_suite import pictures as pictures_of

from darkroom.errors import (
    AccountRefused,
    Interrupted,
    InvalidOutput,
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
from darkroom.providers.recipe.api import Api, found
from services.backends.base import Fault
from services.backends.bfl import BFLFake
from services.routed import Routed

PAGE = Path(__file__).parents[2] / "docs" / "providers.md"
BLOCKS = re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
SHOWN = tomllib.loads(BLOCKS[0])
ACCOUNT = SHOWN["accounts"]["bfl"]
ROUTE = SHOWN["models"]["flux-pro"]["routes"][0]
RECIPE = ACCOUNT["options"]


def provider_at(fake: BFLFake, *, timeout: float = 5.0, key: str = BFLFake.key, **options: Any) -> Provider:
    everything = {**RECIPE, "every": 0.01, "origins": [], **options}
    made: Provider = registry.load(ACCOUNT["provider"])(key=key, url=f"{fake.url}/v1", timeout=timeout, **everything)
    return made


def request(extra: Mapping[str, Any] | None = None, **parameters: Any) -> Request:
    size = {"width": 64, "height": 48}
    return Request(uuid4(), uuid4(), "a lighthouse", ROUTE["model"], size | parameters, ROUTE["options"], extra or {})


def named(value: Any) -> str | None:
    """The id of a fault in a list of tests."""
    return f"{value.on}-{value.how}-{value.status}" if isinstance(value, Fault) else None


@pytest.fixture(scope="module")
def shared() -> Iterator[BFLFake]:
    with BFLFake().running() as fake:
        yield fake


@pytest.fixture
def bfl(shared: BFLFake) -> BFLFake:
    shared.reset()
    return shared


@pytest.fixture
async def provider(bfl: BFLFake) -> AsyncIterator[Provider]:
    made = provider_at(bfl)
    yield made
    await made.aclose()


class TestRecipe(ProviderContract):
    model = ROUTE["model"]
    parameters = {"width": 64, "height": 64}

    @pytest.fixture(autouse=True)
    def _at(self, bfl: BFLFake) -> None:
        self.fake = bfl
        bfl.seconds = 0.05

    def make(self) -> Provider:
        return Routed(provider_at(self.fake), ROUTE["options"])


pytestmark = pytest.mark.anyio


# What is asked for, and what comes back


async def test_a_request_is_made_as_the_recipe_says(bfl: BFLFake, provider: Provider) -> None:
    await collect(provider, request(seed=11, output_format="jpeg", extra={"safety_tolerance": 1, "prompt": "x"}))
    assert bfl.called("create")[0].path == "/v1/flux-2-pro"
    assert bfl.created[0].body == {
        "prompt": "a lighthouse", "width": 64, "height": 48, "seed": 11, "output_format": "jpeg", "safety_tolerance": 1,
    }  # fmt: skip


async def test_what_would_make_it_dearer_is_not_passed_through(bfl: BFLFake, provider: Provider) -> None:
    extra = dict.fromkeys(PRICED, 4) | {"image_size.width": 4096, "nested": {"num_images": 4, "kept": 1}}
    await collect(provider, request(extra=extra))
    body = bfl.created[0].body
    assert body.pop("nested") == {"kept": 1}
    assert PRICED & body.keys() == {"width", "height"}
    assert (body["width"], body["height"]) == (64, 48)


async def test_a_prompt_may_look_like_a_place(bfl: BFLFake) -> None:
    provider = provider_at(bfl, body={"prompt": "{prompt}", "about.made.by": "{model}", "about.draft": True})
    asked = request()
    await collect(provider, Request(asked.media_id, asked.job_id, "a {model} {key}", asked.model, {}, {}))
    assert bfl.created[0].body == {"prompt": "a {model} {key}", "about": {"made": {"by": "flux-2-pro"}, "draft": True}}
    await provider.aclose()


async def test_cost_and_seed_are_said(bfl: BFLFake, provider: Provider) -> None:
    ref = await accepted(provider, request(seed=11))
    events = await collect(provider, request(), resume=ref)
    assert [event.seed for event in events if isinstance(event, Produced)] == [11]
    assert events[-1] == Finished(cost=Decimal("0.03")), "3 credits, known to a process that did not submit, too"


async def test_progress_is_a_share(bfl: BFLFake, provider: Provider) -> None:
    bfl.waits, bfl.seconds = 0.1, 0.2
    steps = [event.step for event in await collect(provider, request()) if isinstance(event, Progress)]
    assert len(steps) > 2
    assert steps == sorted(steps)
    assert steps[-1] == 100


# Who sees the key


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_regional_origin_sees_the_key_only_if_it_is_trusted(bfl: BFLFake, trusted: bool) -> None:
    bfl.region = f"http://localhost:{bfl.port}"
    provider = provider_at(bfl, origins=[bfl.region] if trusted else [])
    if trusted:
        assert len(await pictures_of(provider, request())) == 1
    else:
        with pytest.raises(Interrupted, match="403"):
            await collect(provider, request())
    assert all(("x-key" in call.headers) is trusted for call in bfl.called("poll"))
    await provider.aclose()


async def test_a_redirect_does_not_take_the_key_along(bfl: BFLFake, provider: Provider) -> None:
    with BFLFake().running() as elsewhere:
        elsewhere.fail("output", status=200)
        bfl.fail("output", status=302, headers={"location": f"{elsewhere.url}/results/1/sample.jpeg"})
        await collect(provider, request())
        assert bfl.called("output")[0].headers["x-key"] == bfl.key
        assert "x-key" not in elsewhere.called("output")[0].headers


# What fails before it is accepted


@pytest.mark.parametrize(
    ("fault", "error", "created"),
    [
        (Fault("create", status=429, headers={"retry-after": "7"}), Throttled, 0),
        (Fault("create", status=500), Transient, 0),
        (Fault("create", status=502), SubmissionUncertain, 0),
        (Fault("create", how="cut"), SubmissionUncertain, 0),
        (Fault("create", how="cut", handled=True), SubmissionUncertain, 1),
        (Fault("create", how="cut_body"), SubmissionUncertain, 1),
        (Fault("create", how="garbage", handled=True), SubmissionUncertain, 1),
        (Fault("create", status=200, body=b'{"id": "1"}', handled=True), SubmissionUncertain, 1),
        (Fault("create", how="hang"), SubmissionUncertain, 0),
    ],
    ids=named,
)
async def test_a_request_that_was_not_answered(
    bfl: BFLFake, fault: Fault, error: type[ProviderError], created: int
) -> None:
    bfl.faults.append(fault)
    provider = provider_at(bfl, timeout=0.3)
    with pytest.raises(error) as caught:
        await collect(provider, request())
    assert type(caught.value) is error
    assert caught.value.retry_after == (7 if error is Throttled else None)
    assert len(bfl.created) == created
    assert len(bfl.called("create")) == 1
    await provider.aclose()


async def test_too_many_active_tasks_throttle(bfl: BFLFake, provider: Provider) -> None:
    bfl.hangs, bfl.active_tasks = True, 1
    await accepted(provider, request())
    with pytest.raises(Throttled):
        await collect(provider, request())
    assert len(bfl.created) == 1


async def test_an_account_without_credits_is_refused(bfl: BFLFake, provider: Provider) -> None:
    bfl.has_credits = False
    with pytest.raises(AccountRefused, match="Insufficient credits"):
        await collect(provider, request())
    assert bfl.created == []


async def test_a_wrong_key_is_refused(bfl: BFLFake) -> None:
    provider = provider_at(bfl, key="wrong")
    with pytest.raises(AccountRefused) as caught:
        await collect(provider, request())
    assert "wrong" not in caught.value.message
    assert bfl.created == []
    await provider.aclose()


async def test_a_request_that_is_not_valid_there_is_permanent(bfl: BFLFake, provider: Provider) -> None:
    with pytest.raises(Permanent, match="Input should be greater"):
        await collect(provider, request(width=16))
    assert bfl.created == []


# What fails afterwards


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        ("Error", Transient),
        ("Request Moderated", Rejected),
        ("Content Moderated", Rejected),
        ("Reticulating", Interrupted),
    ],
)
async def test_a_task_that_ends_without_a_picture(
    bfl: BFLFake, provider: Provider, outcome: Any, error: type[ProviderError]
) -> None:
    bfl.outcome = outcome
    with pytest.raises(error) as caught:
        await collect(provider, request())
    assert type(caught.value) is error
    assert len(bfl.created) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault("poll", status=429, headers={"retry-after": "0.05"}, times=2),
        Fault("poll", status=503),
        Fault("poll", how="garbage"),
        Fault("poll", how="cut"),
        Fault("output", status=500),
        Fault("output", how="cut_body"),
    ],
    ids=named,
)
async def test_trouble_on_the_way_is_overcome(bfl: BFLFake, provider: Provider, fault: Fault) -> None:
    bfl.faults.append(fault)
    assert len(await pictures_of(provider, request())) == 1
    assert bfl.faults == []
    assert len(bfl.created) == 1


@pytest.mark.parametrize("endpoint", ["poll", "output"])
async def test_trouble_that_stays_is_interrupted_and_can_be_resumed(
    bfl: BFLFake, provider: Provider, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("darkroom.providers.http.FIRST_REST", 0.001)
    bfl.fail(endpoint, status=500, times=4)
    ref = await accepted(provider, request())
    with pytest.raises(Interrupted):
        await collect(provider, request(), resume=ref)
    assert len([e for e in await collect(provider, request(), resume=ref) if isinstance(e, Produced)]) == 1
    assert len(bfl.created) == 1


REFUSED = [(on, status) for on in ("poll", "output") for status in (400, 401, 402, 422)]


@pytest.mark.parametrize(("endpoint", "status"), [*REFUSED, ("poll", 403)])
async def test_a_refused_look_at_what_was_accepted_can_be_resumed(
    bfl: BFLFake, provider: Provider, endpoint: str, status: int
) -> None:
    ref = await accepted(provider, request())
    bfl.fail(endpoint, status=status)
    with pytest.raises(Interrupted):
        await collect(provider, request(), resume=ref)
    assert isinstance((await collect(provider, request(), resume=ref))[-1], Finished)
    assert len(bfl.created) == 1


async def test_a_throttled_download_can_be_resumed(bfl: BFLFake, provider: Provider) -> None:
    bfl.fail("output", status=429, headers={"retry-after": "3"})
    with pytest.raises(Interrupted) as caught:
        await collect(provider, request())
    assert caught.value.retry_after == 3


async def test_a_picture_that_is_gone_is_expired(bfl: BFLFake, provider: Provider) -> None:
    bfl.expired = True
    with pytest.raises(OutputExpired):
        await collect(provider, request())
    assert len(bfl.created) == 1


@pytest.mark.parametrize("says", [200, 404])
async def test_a_task_that_is_not_known_any_more_is_expired(bfl: BFLFake, provider: Provider, says: int) -> None:
    ref = await accepted(provider, request())
    bfl.forget()
    if says == 404:
        bfl.fail("poll", status=404)
    with pytest.raises(OutputExpired):
        await collect(provider, request(), resume=ref)
    assert len(bfl.created) == 1


async def test_one_that_is_done_without_an_output_made_no_picture(bfl: BFLFake) -> None:
    provider = provider_at(bfl, output="result.elsewhere")
    with pytest.raises(InvalidOutput, match=r"result\.elsewhere"):
        await collect(provider, request())
    await provider.aclose()


async def test_one_that_hangs_is_left_promptly(bfl: BFLFake, provider: Provider) -> None:
    bfl.hangs = True
    call = asyncio.create_task(collect(provider, request()))
    await eventually(lambda: len(bfl.called("poll")) > 1, 5, "it is not polled")
    call.cancel()
    done, _ = await asyncio.wait({call}, timeout=1)
    assert done
    assert len(bfl.created) == 1


# What a recipe may say


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"sumbit": "x"}, "'sumbit'"),
        ({"submit": "{modle}"}, "'submit' has the place {modle}"),
        ({"poll": "{key}"}, "'poll' has the place {key}"),
        ({"state": ""}, "'state' must be a text"),
        ({"pending": "Pending"}, "'pending' must be a list"),
        ({"body": "prompt"}, "'body' must be a table"),
        ({"credit": "cheap"}, "'credit' must be an amount"),
        ({"origins": ["https://*"]}, "no origin"),
        ({"origins": ["https://*.ai"]}, "too wide"),
        ({"origins": ["http://*.bfl.ai"]}, "too wide"),
        ({"origins": ["https://api.*.ai"]}, "no origin"),
        ({"origins": ["https://bfl.ai/v1"]}, "no origin"),
        ({"origins": ["bfl.ai"]}, "https://"),
    ],
)
def test_a_wrong_recipe_is_named(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        registry.load("recipe")(url="https://api.bfl.ai/v1", key="k", **{**RECIPE, **wrong})


@pytest.mark.parametrize("name", ["submit", "ref", "state", "pending", "done", "output"])
def test_a_missing_option_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Api.read({key: value for key, value in RECIPE.items() if key != name})


def test_a_missing_key_is_a_problem() -> None:
    make = registry.load("recipe")
    assert make(url="https://api.bfl.ai/v1", **RECIPE).problem() == "the account's key is not set"
    assert make(key_from="BFL_API_KEY", url="https://api.bfl.ai/v1", **RECIPE).problem() == "BFL_API_KEY is not set"
    assert make(url="https://api.bfl.ai/v1", key="k", **RECIPE).problem() is None
    assert make(url="http://localhost/v1", **{**RECIPE, "authorization": {}}).problem() is None


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("id", 7),
        ("images.url", ["a", "b"]),
        ("images.1.url", "b"),
        ("images.2.url", None),
        ("images.0.size.0", 64),
        ("id.more", None),
        ("nothing.there", None),
        (None, None),
    ],
)
def test_a_path_leads_into_an_answer(path: str | None, what: Any) -> None:
    answer = {"id": 7, "images": [{"url": "a", "size": [64, 48]}, {"url": "b"}]}
    assert found(answer, path) == what
