"""Alive, and able to serve."""

from fastapi import APIRouter, Response

from darkroom.api.deps import EngineDep
from darkroom.api.native import schemas
from darkroom.api.native.media import answer
from darkroom.api.problems import ALWAYS, RETRY_AFTER
from darkroom.engine import health

router = APIRouter(tags=["health"], responses=ALWAYS)


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", response_model=schemas.Health)
async def alive() -> Response:
    """Say that the process is alive."""
    return answer(schemas.Health())


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz",
    response_model=schemas.Readiness,
    responses={
        503: {
            "model": schemas.Readiness,
            "description": "Something it stands on does not answer",
            "headers": RETRY_AFTER,
        }
    },
)
async def ready(engine: EngineDep) -> Response:
    """Say whether the service can serve, and name what does not answer."""
    parts = await health.parts(engine)
    checks = [schemas.Check(name=part.name, ok=part.problem is None, problem=part.problem) for part in parts]
    is_ready = all(check.ok for check in checks) and not engine.stopping.is_set()
    body = schemas.Readiness(ready=is_ready, checks=checks)
    return answer(body, 200 if is_ready else 503, {} if is_ready else {"Retry-After": "5"})
