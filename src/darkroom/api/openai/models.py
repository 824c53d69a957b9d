"""The models, as OpenAI lists them."""

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from darkroom.api.deps import EngineDep
from darkroom.api.openai.parameters import model_called
from darkroom.engine.catalogue import Model
from darkroom.errors import Forbidden

router = APIRouter(include_in_schema=False)


@router.get("/openai/v1/models")
@router.get("/openai/v1/models/")
async def list_models(engine: EngineDep) -> Response:
    """List the models that can be used."""
    return JSONResponse(
        {"object": "list", "data": [_shown(model) for model in engine.catalogue if model.problem is None]}
    )  # fmt: skip


@router.get("/openai/v1/models/{name:path}")
async def get_model(name: str, engine: EngineDep) -> Response:
    """Show a model."""
    return JSONResponse(_shown(model_called(engine.catalogue, name)))


@router.delete("/openai/v1/models/{name:path}")
async def delete_model(name: str, engine: EngineDep) -> Response:
    """Refuse to: models are what the settings say."""
    model = model_called(engine.catalogue, name)
    raise Forbidden(f"{model.name} cannot be deleted from here: which models there are is in the settings")


def _shown(model: Model) -> dict[str, Any]:
    """It was made at a time that nobody noted, and belongs to whoever serves it first."""
    return {"id": model.name, "object": "model", "created": 0, "owned_by": model.routes[0].account.name}
