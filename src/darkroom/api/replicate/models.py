"""What can be asked for, and on what; the secret of webhooks."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from darkroom.api.replicate import names, shown
from darkroom.api.replicate.shown import HereDep
from darkroom.engine.catalogue import Model

router = APIRouter(include_in_schema=False)

LONGEST_SEARCH = 1000


@router.get("/replicate/v1/models")
async def list_models(here: HereDep) -> Response:
    """List the models that can be used."""
    models = await names.usable_models(here.engine.catalogue)
    return JSONResponse(shown.page([shown.model(model, here.base) for model in models]))


@router.api_route("/replicate/v1/models", methods=["QUERY"])
async def search(request: Request, here: HereDep) -> Response:
    """List the models that can be used whose name or description has all the words of the body."""
    text = (await request.body()).decode(errors="replace")[:LONGEST_SEARCH]
    words = text.strip().strip('"').lower().split()
    models = await names.usable_models(here.engine.catalogue)
    found = [model for model in models if all(word in _described(model) for word in words)]
    return JSONResponse(shown.page([shown.model(model, here.base) for model in found]))


def _described(model: Model) -> str:
    return " ".join([names.full_name(model.name), model.description, *(route.model for route in model.routes)]).lower()


@router.get("/replicate/v1/models/{owner}/{name}")
async def get_model(owner: str, name: str, here: HereDep) -> Response:
    """Show a model, by the name that the caller has for it."""
    model = await names.ready_model(here.engine.catalogue, owner, name)
    return JSONResponse(shown.model(model, here.base, owner=owner, name=name))


@router.get("/replicate/v1/models/{owner}/{name}/versions")
async def list_versions(owner: str, name: str, here: HereDep) -> Response:
    """List the versions of a model: there is one, which says what it takes now."""
    model = await names.ready_model(here.engine.catalogue, owner, name)
    return JSONResponse(shown.page([shown.version(model)]))


@router.get("/replicate/v1/models/{owner}/{name}/versions/{version}")
async def get_version(owner: str, name: str, version: str, here: HereDep) -> Response:
    """Show the version of a model."""
    model = await names.ready_model(here.engine.catalogue, owner, name, version)
    return JSONResponse({**shown.version(model), "id": version})


@router.get("/replicate/v1/deployments")
async def list_deployments(here: HereDep) -> Response:
    """List the models that can be used as deployments."""
    models = await names.usable_models(here.engine.catalogue)
    results = [shown.deployment(model, names.OWNER, model.name) for model in models]
    return JSONResponse(shown.page(results))


@router.get("/replicate/v1/deployments/{owner}/{name}")
async def get_deployment(owner: str, name: str, here: HereDep) -> Response:
    """Show the deployment that the model of that name is."""
    return JSONResponse(shown.deployment(await names.ready_model(here.engine.catalogue, owner, name), owner, name))


@router.get("/replicate/v1/hardware")
async def hardware() -> Response:
    """List what models run on; who asks does not choose it."""
    return JSONResponse(list(shown.HARDWARE))


@router.get("/replicate/v1/account")
async def account() -> Response:
    """Show whose service this is."""
    return JSONResponse(shown.account())


@router.get("/replicate/v1/webhooks/default/secret")
async def webhook_secret(here: HereDep) -> Response:
    """Show what webhooks are signed with."""
    return JSONResponse({"key": (await here.engine.webhook_secrets.signing())[0].secret})
