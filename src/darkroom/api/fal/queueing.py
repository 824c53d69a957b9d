"""Requests in the queue: submit, see, follow, have the result of, cancel."""

from uuid import UUID

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from darkroom.api.fal import events, making, shown, telling
from darkroom.api.fal.errors import REQUEST_ID, why_not
from darkroom.api.fal.inputs import wants_inline
from darkroom.api.fal.making import Arguments, Here, HereDep
from darkroom.api.native.media import IdempotencyKey, Prefer, seconds_to_wait
from darkroom.api.streams import EventStream
from darkroom.engine.queries import Located
from darkroom.errors import Conflict, DarkroomError, NotFound
from darkroom.media.states import ENDED, Status

router = APIRouter(include_in_schema=False)

REQUEST = "/fal/queue/{app:path}/requests/{request_id}"
"""Where a request is. Only its id counts: clients leave out a part of the app's."""


@router.get(f"{REQUEST}/status")
async def get_status(app: str, request_id: str, here: HereDep, logs: bool = False, prefer: Prefer = None) -> Response:
    """Show where a request is; with `Prefer: wait=n` once it has ended, or n seconds later."""
    located = await here.engine.queries.media(_id(request_id), with_files=False)
    if wait := seconds_to_wait(prefer):
        located = await here.engine.wait(located, at_most=wait)
    media, entries = located.media, None
    if logs:
        entries = [*map(shown.entry, await telling.story(media, here)), *shown.progress(media)]
    body = shown.status(app, located, base=here.base, logs=entries)
    return JSONResponse(body, 200 if media.status in ENDED else 202, {REQUEST_ID: str(media.id)})


@router.get(f"{REQUEST}/status/stream")
async def stream_status(app: str, request_id: str, here: HereDep, logs: bool = False) -> Response:
    """Stream where a request is, as server-sent events."""
    located = await here.engine.queries.media(_id(request_id))
    return EventStream(events.statuses(app, located, here, logs=logs))


@router.get(REQUEST)
@router.get(f"{REQUEST}/response")
async def get_result(request_id: str, here: HereDep, sync_mode: bool = False) -> Response:
    """Show the result of a request. `sync_mode`: with the pictures in it."""
    media = (await here.engine.queries.media(_id(request_id))).media
    headers = {REQUEST_ID: str(media.id)}
    if media.status is not Status.COMPLETED:
        return why_not(media).response(headers)
    return JSONResponse(await telling.result(media, here, inline=sync_mode), headers=headers)


@router.put(f"{REQUEST}/cancel")
async def cancel(request_id: str, here: HereDep) -> Response:
    """Cancel a request."""
    try:
        await here.engine.lifecycle.cancel(_id(request_id))
    except NotFound as error:
        return JSONResponse({"status": "NOT_FOUND", "detail": error.message}, 404)
    except Conflict as error:
        return JSONResponse({"status": "ALREADY_COMPLETED", "detail": error.message}, 400)
    return JSONResponse({"status": "CANCELLATION_REQUESTED"}, 202)


@router.post("/fal/queue/{app:path}")
async def submit(
    app: str,
    arguments: Arguments,
    here: HereDep,
    idempotency_key: IdempotencyKey = None,
    fal_webhook: str | None = None,
) -> Response:
    """Accept a request. `fal_webhook`: whom to tell when it has ended."""
    located = await making.accepted(app, arguments, here, idempotency_key, fal_webhook)
    media_id, position = located.media.id, await _position(located, here)
    body = shown.submission(app, media_id, position, base=here.base, inline=wants_inline(arguments))
    return JSONResponse(body, headers={REQUEST_ID: str(media_id)})


async def _position(accepted: Located, here: Here) -> int:
    """How many go before it. It is accepted: what cannot be read now changes nothing of that."""
    try:
        return (await here.engine.queries.media(accepted.media.id)).queue_position or 0
    except DarkroomError:
        return 0


def _id(request_id: str) -> UUID:
    """The media's id: what is none is the id of nothing."""
    try:
        return UUID(request_id)
    except ValueError as error:
        raise NotFound(f"there is no request {request_id[:100]!r}") from error
