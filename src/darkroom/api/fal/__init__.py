"""The service as clients of fal know it."""

from starlette.routing import BaseRoute

from darkroom.api.fal import errors, queueing, running

PREFIX = "/fal/"

shape = errors.shape


def routes() -> list[BaseRoute]:
    """Every route, in the order in which they are tried."""
    return [*queueing.router.routes, *running.router.routes]
