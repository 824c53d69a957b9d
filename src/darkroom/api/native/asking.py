"""Cancel, retry, delete."""

from uuid import UUID

from fastapi import APIRouter, Response

from darkroom.api.deps import EngineDep
from darkroom.api.native import schemas
from darkroom.api.native.media import answer
from darkroom.api.problems import ALWAYS, responses

router = APIRouter(tags=["media"], responses=ALWAYS)


@router.post("/media/{media_id}/cancel", response_model=schemas.Media, responses=responses(404, 409, 422, 503))
async def cancel(media_id: UUID, engine: EngineDep) -> Response:
    """Cancel a media: at once while it is IN_QUEUE; while it is PROCESSING, as soon as the provider lets go."""
    await engine.lifecycle.cancel(media_id)
    return answer(schemas.media_out(await engine.queries.media(media_id)))


@router.post(
    "/media/{media_id}/retry",
    status_code=202,
    response_model=schemas.Media,
    responses=responses(404, 409, 422, 503),
)
async def retry(media_id: UUID, engine: EngineDep) -> Response:
    """Put a media that is ERROR or CANCELLED back into the queue: same parameters, new job, all its tries."""
    await engine.lifecycle.retry(media_id)
    return answer(schemas.media_out(await engine.queries.media(media_id)), 202)


@router.delete("/media/{media_id}", status_code=204, responses=responses(404, 422, 503))
async def delete(media_id: UUID, engine: EngineDep) -> Response:
    """Delete a media with its files, whatever its status; what is running for it is stopped."""
    await engine.remove(media_id)
    return Response(status_code=204)
