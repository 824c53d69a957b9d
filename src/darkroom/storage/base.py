"""What a store of pictures is. Keys are `/`-separated, relative, made by us alone."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Protocol


class Storage(Protocol):
    """Keeps bytes under keys, durably.

    A store that does not answer, is full or may not be written raises
    `darkroom.errors.StorageUnavailable`; a key that is not there, `darkroom.errors.MissingObject`.
    Their messages name no place: callers may see them, and `location` says it to operators. Nothing of the
    adapter's library gets out. A key or prefix that is not of our making is a ValueError.
    """

    @property
    def location(self) -> str:
        """Where this is, for a person: a path or an address without credentials."""
        ...

    async def put(self, key: str, content: bytes, *, content_type: str) -> None:
        """Keep `content` under `key`: when this returns, it survives a power cut. Overwrites."""
        ...

    def read(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` to `end` (exclusive; None: all), in chunks of at most 1 MiB; past the end, none."""
        ...

    async def delete_prefix(self, prefix: str) -> None:
        """Remove every key below `prefix` (which ends in `/`), and what is left empty by that."""
        ...

    def keys(self, prefix: str = "") -> AsyncIterator[str]:
        """Every key below `prefix`, in no order. For clean-up and tests, not for serving."""
        ...

    async def presign(self, key: str, *, expires_in: timedelta) -> str | None:
        """A link that reads `key` without credentials until it expires; None where it can't."""
        ...

    async def check(self) -> None:
        """Return if a small object can be written and removed now; else raise `StorageUnavailable`."""
        ...

    async def aclose(self) -> None:
        """Give back connections and threads."""
        ...
