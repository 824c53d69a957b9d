"""The native API: `/media`, `/files`, `/models`, `/lanes`, `/accounts`, `/costs`, `/webhooks` and the like."""

from starlette.routing import BaseRoute

from darkroom.api.native import (
    accounts,
    asking,
    costs,
    events,
    files,
    health,
    hooks,
    lanes,
    media,
    metrics,
    models,
    uploads,
    webhooks,
)

WITH_PICTURES = ("/files", "/media/generate")
"""The paths whose requests can hold pictures."""

PARTS = (events, media, asking, files, uploads, models, lanes, accounts, costs, webhooks, hooks, health, metrics)


def routes() -> list[BaseRoute]:
    """Every route, in the order in which they are tried. Routers that are included would be searched one by one."""
    return [route for part in PARTS for route in part.router.routes]
