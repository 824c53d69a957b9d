"""Tickets on their way to real brokers, which go away and come back."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from darkroom.dispatch.celery import CeleryDispatcher
from darkroom.errors import BrokerUnavailable
from services.brokers import Broker, dispatcher_on
from services.engines import until
from services.proxy import Proxy

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def dispatching(broker: Broker) -> AsyncIterator[CeleryDispatcher]:
    dispatcher = dispatcher_on(broker)
    try:
        yield dispatcher
    finally:
        await dispatcher.aclose()


async def depth_is(broker: Broker, wanted: int, *, lane: str = "default", at_least: bool = False) -> None:
    async def reached() -> bool:
        depth = await asyncio.to_thread(broker.depth, lane)
        return depth >= wanted if at_least else depth == wanted

    await until(reached)


async def answers(dispatcher: CeleryDispatcher) -> bool:
    try:
        await dispatcher.check()
    except BrokerUnavailable:
        return False
    return True


async def test_each_due_job_has_a_ticket(broker: Broker) -> None:
    async with dispatching(broker) as dispatcher:
        dispatcher.wake("default")
        dispatcher.wake("default", 4)
        dispatcher.wake("gpu", 2)
        await depth_is(broker, 5)
        await depth_is(broker, 2, lane="gpu")


async def test_tickets_that_were_lost_are_sent_again_and_no_others(broker: Broker) -> None:
    async with dispatching(broker) as dispatcher:
        dispatcher.wake("default", 5)
        await depth_is(broker, 5)
        dispatcher.remind("default", 8)
        await depth_is(broker, 8)
        dispatcher.remind("default", 3)
        await dispatcher.check()
        assert broker.depth() == 8


async def test_a_queue_that_is_gone_is_made_anew(broker: Broker) -> None:
    async with dispatching(broker) as dispatcher:
        dispatcher.wake("default", 5)
        await depth_is(broker, 5)
        broker.delete()
        dispatcher.remind("default", 5)
        await depth_is(broker, 5)


async def test_quorum_queues_carry_tickets(quorum: Broker) -> None:
    async with dispatching(quorum) as dispatcher:
        await depth_is(quorum, 0)  # it is there: what is sent while it is made may be lost
        dispatcher.wake("default", 3)
        await depth_is(quorum, 3)
        dispatcher.remind("default", 8)
        await depth_is(quorum, 8, at_least=True)  # its count may lag behind, and more be sent


async def test_a_broker_that_is_down_holds_up_nobody(broker: Broker) -> None:
    with Proxy(broker.address) as proxy:
        async with dispatching(replace(broker, url=broker.through(proxy.port))) as dispatcher:
            dispatcher.wake("default")
            await depth_is(broker, 1)
            with proxy.away():
                started = time.perf_counter()
                dispatcher.wake("default")
                dispatcher.remind("default", 9)
                assert time.perf_counter() - started < 0.05
                assert not await answers(dispatcher)
            await until(lambda: answers(dispatcher))
            dispatcher.remind("default", 9)
            await depth_is(broker, 9)


async def test_a_broker_that_accepts_and_says_nothing_holds_up_nobody(broker: Broker) -> None:
    with Proxy(broker.address) as proxy:
        async with dispatching(replace(broker, url=broker.through(proxy.port))) as dispatcher:
            await dispatcher.check()
            proxy.stall()
            dispatcher.remind("default", 2)
            beats = asyncio.create_task(beating())
            assert not await answers(dispatcher)
            assert beats.cancel()
            proxy.heal()
            await until(lambda: answers(dispatcher))


async def beating() -> None:
    """Fail if the event loop is held up."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.01)
        assert time.perf_counter() - before < 1


async def test_whoever_asks_again_about_a_broker_that_is_down_is_answered_at_once(broker: Broker) -> None:
    with Proxy(broker.address) as proxy:
        async with dispatching(replace(broker, url=broker.through(proxy.port))) as dispatcher:
            await dispatcher.check()
            with proxy.away():
                await until(lambda: _not(answers(dispatcher)))
                started = time.perf_counter()
                assert not await answers(dispatcher)
                assert time.perf_counter() - started < 0.5


async def _not(answer: object) -> bool:
    return not await answer  # type: ignore[misc]


async def test_an_end_without_a_broker_is_soon(broker: Broker) -> None:
    with Proxy(broker.address) as proxy:
        dispatcher = dispatcher_on(replace(broker, url=broker.through(proxy.port)))
        await dispatcher.check()
        proxy.stall()
        dispatcher.remind("default", 2)
        started = time.perf_counter()
        await dispatcher.aclose()
        assert time.perf_counter() - started < 4
