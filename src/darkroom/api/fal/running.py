"""Pictures that the caller waits for."""

from typing import Final

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from darkroom.api.fal import events, making, telling
from darkroom.api.fal.errors import REQUEST_ID, why_not
from darkroom.api.fal.inputs import wants_inline
from darkroom.api.fal.making import Arguments, HereDep
from darkroom.api.native.media import IdempotencyKey
from darkroom.api.streams import EventStream
from darkroom.engine.queries import Located
from darkroom.media.states import Status

router = APIRouter(include_in_schema=False)

LEFT: Final = 499
"""The status in the logs of a request whose caller has left: nobody reads it."""


@router.post("/fal/run/{app:path}/stream")
async def stream(app: str, arguments: Arguments, here: HereDep, idempotency_key: IdempotencyKey = None) -> Response:
    """Make pictures, and stream what is known of them as they come."""
    known = await making.accepted(app, arguments, here, idempotency_key)
    answer = EventStream(events.pictures(known, here, inline=wants_inline(arguments)))
    answer.headers[REQUEST_ID] = str(known.media.id)
    return answer


@router.post("/fal/run/{app:path}")
async def run(app: str, arguments: Arguments, here: HereDep, idempotency_key: IdempotencyKey = None) -> Response:
    """Make pictures, and answer with them; who leaves and asks for the same anew gets those."""
    known = await making.accepted(app, arguments, here, idempotency_key, takes_over=True)
    headers = {REQUEST_ID: str(known.media.id)}
    located: Located | None = None
    try:
        located = await making.ended(known, here)
    finally:
        if located is None and idempotency_key is None:  # also where the service stops
            await here.engine.leave(known.media.id)
    if located is None:
        return Response(status_code=LEFT)
    if located.media.status is not Status.COMPLETED:
        return why_not(located.media).response(headers)
    return JSONResponse(await telling.result(located.media, here, inline=wants_inline(arguments)), headers=headers)
