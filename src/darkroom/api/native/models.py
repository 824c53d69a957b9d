"""What can be asked for."""

from typing import Any

from fastapi import APIRouter, Response

from darkroom.api.deps import EngineDep
from darkroom.api.native import model_schemas
from darkroom.api.native.media import answer
from darkroom.api.problems import ALWAYS, responses
from darkroom.engine.catalogue import Model, Route

router = APIRouter(tags=["models"], responses=ALWAYS)


@router.get("/models", response_model=model_schemas.ModelList)
async def list_models(engine: EngineDep) -> Response:
    """List the models."""
    default = engine.catalogue.default
    return answer(model_schemas.ModelList(items=[model_out(model, default) for model in engine.catalogue]))


@router.get("/models/{name}", response_model=model_schemas.Model, responses=responses(404, 422))
async def get_model(name: str, engine: EngineDep) -> Response:
    """Show a model, with the schema of its parameters, for which its backends may have to be asked."""
    return answer(model_out(await engine.catalogue.ready(name), engine.catalogue.default))


def model_out(model: Model, default: str) -> model_schemas.Model:
    """A model as it is shown."""
    return model_schemas.Model(
        name=model.name,
        description=model.description,
        default=model.name == default,
        lane=model.lane,
        usable=model.problem is None,
        problem=model.problem,
        routes=[route_out(route) for route in model.routes],
        parameters=_with_defaults(model),
    )


def route_out(route: Route) -> model_schemas.Route:
    """A route as it is shown."""
    return model_schemas.Route(
        provider=route.provider_name,
        model=route.model,
        weight=route.weight,
        price=model_schemas.price_out(route.price),
        problem=route.problem,
    )


def _with_defaults(model: Model) -> dict[str, Any]:
    """The schema, with this model's defaults instead of the provider's."""
    properties = {
        name: {**rule, "default": model.defaults[name]} if name in model.defaults else rule
        for name, rule in model.schema.get("properties", {}).items()
    }
    return {**model.schema, "properties": properties}
