"""What becomes of a prediction, as the server-sent events that these clients read.

They take no event without `event:` and `id:`, and no other kinds than `output`, `logs`, `error` and `done`.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from itertools import count

from darkroom.api.replicate import telling
from darkroom.api.replicate.shown import Here
from darkroom.api.streams import SILENCE
from darkroom.engine.queries import Located
from darkroom.errors import DarkroomError, Unavailable
from darkroom.media.model import Media
from darkroom.media.states import ENDED, Status

_WHY_DONE = {Status.ERROR: {"reason": "error"}, Status.CANCELLED: {"reason": "canceled"}}

Event = tuple[str, str]


async def events(here: Here, known: Located) -> AsyncGenerator[bytes, None]:
    """The texts to send: the story as it goes on, then the pictures or the error, then `done`."""
    numbers = count(1)
    async with aclosing(_told(here, known)) as told:
        async for event in told:
            yield SILENCE if event is None else _text(*event, next(numbers))


def _text(kind: str, data: str, number: int) -> bytes:
    lines = "".join(f"data: {line}\n" for line in data.splitlines() or [""])
    return f"event: {kind}\nid: {number}\n{lines}\n".encode()


async def _told(here: Here, known: Located) -> AsyncGenerator[Event | None, None]:
    """Kinds and data; None where there is nothing to tell."""
    try:
        async for event in _followed(here, known):
            yield event
    except DarkroomError as error:  # the answer has begun
        yield "error", error.message
        yield "done", json.dumps(_WHY_DONE[Status.ERROR])


async def _followed(here: Here, known: Located) -> AsyncGenerator[Event | None, None]:
    last, media = 0, known.media
    async with aclosing(here.engine.follow(known)) as following:
        async for news in following:
            if not isinstance(news, Located):
                continue
            media = news.media
            lines = await here.engine.queries.logs(media.id, after=last, limit=telling.MOST_LINES)
            for line in lines:
                last = line.id
                yield "logs", telling.line_of(line)
            if not lines:
                yield None
    async for event in _ending(here, media):
        yield event


async def _ending(here: Here, media: Media) -> AsyncIterator[Event]:
    if media.status not in ENDED:
        raise Unavailable(f"the service is about to stop; prediction {media.id} goes on")
    for output in await telling.outputs(here, media) or ():
        yield "output", output
    if media.status is Status.ERROR and media.error:
        yield "error", media.error.message
    yield "done", json.dumps(_WHY_DONE.get(media.status, {}))
