"""What every provider must do, as tests that any provider can be run against.

Subclass `ProviderContract` in a test module, say how to make the provider, and which of the
provider's models and parameters to use:

    class TestMine(ProviderContract):
        model = "mine-fast"
        parameters = {"width": 64, "height": 64}
        slow_parameters = {"width": 2048, "height": 2048}

        def make(self) -> Provider:
            return Mine(token="...")

`pytest` then collects the suite under that name. Everything goes through the public protocol: give
a provider of a hosted backend a fake transport, or a sandbox.
"""

import asyncio
import io
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, ClassVar
from uuid import uuid4

import jsonschema_rs
import pytest
from PIL import Image

from darkroom.media.model import Request
from darkroom.providers.base import Accepted, Event, Finished, Preview, Produced, Progress, Provider

VOCABULARY = (Accepted, Progress, Preview, Produced, Finished)


class ProviderContract:
    """The suite. Override `make`, and the attributes where the defaults do not fit.

    model: the provider's own name of a model.
    options: the options of its route.
    parameters: what every request carries, so that it is quick (`n` and `seed` are the suite's).
    slow_parameters: added where a call has to last long enough to be cancelled.
    resumable_parameters: added where a call has to be accepted under a reference.
    repeatable: whether the same request with the same seed gives the same bytes.
    deadline: seconds in which a cancelled or abandoned call must be over.
    """

    pytestmark = pytest.mark.anyio

    model: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = {}
    parameters: ClassVar[Mapping[str, Any]] = {}
    slow_parameters: ClassVar[Mapping[str, Any]] = {}
    resumable_parameters: ClassVar[Mapping[str, Any]] = {}
    repeatable: ClassVar[bool] = True
    deadline: ClassVar[float] = 5.0

    def make(self) -> Provider:
        """A new provider, as a process that starts would make it."""
        raise NotImplementedError("a subclass of ProviderContract says how to make its provider")

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @pytest.fixture
    async def provider(self) -> AsyncIterator[Provider]:
        provider = self.make()
        if provider.schema(self.model, self.options) is None:
            await provider.learn(self.model, self.options)
        yield provider
        await provider.aclose()

    def schema_of(self, provider: Provider) -> dict[str, Any]:
        """What the model takes."""
        schema = provider.schema(self.model, self.options)
        assert schema is not None, "learn() did not make schema() known"
        return schema

    def request_for(self, provider: Provider, **parameters: Any) -> Request:
        """A request that the schema allows, completed with the schema's defaults."""
        schema = self.schema_of(provider)
        wanted = {**defaults(schema), **self.parameters, **parameters}
        jsonschema_rs.Draft202012Validator(schema).validate(wanted)
        return Request(uuid4(), uuid4(), "a lighthouse at dusk", self.model, wanted, self.options)

    def counts(self, provider: Provider) -> list[int]:
        return sorted({1, min(3, self.schema_of(provider)["properties"].get("n", {}).get("maximum", 1))})

    # What it says about itself

    async def test_a_model_is_described_in_one_line(self, provider: Provider) -> None:
        line = provider.describe(self.model)
        assert line.strip(), "describe() says nothing"
        assert "\n" not in line, "describe() is more than one line"

    async def test_the_schema_is_a_json_schema_of_an_object(self, provider: Provider) -> None:
        schema = self.schema_of(provider)
        jsonschema_rs.meta.validate({"$schema": DIALECT, **schema})
        assert schema.get("$schema", DIALECT) == DIALECT, "the schema is in another dialect than 2020-12"
        assert schema.get("type") == "object", "the schema is not of an object"

    async def test_every_parameter_is_described(self, provider: Provider) -> None:
        properties = self.schema_of(provider)["properties"]
        silent = [name for name, each in properties.items() if not each.get("description")]
        assert not silent, f"parameters without a description: {silent}"

    async def test_the_defaults_are_valid(self, provider: Provider) -> None:
        schema = self.schema_of(provider)
        jsonschema_rs.Draft202012Validator(schema).validate(defaults(schema))

    async def test_an_unknown_parameter_is_refused(self, provider: Provider) -> None:
        schema = self.schema_of(provider)
        valid = jsonschema_rs.Draft202012Validator(schema).is_valid({**defaults(schema), "no_such_parameter": 1})
        assert not valid, "the schema lets unknown parameters through (additionalProperties: false)"

    async def test_no_more_pictures_can_be_asked_for_than_it_makes(self, provider: Provider) -> None:
        n = self.schema_of(provider)["properties"].get("n", {"maximum": 1})
        assert 1 <= n.get("maximum", 0) <= provider.capabilities.max_n, "n.maximum is not within capabilities.max_n"

    # What it makes

    async def test_n_pictures_are_made_and_they_decode(self, provider: Provider) -> None:
        for n in self.counts(provider):
            events = await collect(provider, self.request_for(provider, **({"n": n} if n > 1 else {})))
            made = [event for event in events if isinstance(event, Produced)]
            assert sorted(event.index for event in made) == list(range(n)), f"of {n} pictures: {made}"
            for event in made:
                decode(event.content)

    async def test_only_the_vocabulary_is_spoken_and_finished_is_the_last_word(self, provider: Provider) -> None:
        events = await collect(provider, self.request_for(provider))
        strangers = [event for event in events if not isinstance(event, VOCABULARY)]
        assert not strangers, f"not in the vocabulary: {strangers}"
        ends = [place for place, event in enumerate(events) if isinstance(event, Finished)]
        assert ends == [len(events) - 1], f"Finished must come once, last; it came at {ends} of {len(events)}"

    async def test_progress_only_grows_and_stays_within_the_total(self, provider: Provider) -> None:
        events = await collect(provider, self.request_for(provider))
        progress = [event for event in events if isinstance(event, Progress)]
        steps = [event.step for event in progress]
        assert steps == sorted(steps), f"progress goes back: {steps}"
        assert all(0 <= event.step <= event.total for event in progress), f"beyond the total: {progress}"
        assert not progress or provider.capabilities.reports_progress, "progress, but not reports_progress"

    async def test_previews_decode(self, provider: Provider) -> None:
        for event in await collect(provider, self.request_for(provider)):
            if isinstance(event, Preview):
                decode(event.image)

    async def test_the_same_request_gives_the_same_bytes(self, provider: Provider) -> None:
        if not self.repeatable or "seed" not in self.schema_of(provider)["properties"]:
            pytest.skip("the model takes no seed, or is not repeatable")
        request, other = self.request_for(provider, seed=7), self.make()
        first, again = await pictures(provider, request), await pictures(provider, request)
        elsewhere = await pictures(other, request)
        await other.aclose()
        assert first == again, "the same provider gave other bytes"
        assert first == elsewhere, "a new provider gave other bytes"

    async def test_calls_at_the_same_time_do_not_mix(self, provider: Provider) -> None:
        request = self.request_for(provider)
        for events in await asyncio.gather(*(collect(provider, request) for _ in range(4))):
            assert sum(isinstance(event, Produced) for event in events) == request.n
            assert isinstance(events[-1], Finished)

    # How it resumes

    async def test_accepted_is_said_first_and_only_by_one_that_resumes(self, provider: Provider) -> None:
        events = await collect(provider, self.request_for(provider, **self.resumable_parameters))
        places = [place for place, event in enumerate(events) if isinstance(event, Accepted)]
        assert places in ([], [0]), f"Accepted must come once, first; it came at {places}"
        assert not places or provider.capabilities.resumes, "Accepted, but not capabilities.resumes"

    async def test_a_broken_off_call_is_resumed_here_and_by_a_new_process(self, provider: Provider) -> None:
        if not provider.capabilities.resumes:
            pytest.skip("this provider does not resume")
        request, other = self.request_for(provider, **self.resumable_parameters), self.make()
        ref = await accepted(provider, request)
        for resuming in (provider, other):
            events = await collect(resuming, request, resume=ref)
            assert sum(isinstance(event, Produced) for event in events) == request.n
            assert not any(isinstance(event, Accepted) and event.ref != ref for event in events), (
                "resuming started it again, under another reference"
            )
        await other.aclose()

    async def test_what_was_accepted_can_be_cancelled_twice(self, provider: Provider) -> None:
        if not (provider.capabilities.resumes and provider.capabilities.cancels):
            pytest.skip("this provider does not cancel by reference")
        ref = await accepted(provider, self.request_for(provider, **self.resumable_parameters))
        await provider.cancel(ref)
        await provider.cancel(ref)

    # How it stops

    @pytest.mark.parametrize("seconds", [0.0, 0.02, 0.1])
    async def test_a_cancelled_call_ends_promptly_and_leaves_nothing_behind(
        self, provider: Provider, seconds: float
    ) -> None:
        before = asyncio.all_tasks()
        call = asyncio.create_task(collect(provider, self.request_for(provider, **self.slow_parameters)))
        await asyncio.wait({call}, timeout=seconds)
        call.cancel()
        await asyncio.wait({call}, timeout=self.deadline)
        assert call.done(), f"the call runs on {self.deadline} s after it was cancelled"
        await self.nothing_runs(provider, before)

    async def test_a_consumer_may_leave_after_the_first_event(self, provider: Provider) -> None:
        before = asyncio.all_tasks()
        events = provider.generate(self.request_for(provider), resume=None)
        await anext(events)
        async with asyncio.timeout(self.deadline):
            await events.aclose()  # type: ignore[attr-defined]
        await self.nothing_runs(provider, before)

    async def test_it_works_after_a_cancelled_call(self, provider: Provider) -> None:
        call = asyncio.create_task(collect(provider, self.request_for(provider, **self.slow_parameters)))
        await asyncio.wait({call}, timeout=0.02)
        call.cancel()
        await asyncio.wait({call}, timeout=self.deadline)
        assert await pictures(provider, self.request_for(provider))

    async def test_it_may_be_closed_twice(self, provider: Provider) -> None:
        await collect(provider, self.request_for(provider))
        await provider.aclose()
        await provider.aclose()

    async def nothing_runs(self, provider: Provider, before: set[asyncio.Task[Any]]) -> None:
        package = type(provider).__module__.partition(".")[0]
        await eventually(lambda: not asyncio.all_tasks() - before, self.deadline, "a task runs on")
        await eventually(lambda: not busy(package), self.deadline, f"a thread runs on in {package}")


DIALECT = "https://json-schema.org/draft/2020-12/schema"


def defaults(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {name: each["default"] for name, each in schema["properties"].items() if "default" in each}


async def collect(provider: Provider, request: Request, resume: str | None = None) -> list[Event]:
    return [event async for event in provider.generate(request, resume=resume)]


async def pictures(provider: Provider, request: Request) -> dict[int, bytes]:
    events = await collect(provider, request)
    return {event.index: event.content for event in events if isinstance(event, Produced)}


async def accepted(provider: Provider, request: Request) -> str:
    """The reference of a call that is broken off as soon as it has one."""
    events = provider.generate(request, resume=None)
    first = await anext(events)
    await events.aclose()  # type: ignore[attr-defined]
    assert isinstance(first, Accepted), f"resumable_parameters must lead to Accepted, not to {first}"
    return first.ref


def decode(content: bytes) -> None:
    with Image.open(io.BytesIO(content)) as picture:
        picture.load()


def busy(package: str) -> bool:
    """Whether another thread executes code of `package`. Idle workers of a pool do not count."""
    mine = threading.get_ident()
    return any(runs(frame, package) for ident, frame in sys._current_frames().items() if ident != mine)


def runs(frame: Any, package: str) -> bool:
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] == package:
            return True
        frame = frame.f_back
    return False


async def eventually(holds: Callable[[], bool], seconds: float, otherwise: str) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{otherwise} {seconds} s later"
        await asyncio.sleep(0.005)
