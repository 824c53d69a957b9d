"""Predictions: make, see, list, cancel, stream."""

from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel, Field

from darkroom.api.native.media import IdempotencyKey, Prefer, seconds_to_wait
from darkroom.api.native.requests import Storable, as_utc
from darkroom.api.replicate import names, shown, streams, telling
from darkroom.api.replicate.inputs import wish_of
from darkroom.api.replicate.schema import EVENTS
from darkroom.api.replicate.shown import Here, HereDep
from darkroom.api.streams import EventStream
from darkroom.engine.catalogue import Model
from darkroom.engine.intake import Order
from darkroom.engine.queries import Filter, Located
from darkroom.errors import Conflict, InvalidRequest, NotFound, Unavailable
from darkroom.media.model import Webhook

router = APIRouter(include_in_schema=False)

A_PAGE = 100
LETTING_GO = 1.0
"""Seconds that a provider gets to let go of what is cancelled before its prediction is shown."""


class PredictionRequest(BaseModel):
    """What a client sends; what else it sends is not for us."""

    input: Annotated[dict[str, Any], Storable] = {}
    version: str | None = None
    webhook: str | None = None
    webhook_completed: str | None = None
    webhook_events_filter: list[str] | None = Field(default=None, max_length=16)
    stream: bool | None = None

    def told(self, base: str) -> Webhook | None:
        """Whom to tell. Raises `InvalidRequest`."""
        asked = self.webhook_events_filter if self.webhook_events_filter is not None else list(EVENTS)
        unknown = [event for event in asked if event not in EVENTS]
        if unknown:
            raise InvalidRequest(f"each must be one of {', '.join(EVENTS)}", field="webhook_events_filter")
        url = self.webhook or self.webhook_completed
        if not url:
            return None
        events = asked if self.webhook else ["completed"]
        return Webhook(url, tuple(dict.fromkeys(EVENTS[event] for event in events)), "replicate", base)


@router.post("/replicate/v1/predictions", status_code=201)
async def create(
    request: PredictionRequest, here: HereDep, idempotency_key: IdempotencyKey = None, prefer: Prefer = None
) -> Response:
    """Make a prediction of a version."""
    if not request.version:
        raise InvalidRequest("is required", field="version")
    model = await names.model_of_version(here.engine.catalogue, request.version)
    return await _create(request, model, here, idempotency_key, prefer)


@router.post("/replicate/v1/models/{owner}/{name}/predictions", status_code=201)
@router.post("/replicate/v1/deployments/{owner}/{name}/predictions", status_code=201)
async def create_of_model(
    owner: str,
    name: str,
    request: PredictionRequest,
    here: HereDep,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
) -> Response:
    """Make a prediction of a model, or of a deployment, which is the model of that name."""
    model = await names.ready_model(here.engine.catalogue, owner, name)
    return await _create(request, model, here, idempotency_key, prefer)


async def _create(
    request: PredictionRequest, model: Model, here: Here, idempotency_key: str | None, prefer: str | None
) -> Response:
    wish = wish_of(request.input, model, base=here.base)
    order = Order(
        prompt=wish.prompt,
        model=model.name,
        parameters=wish.parameters,
        idempotency_key=idempotency_key,
        webhook=request.told(here.base),
    )
    with wish.in_the_callers_words():
        accepted = await here.engine.submit(order)
    body = await _once_made(accepted.media, seconds_to_wait(prefer), here)
    if request.stream:
        body["urls"]["stream"] = f"{body['urls']['get']}/stream"
    headers = {"Idempotent-Replayed": "true"} if accepted.replayed else {}
    return JSONResponse(body, 201, {"Location": body["urls"]["get"], **headers})


async def _once_made(accepted: Located, wait: float | None, here: Here) -> dict[str, Any]:
    """The prediction, waited for. It is accepted: what cannot be read now changes nothing of that."""
    try:
        located = await here.engine.wait(accepted, at_most=wait) if wait else accepted
        return await telling.told(here, located.media, waited=bool(wait))
    except Unavailable:
        return telling.told_in_short(here, accepted.media)


@router.get("/replicate/v1/predictions")
async def list_predictions(
    here: HereDep,
    cursor: UUID | None = None,
    created_after: Annotated[AwareDatetime | None, Query()] = None,
    created_before: Annotated[AwareDatetime | None, Query()] = None,
) -> Response:
    """List predictions, newest first."""
    wanted = Filter(created_after=as_utc(created_after), created_before=as_utc(created_before))
    found = await here.engine.queries.page(wanted, cursor=cursor, limit=A_PAGE)
    results = [telling.told_in_short(here, media) for media in found.items]
    return JSONResponse(shown.page(results, _following(wanted, found.next_cursor, here)))


def _following(wanted: Filter, cursor: UUID | None, here: Here) -> str | None:
    """Where the next page of what is `wanted` is, if there is one."""
    if cursor is None:
        return None
    times = {name: shown.time(getattr(wanted, name)) for name in ("created_after", "created_before")}
    return f"{here.api}/predictions?{urlencode({'cursor': cursor, **{name: at for name, at in times.items() if at}})}"


@router.get("/replicate/v1/predictions/{prediction_id}")
async def get(prediction_id: str, here: HereDep) -> Response:
    """Show a prediction."""
    located = await here.engine.queries.media(_id(prediction_id))
    return JSONResponse(await telling.told(here, located.media))


@router.post("/replicate/v1/predictions/{prediction_id}/cancel")
async def cancel(prediction_id: str, here: HereDep) -> Response:
    """Cancel a prediction, and show it; one that has ended is only shown."""
    media_id = _id(prediction_id)
    try:
        await here.engine.lifecycle.cancel(media_id)
    except Conflict:
        located = await here.engine.queries.media(media_id)
    else:
        located = await here.engine.wait(await here.engine.queries.media(media_id), at_most=LETTING_GO)
    return JSONResponse(await telling.told(here, located.media))


@router.get("/replicate/v1/predictions/{prediction_id}/stream")
async def stream(prediction_id: str, here: HereDep) -> Response:
    """Stream what becomes of a prediction, as server-sent events."""
    return EventStream(streams.events(here, await here.engine.queries.media(_id(prediction_id))))


def _id(prediction_id: str) -> UUID:
    """The media's id: what is none is the id of nothing."""
    try:
        return UUID(prediction_id)
    except ValueError as error:
        raise NotFound(f"there is no prediction {prediction_id[:100]!r}") from error
