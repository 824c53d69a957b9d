"""The native API: `/media`, `/models`, `/lanes`, `/accounts`, `/costs`, `/hooks`, `/healthz`, `/readyz`, `/metrics`."""

from starlette.routing import BaseRoute

from darkroom.api.native import accounts, asking, costs, events, files, health, hooks, lanes, media, metrics, models


def routes() -> list[BaseRoute]:
    """Every route, in the order in which they are tried. Routers that are included would be searched one by one."""
    return [
        route
        for part in (events, media, asking, files, models, lanes, accounts, costs, hooks, health, metrics)
        for route in part.router.routes
    ]
