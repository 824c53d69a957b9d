"""Pictures: those that were made, and those to start from."""

import os
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom_client.errors import DarkroomError

if TYPE_CHECKING:
    from darkroom_client.async_client import AsyncDarkroom
    from darkroom_client.client import Darkroom

_EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}


class Link:
    """What a file asks for its bytes. It is neither copied nor pickled with the file."""

    __slots__ = ("client",)

    def __init__(self, client: Any = None) -> None:
        self.client = client

    def __deepcopy__(self, memo: object) -> "Link":
        return self

    def __reduce__(self) -> "tuple[type[Link], tuple[()]]":
        return Link, ()

    def asked(self) -> Any:
        """The client. Raises `DarkroomError` if there is none."""
        if self.client is None:
            raise DarkroomError("this file came without a client: use client.read(file) or client.save(file, to)")
        return self.client


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseFile:
    """One picture. `width`, `height`: pixels. `sha256`: of the bytes, in hex. `placeholder`: a tiny `data:` URI."""

    media_id: str
    index: int
    content_type: str
    width: int
    height: int
    bytes: int
    sha256: str
    url: str = ""
    thumbnail_url: str | None = None
    placeholder: str | None = None
    seed: int | None = None
    _link: Link = field(default_factory=Link, repr=False, compare=False)

    def name(self, *, thumbnail: bool = False) -> str:
        """What it is called in a folder: after its media, its index and its type."""
        kind = "webp" if thumbnail else _EXTENSIONS.get(self.content_type, "bin")
        return f"{self.media_id}-{self.index}{'-thumbnail' if thumbnail else ''}.{kind}"


class File(BaseFile):
    """A picture of `Darkroom`."""

    __slots__ = ()

    def read(self, *, thumbnail: bool = False) -> bytes:
        """Its bytes, checked; or those of a WebP of at most 384 px."""
        client: Darkroom = self._link.asked()
        return client.read(self, thumbnail=thumbnail)

    def save(self, to: str | os.PathLike[str], *, thumbnail: bool = False) -> Path:
        """Write it to the file `to`, or into the folder, whole or not at all; the path."""
        client: Darkroom = self._link.asked()
        return client.save(self, to, thumbnail=thumbnail)


class AsyncFile(BaseFile):
    """A picture of `AsyncDarkroom`."""

    __slots__ = ()

    async def read(self, *, thumbnail: bool = False) -> bytes:
        """Its bytes, checked; or those of a WebP of at most 384 px."""
        client: AsyncDarkroom = self._link.asked()
        return await client.read(self, thumbnail=thumbnail)

    async def save(self, to: str | os.PathLike[str], *, thumbnail: bool = False) -> Path:
        """Write it to the file `to`, or into the folder, whole or not at all; the path."""
        client: AsyncDarkroom = self._link.asked()
        return await client.save(self, to, thumbnail=thumbnail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A picture to start others from: `image=upload`. It is deleted at `expires_at` if no request names it before."""

    id: str
    content_type: str
    width: int
    height: int
    bytes: int
    sha256: str
    created_at: datetime
    expires_at: datetime | None = None
    name: str | None = None
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentLink:
    """A link to a picture that works without credentials until it expires."""

    url: str
    expires_at: datetime
