"""The web service: surfaces and what every request passes."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware.cors import CORSMiddleware

from darkroom import __version__
from darkroom.api import fal, native, openai, problems, replicate, streams, told
from darkroom.api.deps import Options
from darkroom.api.middleware import BodyLimit, Farewell, HostGuard, SafetyHeaders
from darkroom.api.observed import REQUEST_ID, WITHOUT_FASTAPIS, Observed
from darkroom.delivery.courier import Courier
from darkroom.engine.core import Engine
from darkroom.engine.watching.feed import Feed

DESCRIPTION = """\
Prompts go in, pictures come out. `POST /media/generate` accepts a prompt and answers at once with a durable media;
ask for it at `GET /media/{media_id}` until its status is `COMPLETED`, then fetch its files.

Every error is `application/problem+json` (RFC 9457) and names the field that is wrong.
"""

DROP_IN = (fal, replicate, openai)
"""Surfaces that speak as others do; each is described by whoever made it, and not in our schema.

They are in the order in which their clients poll: every route before one that is wanted is looked at.
"""

EXPOSED = ("Location", "Idempotent-Replayed", "Preference-Applied", "Retry-After", "ETag", "Content-Range", REQUEST_ID)


def create_app(open_engine: Callable[[], AbstractAsyncContextManager[Engine]], options: Options) -> FastAPI:
    """The service as an ASGI application; its engine is open while it runs."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_engine() as engine, _feed_of(engine).running() as feed, _courier_of(engine, options).running():
            app.state.engine = engine
            app.state.feed = feed
            yield

    app = FastAPI(
        title="Darkroom",
        version=__version__,
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=lifespan,
        redirect_slashes=False,
        telemetry=WITHOUT_FASTAPIS,
    )
    app.state.options = options
    for surface in (native, *DROP_IN):
        app.router.routes.extend(surface.routes())
    problems.install(app, {surface.PREFIX: surface.shape for surface in DROP_IN})
    _add_middleware(app, options)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _feed_of(engine: Engine) -> Feed:
    return Feed(
        engine.database,
        engine.bus,
        engine.stopping,
        now=engine.lifecycle.now,
        render=native.events.rendered,
        silence=streams.SILENCE,
    )


def _courier_of(engine: Engine, options: Options) -> Courier:
    return Courier(
        engine.database,
        engine.egress,
        engine.webhook_secrets,
        partial(told.rendered, engine, options),
        interval=engine.poll_interval.total_seconds(),
    )


def _add_middleware(app: FastAPI, options: Options) -> None:
    app.add_middleware(
        BodyLimit,
        most=options.max_body_bytes,
        with_pictures=max(options.max_body_bytes, options.max_upload_bytes),
        paths=(*native.WITH_PICTURES, *(surface.PREFIX for surface in DROP_IN)),
    )
    if options.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=options.cors_origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["*"],
            expose_headers=EXPOSED,
        )
    if options.hosts is not None:
        app.add_middleware(HostGuard, hosts=options.hosts)
    app.add_middleware(SafetyHeaders)
    app.add_middleware(Farewell, leaving=lambda: app.state.engine.leaving)
    app.add_middleware(Observed)


def _openapi(app: FastAPI) -> dict[str, object]:
    """The schema, made once. Problems are declared by reference, and FastAPI's own error shape is not ours."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            license_info=app.license_info,
            routes=app.routes,
        )
        schemas = schema["components"]["schemas"]
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        problem = problems.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= problem.pop("$defs")
        schemas["Problem"] = problem
        app.openapi_schema = schema
    return app.openapi_schema
