"""Which model an app's id means, and what requests to the app are asked for by."""

from typing import Final
from urllib.parse import quote

from darkroom.engine.catalogue import Catalogue, Model
from darkroom.errors import UnknownModel

OWNER: Final = "darkroom"
NAMESPACES: Final = ("workflows", "comfy")
"""What goes before the owner of some apps."""
_LONGEST: Final = 100


async def ready_model(catalogue: Catalogue, app: str) -> Model:
    """The model that `app` means, once it is known what it takes. Raises `UnknownModel`."""
    return await catalogue.ready(model_called(catalogue, app).name)


def model_called(catalogue: Catalogue, app: str) -> Model:
    """The model that has a route to `app` at its backend, or whose own name is the last part of it.

    Slashes at its end, which clients make of a path within the app, say nothing. Raises `UnknownModel`.
    """
    app = app.rstrip("/")
    owner, name = app.partition("/")[0], app.rpartition("/")[2]
    served = [model for model in catalogue if any(route.model == app for route in model.routes)]
    if served and owner != OWNER:
        return min(served, key=lambda model: model.problem is not None)
    if not name:
        raise UnknownModel("an app's id is owner/name", field="model")
    return catalogue.get(name[:_LONGEST])


def polled(app: str) -> str:
    """The part of an app's id that clients put into addresses of its requests: the path within the app is left out."""
    parts = app.rstrip("/").split("/")
    return quote("/".join(parts[: 3 if parts[0] in NAMESPACES else 2]))
