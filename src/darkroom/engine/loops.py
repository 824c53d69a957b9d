"""Tasks that run beside the requests for as long as the process does."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger(__name__)

RESTART = 1.0
"""Seconds until a loop that broke is started again."""


def start(name: str, loop: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    """Run `loop` to its end, in a task. One that breaks is a mistake of ours; without it nothing would go on."""
    return asyncio.create_task(_keep_going(name, loop), name=name)


async def cancel(*tasks: asyncio.Task[object]) -> None:
    """Cancel tasks and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _keep_going(name: str, loop: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await loop()
        except Exception:
            log.critical("loop_broke", loop=name, exc_info=True)
            await asyncio.sleep(RESTART)
        else:
            return
