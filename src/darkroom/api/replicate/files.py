"""Pictures to start from: upload, see, list, delete."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.datastructures import FormData, UploadFile

from darkroom.api.native.requests import storable
from darkroom.api.replicate import shown
from darkroom.api.replicate.shown import HereDep
from darkroom.errors import InvalidRequest, NotFound

router = APIRouter(include_in_schema=False)

A_PAGE = 100


@router.post("/replicate/v1/files", status_code=201)
async def upload(request: Request, here: HereDep) -> Response:
    """Keep a picture: the part `content`, and what the caller wants to remember of it as `metadata`."""
    async with request.form() as form:
        content, metadata = form.get("content"), _metadata(form)
        if not isinstance(content, UploadFile):
            raise InvalidRequest("must be a file, in a part of multipart/form-data", field="content")
        stored = await here.engine.inputs.keep(await content.read(), name=content.filename, metadata=metadata)
    return JSONResponse(shown.file(stored, here), 201)


def _metadata(form: FormData) -> Mapping[str, Any]:
    """The part `metadata`, which is JSON, or a part for each of its entries: `metadata[name]`."""
    entries = {name[9:-1]: value for name, value in form.items() if name.startswith("metadata[") and name[-1] == "]"}
    text = form.get("metadata")
    try:
        said = json.loads(text) if isinstance(text, str) and text else entries
        if not isinstance(said, dict) or not all(isinstance(value, str) for value in entries.values()):
            raise ValueError("must be a JSON object")
        checked: Mapping[str, Any] = storable(said)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"must be a JSON object: {error}", field="metadata") from error
    return checked


@router.get("/replicate/v1/files")
async def list_files(here: HereDep, cursor: UUID | None = None) -> Response:
    """List uploaded pictures, newest first."""
    found = await here.engine.inputs.page(cursor=cursor, limit=A_PAGE)
    following = f"{here.api}/files?cursor={found[-1].id}" if len(found) == A_PAGE else None
    return JSONResponse(shown.page([shown.file(stored, here) for stored in found], following))


@router.get("/replicate/v1/files/{file_id}")
async def get(file_id: str, here: HereDep) -> Response:
    """Show what is known of an uploaded picture."""
    return JSONResponse(shown.file(await here.engine.inputs.get(_id(file_id)), here))


@router.get("/replicate/v1/files/{file_id}/download")
async def download(file_id: str, here: HereDep) -> Response:
    """Send an uploaded picture."""
    stored = await here.engine.inputs.get(_id(file_id))
    return Response(await here.engine.inputs.content(stored), media_type=stored.content_type)


@router.delete("/replicate/v1/files/{file_id}", status_code=204)
async def delete(file_id: str, here: HereDep) -> Response:
    """Forget an uploaded picture."""
    await here.engine.inputs.remove(_id(file_id))
    return Response(status_code=204)


def _id(file_id: str) -> UUID:
    try:
        return UUID(file_id)
    except ValueError as error:
        raise NotFound(f"there is no file {file_id[:100]!r}") from error
