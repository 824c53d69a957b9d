"""What every dispatcher does, whoever carries its wake-ups."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from darkroom.dispatch.base import Dispatcher
from darkroom.dispatch.embedded import EmbeddedDispatcher
from services.brokers import Broker, dispatcher_on
from services.engines import until

pytestmark = pytest.mark.anyio


@dataclass
class Subject:
    """A dispatcher, and what a worker of a lane has heard of it. `carrier`: what must answer for it."""

    dispatcher: Dispatcher
    heard: Callable[[str], Awaitable[bool]]
    carrier: str | None


@pytest.fixture(params=["embedded", "rabbitmq", "redis"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    if request.param == "embedded":
        yield _embedded()
        return
    url: str = request.getfixturevalue(f"{request.param}_url")
    made = Broker.new(request.param, url)
    dispatcher = dispatcher_on(made)

    async def heard(lane: str) -> bool:
        return await asyncio.to_thread(made.depth, lane) > 0

    yield Subject(dispatcher, heard, made.url)
    await dispatcher.aclose()
    await asyncio.to_thread(made.clear)


def _embedded() -> Subject:
    dispatcher = EmbeddedDispatcher()

    async def heard(lane: str) -> bool:
        try:
            await asyncio.wait_for(dispatcher.due(lane), 0.01)
        except TimeoutError:
            return False
        return True

    return Subject(dispatcher, heard, None)


async def test_who_serves_a_lane_hears_that_it_is_woken(subject: Subject) -> None:
    subject.dispatcher.wake("default")
    await until(lambda: subject.heard("default"))


async def test_another_lane_hears_nothing(subject: Subject) -> None:
    subject.dispatcher.wake("default")
    await until(lambda: subject.heard("default"))
    assert not await subject.heard("gpu")


async def test_a_lane_without_wake_ups_under_way_is_reminded(subject: Subject) -> None:
    subject.dispatcher.remind("gpu", 3)
    await until(lambda: subject.heard("gpu"))


async def test_waking_waits_for_nothing(subject: Subject) -> None:
    await subject.dispatcher.check()
    started = time.perf_counter()
    for _ in range(500):
        subject.dispatcher.wake("default")
        subject.dispatcher.remind("gpu", 1)
    assert time.perf_counter() - started < 0.25  # some 0.25 ms each: no network is that fast


async def test_what_carries_it_answers(subject: Subject) -> None:
    await subject.dispatcher.check()


async def test_its_location_tells_no_password(subject: Subject) -> None:
    location = subject.dispatcher.location
    assert (location is None) == (subject.carrier is None)
    assert "@" not in (location or "")


async def test_what_was_woken_before_the_end_is_not_lost(subject: Subject) -> None:
    subject.dispatcher.wake("default")
    await subject.dispatcher.aclose()
    assert await subject.heard("default")
