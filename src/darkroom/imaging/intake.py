"""Pictures that callers give: understood, set upright, and encoded anew without anything but their pixels."""

import asyncio
import contextlib
import hashlib
import io
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageCms

from darkroom.errors import InvalidOutput, OutputTooLarge, PayloadTooLarge, UnsupportedPicture
from darkroom.imaging.encode import plain, save, upright
from darkroom.imaging.formats import Format
from darkroom.imaging.verify import SUBJECT, Limits, verify

_OPTIONS: Mapping[Format, Mapping[str, Any]] = {
    Format.PNG: {"compress_level": 1},
    Format.JPEG: {"quality": 95, "subsampling": 0},
    Format.WEBP: {"lossless": True, "quality": 30, "method": 2},  # of a lossless one, `quality` is effort
}
_SRGB = ImageCms.createProfile("sRGB")
_WITH_PROFILE = ("RGB", "RGBA", "CMYK")


@dataclass(frozen=True, slots=True)
class Taken:
    """A picture as it is kept: upright, sRGB, RGB or RGBA, nothing beside its pixels. `sha256` is of `content`."""

    content: bytes
    content_type: str
    extension: str
    width: int
    height: int
    sha256: str


class Intake:
    """Takes pictures in, in at most `threads` threads (default: one a core)."""

    def __init__(self, *, limits: Limits, threads: int | None = None) -> None:
        self._limits = limits
        self._pool = ThreadPoolExecutor(threads or os.cpu_count() or 1, thread_name_prefix="intake")

    async def take(self, content: bytes) -> Taken:
        """`content`, which may be anything, as a picture of the same format; of an animation, the first frame.

        Raises `UnsupportedPicture` for what is no whole PNG, JPEG or WebP, `PayloadTooLarge` beyond the limits.
        """
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._take, content)

    async def aclose(self) -> None:
        """Give back the threads, once what they are at is done."""
        await asyncio.to_thread(self._pool.shutdown)

    def _take(self, content: bytes) -> Taken:
        try:
            decoded = verify(content, self._limits)
        except InvalidOutput as error:
            raise UnsupportedPicture(_of_a_caller(error.message)) from error
        except OutputTooLarge as error:
            raise PayloadTooLarge(_of_a_caller(error.message)) from error
        image = plain(in_srgb(upright(decoded.image)))
        image.info = {}  # Pillow writes some of it into the file
        kept = save(image, decoded.format, **_OPTIONS[decoded.format])
        return Taken(
            content=kept,
            content_type=decoded.format.content_type,
            extension=decoded.format.extension,
            width=image.width,
            height=image.height,
            sha256=hashlib.sha256(kept).hexdigest(),
        )


def _of_a_caller(message: str) -> str:
    return message.replace(SUBJECT, "this is", 1)


def in_srgb(image: Image.Image) -> Image.Image:
    """`image` with the colours that its profile means; as it is where the profile is unusable or is of greys."""
    profile: bytes | None = image.info.get("icc_profile")
    if profile is None or image.mode not in _WITH_PROFILE:
        return image
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    colours = image.convert("RGB") if alpha else image
    with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError):  # a profile is no reason to refuse pixels
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(colours, source, _SRGB, outputMode="RGB")
        if converted is not None:
            if alpha is not None:
                converted.putalpha(alpha)
            return converted
    return image
