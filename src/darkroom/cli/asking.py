"""Ways to ask the API that commands share."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from darkroom.cli.connection import Api, Json

PAGE = 100

R = TypeVar("R")


def with_api(server: str | None, work: Callable[["Api"], Awaitable[R]]) -> R:
    """What `work` makes of the API."""
    import asyncio

    from darkroom.cli.connection import connected

    async def run() -> R:
        async with connected(server) as api:
            return await work(api)

    return asyncio.run(run())


def get(server: str | None, path: str) -> "Json":
    """The JSON at `path`."""
    return with_api(server, lambda api: api.get(path))


def post(server: str | None, path: str) -> "Json":
    """The JSON that answers a `POST` of nothing."""
    return with_api(server, lambda api: api.post(path))


async def every(api: "Api", path: str, filters: "Json", limit: int | None) -> list["Json"]:
    """The items of a list, page after page; at most `limit`. A page may be short before the end."""
    items: list[Json] = []
    cursor: object = None
    while limit is None or len(items) < limit:
        most = PAGE if limit is None else min(PAGE, limit - len(items))
        page = await api.get(path, {**filters, "cursor": cursor, "limit": most})
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    return items
