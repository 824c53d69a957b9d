"""What becomes of a request, as the server-sent events that these clients read: JSON, without `event:` or `id:`.

After an `id:` the Python client would take every comment for an event without data.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import structlog

from darkroom.api.fal import shown, telling
from darkroom.api.fal.errors import Refusal, why_not
from darkroom.api.fal.making import Here
from darkroom.api.streams import SILENCE
from darkroom.engine.queries import Located
from darkroom.errors import DarkroomError
from darkroom.media.events import Previewed, Progressed
from darkroom.media.model import Media
from darkroom.media.states import ENDED, Status

log = structlog.get_logger(__name__)

STOPPING = Refusal(503, "the service is about to stop; the request goes on in the queue", "unavailable", passes=True)


async def statuses(app: str, known: Located, here: Here, *, logs: bool) -> AsyncGenerator[bytes, None]:
    """The status each time it is another one, until it is COMPLETED. `logs`: with the lines that are new."""
    last, before, media = 0, dict[str, Any](), known.media
    try:
        async with aclosing(here.engine.follow(known)) as following:
            async for news in following:
                if not isinstance(news, Located):
                    continue
                media = news.media
                lines = await telling.story(media, here, after=last) if logs else ()
                last = lines[-1].id if lines else last
                entries = [shown.entry(line) for line in lines]
                status = shown.status(app, news, base=here.base, logs=entries if logs else None)
                is_news = bool(lines) or status != before
                before = {**status, "logs": [] if logs else None}
                yield _text(status) if is_news else SILENCE
        if media.status not in ENDED:
            yield _text(STOPPING.body)
    except DarkroomError as error:  # the answer has begun
        yield _text(_broken(known, error).body)


async def pictures(known: Located, here: Here, *, inline: bool) -> AsyncGenerator[bytes, None]:
    """What is known of the result as it comes, and at last the result."""
    media = known.media
    try:
        async with aclosing(here.engine.follow(known)) as following:
            async for news in following:
                media = news.media if isinstance(news, Located) else media
                yield _partial(media, news)
        async for text in _ending(media, here, inline=inline):
            yield text
    except DarkroomError as error:  # the answer has begun
        for text in _failing(_broken(known, error)):
            yield text


def _partial(media: Media, news: Located | Progressed | Previewed) -> bytes:
    match news:
        case Progressed(step=step, total=total):
            return _text(shown.partial(media, progress={"step": step, "total": total}))
        case Previewed(image=image):
            content_type = image.removeprefix("data:").partition(";")[0]
            return _text(shown.partial(media, images=[{"url": image, "content_type": content_type}]))
        case _:
            return SILENCE


async def _ending(media: Media, here: Here, *, inline: bool) -> AsyncIterator[bytes]:
    if media.status is Status.COMPLETED:
        yield _text(await telling.result(media, here, inline=inline))
        return
    for text in _failing(why_not(media) if media.status in ENDED else STOPPING):
        yield text


def _failing(refusal: Refusal) -> tuple[bytes, bytes]:
    """The error for who looks at it, and what no client can read: for these that is the only way to fail."""
    return _text(refusal.body), f"data: failed: {' '.join(refusal.message.split())}\n\n".encode()


def _broken(known: Located, error: DarkroomError) -> Refusal:
    log.warning("stream_failed", media_id=str(known.media.id), code=error.code, reason=error.message)
    return Refusal(error.status, error.message, error.code, passes=error.retryable)


def _text(body: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(body)}\n\n".encode()
