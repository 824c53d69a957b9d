"""Whether each part that the service stands on answers."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import structlog
from sqlalchemy import select

from darkroom.db import schema
from darkroom.engine.core import Engine
from darkroom.errors import Unavailable

log = structlog.get_logger(__name__)

PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Part:
    """What a part is, where it is, and what is wrong with it (None: nothing).

    `is_vital`: nothing can be accepted without it.
    """

    name: str
    location: str
    problem: str | None
    is_vital: bool = True


async def parts(engine: Engine) -> list[Part]:
    """Ask the database, the store and the broker, if there is one, at once; each gets 5 s."""

    async def database() -> None:
        await engine.database.transact(lambda connection: connection.execute(select(1)))

    asked = [
        _part("database", engine.database.location, database),
        _part("storage", engine.storage.location, engine.storage.check),
    ]
    if engine.dispatcher.location is not None:
        asked.append(_broker(engine.dispatcher.location, engine.dispatcher.check))
    return list(await asyncio.gather(*asked))


async def _broker(location: str, ask: Callable[[], Awaitable[None]]) -> Part:
    """Without it, what is accepted waits in the database."""
    return replace(await _part("broker", location, ask), is_vital=False)


async def require_schema(engine: Engine) -> None:
    """Raise `DatabaseUnavailable` unless the database answers, and is at the schema of this version."""
    await schema.require(engine.database)


async def _part(name: str, location: str, ask: Callable[[], Awaitable[None]]) -> Part:
    try:
        async with asyncio.timeout(PATIENCE):
            await ask()
    except TimeoutError:
        return Part(name, location, f"no answer within {PATIENCE:g} s")
    except Unavailable as error:
        return Part(name, location, error.message)
    except Exception as error:
        log.exception("health_check_broke", part=name)
        return Part(name, location, f"broke with {type(error).__name__}")
    return Part(name, location, None)
