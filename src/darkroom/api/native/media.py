"""Ask for pictures, and for what became of them."""

import re
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from darkroom.api.deps import EngineDep
from darkroom.api.native import schemas
from darkroom.api.native.requests import GenerateRequest, ListQuery
from darkroom.api.problems import ALWAYS, Responses, responses
from darkroom.engine.queries import Located
from darkroom.errors import Unavailable
from darkroom.media.states import ENDED

router = APIRouter(tags=["media"], responses=ALWAYS)

LONGEST_WAIT = 60.0
_WAIT = re.compile(r"(?:^|[,;\s])wait(?:\s*=\s*\"?([0-9]+)\"?)?(?=$|[,;\s])", re.IGNORECASE)

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Makes a repeated request safe: the same key and request answer with the first media again.",
    ),
]
Prefer = Annotated[
    str | None, Header(description="`wait=n`: answer when the media has ended, or after n seconds (at most 60).")
]


def answer(body: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """`body` as JSON."""
    return Response(body.model_dump_json(), status, headers, "application/json")


def seconds_to_wait(prefer: str | None) -> float | None:
    """The `wait` preference (RFC 7240) in seconds, at most 60; None: there is none."""
    found = _WAIT.search(prefer or "")
    if found is None:
        return None
    return min(float(found[1]), LONGEST_WAIT) if found[1] else LONGEST_WAIT


_HEADERS = {
    "Location": {
        "description": "The media.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Idempotent-Replayed": {"description": "The key was known.", "schema": {"type": "string", "const": "true"}},
    "Preference-Applied": {"description": "The caller waited.", "schema": {"type": "string", "const": "wait"}},
}
_ACCEPTED: Responses = {
    200: {"model": schemas.Media, "description": "It ended while the caller waited", "headers": _HEADERS},
    202: {"description": "It is durable, and will end", "headers": _HEADERS},
}


@router.post(
    "/media/generate",
    status_code=202,
    response_model=schemas.Media,
    responses=_ACCEPTED | responses(400, 402, 404, 413, 422, 429, 503),
)
async def generate(
    request: GenerateRequest,
    engine: EngineDep,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
) -> Response:
    """Accept a prompt. When this answers, the media is durable and will end as COMPLETED, ERROR or CANCELLED."""
    accepted = await engine.submit(request.order(idempotency_key))
    located, wait = accepted.media, seconds_to_wait(prefer)
    headers = {"Location": f"/media/{located.media.id}"}
    if accepted.replayed:
        headers["Idempotent-Replayed"] = "true"
    if wait is not None:
        headers["Preference-Applied"] = "wait"
        located = await _wait_for(located, engine, at_most=wait)
    ended = wait is not None and located.media.status in ENDED
    return answer(schemas.media_out(located), 200 if ended else 202, headers)


async def _wait_for(accepted: Located, engine: EngineDep, *, at_most: float) -> Located:
    """The media once it has ended, or later on. It is accepted: a database that fails now changes nothing of that."""
    try:
        return await engine.wait(accepted, at_most=at_most)
    except Unavailable:
        return accepted


@router.api_route("/media/generate", methods=["GET", "DELETE"], include_in_schema=False)
async def generate_is_no_media() -> Response:
    """Answer 405 here: `GET /media/{media_id}` would take the word for an id."""
    raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED)


@router.get("/media", response_model=schemas.MediaPage, responses=responses(422, 503))
async def list_media(engine: EngineDep, query: Annotated[ListQuery, Query()]) -> Response:
    """List media, newest first."""
    page = await engine.queries.page(query.filter(), cursor=query.cursor, limit=query.limit)
    items = [schemas.media_out(Located(media, None)) for media in page.items]
    return answer(
        schemas.MediaPage(items=items, next_cursor=str(page.next_cursor) if page.next_cursor else None)
    )  # fmt: skip


@router.get("/media/status/{job_id}", response_model=schemas.Media, responses=responses(404, 422, 503))
async def media_of_job(job_id: UUID, engine: EngineDep) -> Response:
    """Show the media that a job belongs to: any job of its history, the first one for ever."""
    return answer(schemas.media_out(await engine.queries.media_of_job(job_id)))


@router.get("/media/jobs/{job_id}/status", response_model=schemas.JobStatus, responses=responses(404, 422, 503))
async def job_status(job_id: UUID, engine: EngineDep) -> Response:
    """Show only the status: the cheapest answer, for pollers."""
    return answer(schemas.brief_out(await engine.queries.brief(job_id)))


@router.get("/media/{media_id}", response_model=schemas.Media, responses=responses(404, 422, 503))
async def get_media(media_id: UUID, engine: EngineDep) -> Response:
    """Show a media."""
    return answer(schemas.media_out(await engine.queries.media(media_id)))


@router.get("/media/{media_id}/jobs", response_model=schemas.JobList, responses=responses(404, 422, 503))
async def list_jobs(media_id: UUID, engine: EngineDep) -> Response:
    """List every try at a media, in order."""
    jobs = await engine.queries.jobs(media_id)
    return answer(schemas.JobList(items=[schemas.job_out(job) for job in jobs]))


@router.get("/media/{media_id}/logs", response_model=schemas.LogPage, responses=responses(404, 422, 503))
async def list_logs(
    media_id: UUID,
    engine: EngineDep,
    cursor: Annotated[int, Query(ge=0, le=2**63 - 1, description="`next_cursor` of the page before.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="Most lines a page.")] = 100,
) -> Response:
    """Tell a media's story, line by line, oldest first."""
    lines = await engine.queries.logs(media_id, after=cursor, limit=limit + 1)
    shown = lines[:limit]
    following = shown[-1].id if len(lines) > limit else None
    return answer(schemas.LogPage(items=[schemas.line_out(line) for line in shown], next_cursor=following))
