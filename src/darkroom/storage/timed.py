"""A store whose operations are timed."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, aclosing
from datetime import timedelta

from darkroom.storage.base import Storage

Timed = Callable[[str], AbstractContextManager[object]]
"""Times the context, under the operation's name."""


class TimedStorage:
    """The same as `storage`. Reading is timed to the first chunk: the rest waits for whoever reads."""

    def __init__(self, storage: Storage, timed: Timed) -> None:
        self._storage = storage
        self._timed = timed

    @property
    def location(self) -> str:
        return self._storage.location

    async def put(self, key: str, content: bytes, *, content_type: str) -> None:
        with self._timed("put"):
            await self._storage.put(key, content, content_type=content_type)

    async def read(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        async with aclosing(self._storage.read(key, start=start, end=end)) as chunks:  # type: ignore[type-var]
            with self._timed("read"):
                first = await anext(chunks, None)
            if first is not None:
                yield first
            async for chunk in chunks:
                yield chunk

    async def delete_prefix(self, prefix: str) -> None:
        with self._timed("delete_prefix"):
            await self._storage.delete_prefix(prefix)

    def keys(self, prefix: str = "") -> AsyncIterator[str]:
        return self._storage.keys(prefix)

    async def presign(self, key: str, *, expires_in: timedelta) -> str | None:
        with self._timed("presign"):
            return await self._storage.presign(key, expires_in=expires_in)

    async def check(self) -> None:
        with self._timed("check"):
            await self._storage.check()

    async def aclose(self) -> None:
        await self._storage.aclose()
