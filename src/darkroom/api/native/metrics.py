"""What Prometheus scrapes."""

from fastapi import APIRouter, Response

from darkroom.api.deps import EngineDep
from darkroom.api.problems import ALWAYS
from darkroom.telemetry import scrape

router = APIRouter(tags=["health"], responses=ALWAYS)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "All metrics"}},
)
async def metrics(engine: EngineDep) -> Response:
    """Show the metrics of this service, as Prometheus reads them."""
    return Response(scrape.exposition(await engine.standing.gauges()), media_type=scrape.CONTENT_TYPE)
