"""Which model is meant: `owner/name`, a version, or both; and what ours go by."""

import asyncio
import hashlib
import json
import re

from darkroom.engine.catalogue import Catalogue, Model
from darkroom.errors import InvalidRequest, NotFound

OWNER = "darkroom"
NOT_TOLD = "hidden"
"""The version where it is not known; Replicate says so for models of which there are no versions to choose from."""

_VERSION = re.compile(r"(?:(?P<owner>[^/:]+)/(?P<name>[^/:]+))?(?P<colon>:)?(?P<id>[^/:]+)?")
_LONGEST = 100


def full_name(name: str) -> str:
    """The name that a model of ours goes by, of those that it answers to."""
    return f"{OWNER}/{name}"


def model_called(catalogue: Catalogue, owner: str, name: str) -> Model:
    """The model that has a route to `owner/name` at its backend, or whose own name is `name`.

    Raises `UnknownModel`.
    """
    wanted = f"{owner}/{name}"
    served = [model for model in catalogue if any(_plain(route.model) == wanted for route in model.routes)]
    if served and owner != OWNER:
        return min(served, key=lambda model: model.problem is not None)
    return catalogue.get(name[:_LONGEST])


def _plain(route: str) -> str:
    """`deployments/owner/name` and `owner/name:version` without what is beside the name."""
    return route.removeprefix("deployments/").partition(":")[0]


def version_of(model: Model) -> str:
    """What a model takes at present, as an id: it changes when that does."""
    content = json.dumps([model.name, model.schema, model.defaults], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def has_version(model: Model, version: str) -> bool:
    """Whether that is the version of the model, or the one to which a route of it goes."""
    return version == version_of(model) or any(route.model.endswith(f":{version}") for route in model.routes)


async def ready_model(catalogue: Catalogue, owner: str, name: str, version: str | None = None) -> Model:
    """The model of that name, once it is known what it takes. Raises `UnknownModel`; `NotFound` for the version."""
    model = await catalogue.ready(model_called(catalogue, owner, name).name)
    if version is not None and not has_version(model, version):
        raise NotFound(f"{model.name} has no version {version[:_LONGEST]!r}; it has: {version_of(model)}")
    return model


async def usable_models(catalogue: Catalogue) -> list[Model]:
    """The models that can be used, once it is known what each takes."""
    models = await asyncio.gather(*(catalogue.ready(model.name) for model in catalogue))
    return [model for model in models if model.view.usable]


async def model_of_version(catalogue: Catalogue, version: str) -> Model:
    """The model that `id`, `owner/name:id` or `owner/name` names. Raises `UnknownModel`, `InvalidRequest`."""
    match = _VERSION.fullmatch(version)
    if match is None or bool(match["colon"]) != bool(match["name"] and match["id"]):
        raise InvalidRequest("must be the id of a version, owner/name:id or owner/name", field="version")
    if not match["name"]:
        return await _model_of_id(catalogue, match["id"])
    model = await ready_model(catalogue, match["owner"], match["name"])
    if match["id"] and not has_version(model, match["id"]):
        raise _no_such(match["id"])
    return model


async def _model_of_id(catalogue: Catalogue, version: str) -> Model:
    found = _among(catalogue, version)
    if found is None:
        await usable_models(catalogue)
        found = _among(catalogue, version)
    if found is None:
        raise _no_such(version)
    return found


def _among(catalogue: Catalogue, version: str) -> Model | None:
    return next((model for model in catalogue if has_version(model, version)), None)


def _no_such(version: str) -> InvalidRequest:
    return InvalidRequest(
        f"there is no version {version[:_LONGEST]!r}: a model's version changes with what it takes, and only the "
        "latest is kept; or ask by owner/name",
        field="version",
    )
