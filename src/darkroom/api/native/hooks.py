"""What backends call."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from darkroom.api.deps import EngineDep, OptionsDep
from darkroom.api.problems import ALWAYS, responses
from darkroom.media.events import BackendSpoke

router = APIRouter(tags=["hooks"], responses=ALWAYS)


@router.post("/hooks/{media_id}/{job_id}", status_code=204, response_class=Response, responses=responses(403, 422))
async def hook(
    media_id: UUID,
    job_id: UUID,
    engine: EngineDep,
    options: OptionsDep,
    signature: Annotated[str, Query(max_length=128, description="Made when the backend was given the address.")],
) -> Response:
    """Hear from a backend that it is done with a job. What it sends is not read: whoever runs the job looks there."""
    options.links.verify_hook(media_id, job_id, signature)
    engine.bus.publish(BackendSpoke(media_id, job_id, engine.lifecycle.now()))
    return Response(status_code=204)
