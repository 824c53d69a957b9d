"""Pictures as server-sent events: some on their way, then each that is done.

The clients tell events by the `type` in their data. None has an `id:`, after which they would take every comment for
an event without data.
"""

import json
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, Final

import structlog

from darkroom.api import links
from darkroom.api.openai.answers import NO_TOKENS, QUALITIES, created, format_of, size_of
from darkroom.api.openai.errors import Refusal, why_not
from darkroom.api.openai.making import Here
from darkroom.api.openai.requests import ImagesRequest
from darkroom.api.streams import SILENCE
from darkroom.engine.queries import Located
from darkroom.errors import DarkroomError
from darkroom.media.events import Previewed
from darkroom.media.model import Media
from darkroom.media.states import ENDED, Status

log = structlog.get_logger(__name__)

_PREVIEW: Final = re.compile(r"data:image/(?P<format>[a-z]+);base64,(?P<content>.*)", re.DOTALL)


async def events(kind: str, known: Located, wish: ImagesRequest, here: Here) -> AsyncGenerator[bytes, None]:
    """The texts to send. `kind`: what the types of the events start with."""
    try:
        async for text in _followed(kind, known, wish, here):
            yield text
    except DarkroomError as error:  # the answer has begun
        log.warning("stream_failed", media_id=str(known.media.id), code=error.code, reason=error.message)
        yield _error(Refusal(error.status, error.message, "server_error", error.code))


async def _followed(kind: str, known: Located, wish: ImagesRequest, here: Here) -> AsyncGenerator[bytes, None]:
    shown, media = 0, known.media
    async with aclosing(here.engine.follow(known)) as following:
        async for news in following:
            if isinstance(news, Located):
                media = news.media
                yield SILENCE
            elif isinstance(news, Previewed) and shown < (wish.partial_images or 0):
                yield _partial(kind, news, shown, wish)
                shown += 1
    async for text in _ending(kind, media, wish, here):
        yield text


async def _ending(kind: str, media: Media, wish: ImagesRequest, here: Here) -> AsyncIterator[bytes]:
    if media.status not in ENDED:
        yield _error(
            Refusal(503, "the service is about to stop; ask again for the same", "server_error", "unavailable")
        )
    elif media.status is not Status.COMPLETED:
        yield _error(why_not(media))
    else:
        for file in media.files:
            said = _said(wish, created(media), format_of(file), size_of(file))
            body = {"b64_json": await links.in_base64(file, here.engine.storage), **said, "usage": NO_TOKENS}
            yield _text(f"{kind}.completed", body)


def _partial(kind: str, news: Previewed, index: int, wish: ImagesRequest) -> bytes:
    """A preview. It says the size that the picture will have, as far as that was asked for."""
    found = _PREVIEW.fullmatch(news.image)
    assert found is not None, "previews are data: URIs"
    said = _said(wish, int(time.time()), found["format"], wish.size or "auto")
    return _text(f"{kind}.partial_image", {"b64_json": found["content"], **said, "partial_image_index": index})


def _said(wish: ImagesRequest, at: int, picture_format: str, size: str) -> dict[str, Any]:
    return {
        "background": wish.background or "auto",
        "created_at": at,
        "output_format": picture_format,
        "quality": wish.quality if wish.quality in QUALITIES else "auto",
        "size": size,
    }


def _error(refusal: Refusal) -> bytes:
    return _text("error", {"error": refusal.error})


def _text(kind: str, body: dict[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **body})}\n\n".encode()
