"""The queues that workers serve."""

from fastapi import APIRouter, Response

from darkroom.api.deps import EngineDep
from darkroom.api.native import service_schemas
from darkroom.api.native.media import answer
from darkroom.api.problems import ALWAYS, responses
from darkroom.engine.lanes import Lane

router = APIRouter(tags=["lanes"], responses=ALWAYS)


@router.get("/lanes", response_model=service_schemas.LaneList, responses=responses(503))
async def list_lanes(engine: EngineDep) -> Response:
    """List the lanes that a process of this Darkroom has in its settings."""
    return answer(service_schemas.LaneList(items=[lane_out(lane) for lane in await engine.lanes.every()]))


@router.post("/lanes/{name}/pause", response_model=service_schemas.Lane, responses=responses(404, 422, 503))
async def pause(name: str, engine: EngineDep) -> Response:
    """Have no more jobs of a lane started, by any process. New media are accepted, and what runs goes on."""
    return answer(lane_out(await engine.lanes.pause(name)))


@router.post("/lanes/{name}/resume", response_model=service_schemas.Lane, responses=responses(404, 422, 503))
async def resume(name: str, engine: EngineDep) -> Response:
    """Have jobs of a lane started again."""
    return answer(lane_out(await engine.lanes.resume(name)))


def lane_out(lane: Lane) -> service_schemas.Lane:
    """A lane as it is shown."""
    limits = lane.limits
    return service_schemas.Lane(
        name=lane.name,
        paused=lane.paused,
        queued=lane.queued,
        running=lane.running,
        concurrency=limits.concurrency if limits else None,
        max_queued=limits.max_queued if limits else None,
    )
