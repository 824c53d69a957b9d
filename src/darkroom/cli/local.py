"""A Darkroom in this process: the service without a server, and its worker for one media."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID

import httpx2

from darkroom.asgi import application
from darkroom.cli.configuration import explained, load_settings
from darkroom.cli.connection import Api
from darkroom.db import schema
from darkroom.engine.core import Engine
from darkroom.engine.worker import Worker
from darkroom.errors import DatabaseUnavailable
from darkroom.media.states import ENDED

GLANCE = 0.25
"""Seconds between looks at a media whose job is not ours to claim just now."""

Nap = Callable[[float], Awaitable[None]]


@asynccontextmanager
async def opened(*, stored: bool) -> AsyncIterator[Api]:
    """The service of the settings, its database brought up to date if it will be asked, its workers idle."""
    settings = load_settings()
    async with AsyncExitStack() as stack:
        with explained():
            app = application(settings, working=False)
            await stack.enter_async_context(app.router.lifespan_context(app))
        engine: Engine = app.state.engine
        if stored:
            await schema.upgrade(engine.database)
        client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost")
        yield Api(await stack.enter_async_context(client), location="this process", engine=engine)


@asynccontextmanager
async def making(engine: Engine, media_id: UUID) -> AsyncIterator[Nap]:
    """Make one media while the context is open; what is not done by then is given back to the queue.

    The context's value sleeps for so many seconds, less if the media ends meanwhile.
    """
    media = (await engine.queries.media(media_id)).media
    lane = engine.catalogue.get(media.model).lane
    worker = next(worker for worker in engine.workers if worker.lane == lane)
    task = asyncio.create_task(_make(engine, worker, media_id))
    leases = asyncio.create_task(worker.keep_leases())

    async def nap(seconds: float) -> None:
        await asyncio.wait([task], timeout=seconds)
        if task.done():
            task.result()

    try:
        yield nap
        await task
    finally:
        worker.stop_claiming()
        await worker.finish(timedelta(0))
        task.cancel()
        leases.cancel()
        await asyncio.gather(task, leases, return_exceptions=True)


async def _make(engine: Engine, worker: Worker, media_id: UUID) -> None:
    """Run job after job of a media until it has ended, whoever else may take one of them."""
    while True:
        try:
            media = (await engine.queries.media(media_id)).media
            if media.status in ENDED:
                return
            if not await worker.run_only(media_id):
                await asyncio.sleep(_until(media.next_run, engine.lifecycle.now()))
        except DatabaseUnavailable:
            await asyncio.sleep(GLANCE)


def _until(next_run: datetime | None, now: datetime) -> float:
    return GLANCE if next_run is None else max(GLANCE, (next_run - now).total_seconds())
