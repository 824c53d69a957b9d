"""Alive, and able to serve."""

from fastapi import APIRouter, Response

from darkroom.api.deps import EngineDep
from darkroom.api.native import service_schemas
from darkroom.api.native.media import answer
from darkroom.api.problems import ALWAYS, RETRY_AFTER
from darkroom.engine import health

router = APIRouter(tags=["health"], responses=ALWAYS)


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", response_model=service_schemas.Health)
async def alive() -> Response:
    """Say that the process is alive."""
    return answer(service_schemas.Health())


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    response_model=service_schemas.Readiness,
    responses={
        503: {
            "model": service_schemas.Readiness,
            "description": "Something it stands on does not answer",
            "headers": RETRY_AFTER,
        }
    },
)
async def ready(engine: EngineDep) -> Response:
    """Say whether the service can serve, and name what does not answer.

    A broker that does not answer is named, but is no reason to say no: what is accepted waits in the database.
    """
    parts = await health.parts(engine)
    checks = [service_schemas.Check(name=part.name, ok=part.problem is None, problem=part.problem) for part in parts]
    is_ready = not engine.leaving and not any(part.problem is not None and part.is_vital for part in parts)
    body = service_schemas.Readiness(ready=is_ready, checks=checks)
    return answer(body, 200 if is_ready else 503, {} if is_ready else {"Retry-After": "5"})
