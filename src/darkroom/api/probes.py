"""What a worker answers over HTTP: /healthz, /readyz and /metrics, for whoever watches it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import structlog
import uvicorn
from fastapi import FastAPI

from darkroom.api import problems
from darkroom.api.native import health, metrics
from darkroom.api.observed import WITHOUT_FASTAPIS
from darkroom.engine.core import Engine

log = structlog.get_logger(__name__)


@asynccontextmanager
async def answering(engine: Engine, host: str, port: int) -> AsyncIterator[None]:
    """Answer on this loop while the context is open.

    A port that cannot be had is logged: pictures are made all the same.
    """
    server = _Server(uvicorn.Config(_app(engine), host, port, log_config=None, access_log=False, server_header=False))
    task = asyncio.create_task(_serve(server, port), name="probes")
    try:
        yield
    finally:
        server.should_exit = True
        await task


def _app(engine: Engine) -> FastAPI:
    app = FastAPI(title="Darkroom worker", openapi_url=None, telemetry=WITHOUT_FASTAPIS)
    app.state.engine = engine
    for part in (health, metrics):
        app.router.routes.extend(part.router.routes)
    problems.install(app)
    return app


class _Server(uvicorn.Server):
    """Leaves signals to the worker."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(server: uvicorn.Server, port: int) -> None:
    try:
        await server.serve()
    except SystemExit:  # what uvicorn makes of an address in use
        log.error("probes_not_answered", port=port)
