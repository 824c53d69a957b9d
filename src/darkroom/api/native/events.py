"""Server-sent events: what happens to media, while it happens."""

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Response
from pydantic import WithJsonSchema
from starlette.exceptions import HTTPException

from darkroom.api.deps import EngineDep, FeedDep
from darkroom.api.native import schemas
from darkroom.api.problems import ALWAYS, Responses, responses
from darkroom.api.streams import EventStream, event_text, opening
from darkroom.engine.queries import Located
from darkroom.engine.watching.feed import Gone, Opened, Told
from darkroom.media.events import Previewed, Progressed
from darkroom.media.states import ENDED

router = APIRouter(tags=["media"], responses=ALWAYS)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LATEST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND

LastEventId = Annotated[
    int | None,
    Header(
        alias="Last-Event-ID",
        ge=0,
        le=_LATEST,
        description="`id` of the last event that was received: a time in microseconds since 1970.",
    ),
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": _LATEST}),  # left out, but never null
]
_EVENTS = """\
`status`: the media, as `GET /media/{media_id}` shows it, has changed; `completed`: likewise, and it has ended, in
whichever way; `progress`: `{media_id, job_id, step, total}`; `preview`: `{media_id, job_id, image}`, a picture on its
way as a small `data:` URI; `deleted`: `{media_id}`. After 15 seconds without an event, a comment."""
_MEDIA = {"$ref": "#/components/schemas/Media"}
_DATA = {
    "status": _MEDIA,
    "completed": _MEDIA,
    "progress": schemas.MediaProgress.model_json_schema(),
    "preview": schemas.MediaPreview.model_json_schema(),
    "deleted": schemas.MediaDeleted.model_json_schema(),
}


def _event_schema(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "required": ["event", "id", "data"],
        "properties": {
            "event": {"const": kind},
            "id": {"type": "string", "pattern": "^[0-9]+$"},
            "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": data},
        },
    }


_EVENT = {"type": "object", "oneOf": [_event_schema(kind, data) for kind, data in _DATA.items()]}
_STREAM: Responses = {200: {"description": _EVENTS, "content": {EventStream.media_type: {"schema": _EVENT}}}}
_TOLD: Responses = {204: {"description": "It has ended, and `Last-Event-ID` is its last event"}}


@router.get("/media/events", status_code=200, response_class=EventStream, responses=_STREAM | responses(422, 503))
async def watch_all(feed: FeedDep, last_event_id: LastEventId = None) -> Response:
    """Stream what happens to all media from now on, as server-sent events.

    With `Last-Event-ID`, each media to which something happened since is told once, as it is now: an event may come
    twice, none is left out that the last 10,000 lines of the story tell. What was deleted meanwhile, and what happened
    before those lines, is found in `GET /media`. A caller who reads too slowly is cut off, and may come back.
    """
    return EventStream(feed.of_all(None if last_event_id is None else _EPOCH + last_event_id * _MICROSECOND))


@router.api_route("/media/events", methods=["DELETE"], include_in_schema=False)
async def events_are_no_media() -> Response:
    """Answer 405 here: `DELETE /media/{media_id}` would take the word for an id."""
    raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED)


@router.get(
    "/media/{media_id}/events",
    status_code=200,
    response_class=EventStream,
    responses=_STREAM | _TOLD | responses(404, 422, 503),
)
async def watch(media_id: UUID, engine: EngineDep, feed: FeedDep, last_event_id: LastEventId = None) -> Response:
    """Stream how a media is, and what happens to it until it ends, as server-sent events.

    One that comes back after the last event is answered 204, which tells a browser's `EventSource` to stop.
    """
    known = await engine.queries.media(media_id)
    if known.media.status in ENDED and last_event_id == _id_of(known.media.updated_at):
        return Response(status_code=204)
    return EventStream(feed.of_media(known))


def rendered(told: Told) -> bytes:
    """News as it is sent."""
    match told:
        case Located(media=media):
            kind = "completed" if media.status in ENDED else "status"
            return event_text(kind, _id_of(media.updated_at), schemas.media_out(told))
        case Progressed():
            body = schemas.MediaProgress(
                media_id=told.media_id, job_id=told.job_id, step=told.step, total=told.total
            )  # fmt: skip
            return event_text("progress", _id_of(told.at), body)
        case Previewed():
            preview = schemas.MediaPreview(media_id=told.media_id, job_id=told.job_id, image=told.image)
            return event_text("preview", _id_of(told.at), preview)
        case Gone():
            return event_text("deleted", _id_of(told.at), schemas.MediaDeleted(media_id=told.media_id))
        case Opened():
            return opening(_id_of(told.at))


def _id_of(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND
