"""The native API: `/media`, `/models`, `/healthz`, `/readyz`."""

from starlette.routing import BaseRoute

from darkroom.api.native import asking, files, health, media, models


def routes() -> list[BaseRoute]:
    """Every route, in the order in which they are tried. Routers that are included would be searched one by one."""
    return [route for part in (media, asking, files, models, health) for route in part.router.routes]
