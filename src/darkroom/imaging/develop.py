"""From the bytes of a backend to the picture that is stored, off the event loop."""

import asyncio
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from darkroom.imaging.description import Description
from darkroom.imaging.encode import encode, upright
from darkroom.imaging.formats import Format
from darkroom.imaging.metadata import embed
from darkroom.imaging.thumbnail import preview_of, small_pictures
from darkroom.imaging.verify import Limits, verify


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture ready to be stored. Sizes are in pixels as stored, before any EXIF rotation.

    `thumbnail` is a WebP of at most 384 pixels a side, upright; `placeholder` a `data:` URI of one of
    at most 16. `sha256` is of `content`, in hex.
    """

    content: bytes
    content_type: str
    extension: str
    width: int
    height: int
    sha256: str
    thumbnail: bytes | None
    placeholder: str | None


class Developer:
    """Checks, describes and shrinks pictures in at most `threads` threads (default: one a core).

    Without `thumbnails` there is no placeholder either: from the whole picture it would cost 12 % of
    the check of a small PNG and 25 % of a JPEG's; from the thumbnail it is nearly free.
    """

    def __init__(
        self,
        *,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        thumbnails: bool = True,
        metadata: bool = True,
        threads: int | None = None,
    ) -> None:
        self._limits = limits
        self._thumbnails = thumbnails
        self._metadata = metadata
        self._pool = ThreadPoolExecutor(threads or os.cpu_count() or 1, thread_name_prefix="imaging")

    async def develop(self, content: bytes, *, output_format: str | None, description: Description) -> Picture:
        """The picture to store for `content`, as a backend returned it.

        The pixels are re-encoded only where `output_format` ("png", "jpeg", "webp"; None: any) is
        another than that of `content`; then the EXIF rotation is applied to them and the backend's
        metadata, but for an RGB profile, is dropped. Otherwise its bytes are kept as they are, plus
        `description`. Raises `InvalidOutput` for what is no whole PNG, JPEG or WebP picture,
        `OutputTooLarge` beyond the limits, and `ValueError` for another `output_format`.
        """
        wanted = None if output_format is None else Format(output_format)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._develop, content, wanted, description)

    async def preview(self, content: bytes) -> str:
        """A small picture of a picture on its way, as a `data:` URI of at most 7 kB. Raises as `develop` does."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._preview, content)

    async def aclose(self) -> None:
        """Give back the threads, once what they are at is done."""
        await asyncio.to_thread(self._pool.shutdown)

    def _preview(self, content: bytes) -> str:
        return preview_of(upright(verify(content, self._limits).image))

    def _develop(self, content: bytes, wanted: Format | None, description: Description) -> Picture:
        decoded = verify(content, self._limits)
        image, stored_as = decoded.image, wanted or decoded.format
        if stored_as is not decoded.format:
            content = encode(upright(image), stored_as)
        width, height = image.size
        if self._metadata:
            content = embed(content, stored_as, description)
        thumbnail, placeholder = small_pictures(upright(image)) if self._thumbnails else (None, None)
        return Picture(
            content=content,
            content_type=stored_as.content_type,
            extension=stored_as.extension,
            width=width,
            height=height,
            sha256=hashlib.sha256(content).hexdigest(),
            thumbnail=thumbnail,
            placeholder=placeholder,
        )
