"""The engine in the test's own process: opened, at work, asked for pictures and watched."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select

from darkroom.db import tables
from darkroom.engine.core import Engine
from darkroom.engine.intake import Order
from darkroom.media.model import Job, Media
from darkroom.media.states import ENDED
from darkroom.providers.dummy import Dummy
from darkroom.settings import Settings
from darkroom.wiring import open_engine


@asynccontextmanager
async def working(settings: Settings, **changes: Any) -> AsyncIterator[Engine]:
    """The service at work, with some settings changed."""
    async with open_engine(settings.model_copy(update=changes)) as engine, engine.working():
        yield engine


async def submit(engine: Engine, prompt: str = "a test", *, model: str = "dummy", **wish: Any) -> UUID:
    """Ask for a picture; `wish` holds its parameters, `priority` and `max_tries`."""
    known = {name: wish.pop(name) for name in ("priority", "max_tries") if name in wish}
    accepted = await engine.submit(Order(prompt, model=model, parameters=wish, **known))
    return accepted.media.media.id


async def until(condition: Callable[[], Awaitable[object]], *, within: float = 20) -> None:
    """Poll `condition` until it holds."""
    async with asyncio.timeout(within):
        while not await condition():
            await asyncio.sleep(0.01)


async def media_of(engine: Engine, media_id: UUID) -> Media:
    return (await engine.queries.media(media_id)).media


async def ended(engine: Engine, media_id: UUID, *, within: float = 20) -> Media:
    """The media, once it has ended."""

    async def has_ended() -> bool:
        return (await media_of(engine, media_id)).status in ENDED

    await until(has_ended, within=within)
    return await media_of(engine, media_id)


async def running(engine: Engine, media_id: UUID) -> Job:
    """The live job, once its provider has accepted it."""

    async def is_running() -> bool:
        return (await engine.queries.jobs(media_id))[-1].provider_ref is not None

    await until(is_running)
    return (await engine.queries.jobs(media_id))[-1]


async def states(engine: Engine, media_id: UUID) -> list[str]:
    """The states of all jobs of a media, in order."""
    return [job.state.value for job in await engine.queries.jobs(media_id)]


async def story(engine: Engine, media_id: UUID) -> list[str]:
    return [line.message for line in await engine.queries.logs(media_id, after=0, limit=1000)]


async def events(engine: Engine, media_id: UUID) -> list[str]:
    return [line.event for line in await engine.queries.logs(media_id, after=0, limit=1000)]


async def rows(engine: Engine, table: Any) -> Sequence[Any]:
    return await engine.database.read(lambda connection: connection.execute(select(table)).all())


async def stored(engine: Engine) -> set[str]:
    """Every key in the store."""
    keys = engine.storage.keys()
    return {key async for key in keys}


async def clean(engine: Engine) -> None:
    """Return once nothing is left to be cleared."""

    async def no_trash() -> bool:
        return not await rows(engine, tables.trash)

    await until(no_trash)


def files_in(settings: Settings) -> list[Path]:
    """Every file in the folder of pictures, temporary ones too."""
    return [path for path in (settings.data_dir / "files").rglob("*") if path.is_file()]


def dummy(engine: Engine) -> Dummy:
    """The engine's own dummy provider."""
    found = engine.catalogue.get("dummy").routes[0].provider
    assert isinstance(found, Dummy)
    return found
