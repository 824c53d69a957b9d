"""A media as OpenAI answers with it."""

from typing import Any, Final

from darkroom.api import links
from darkroom.api.openai.making import Here
from darkroom.api.openai.requests import ImagesRequest
from darkroom.media.model import File, Media

QUALITIES: Final = ("low", "medium", "high", "xhigh", "max")
NO_TOKENS: Final = {
    "input_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    "output_tokens": 0,
    "total_tokens": 0,
}
"""Nothing is paid by the token here."""


async def answer(media: Media, wish: ImagesRequest, here: Here) -> dict[str, Any]:
    """The pictures of a completed media."""
    first = media.files[0]
    said: dict[str, Any] = {"output_format": format_of(first), "size": size_of(first), "usage": NO_TOKENS}
    if wish.quality in QUALITIES:
        said["quality"] = wish.quality
    if wish.background in ("transparent", "opaque"):
        said["background"] = wish.background
    if user := wish.metadata.get("user"):
        said["safety_identifier"] = user
    data = [await _picture(file, wish, here) for file in media.files]
    return {"created": created(media), "data": data, **said}


async def _picture(file: File, wish: ImagesRequest, here: Here) -> dict[str, str]:
    if wish.response_format == "url":
        return {"url": here.link_to(file)}
    return {"b64_json": await links.in_base64(file, here.engine.storage)}


def created(media: Media) -> int:
    """When it was made, in seconds since 1970."""
    return int((media.completed_at or media.updated_at).timestamp())


def format_of(file: File) -> str:
    """`png`, `jpeg` or `webp`."""
    return file.content_type.rpartition("/")[2]


def size_of(file: File) -> str:
    """Its width and height."""
    return f"{file.width}x{file.height}"
