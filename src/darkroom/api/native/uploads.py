"""Pictures to start from: upload, see, delete."""

from typing import Any
from urllib.parse import unquote
from uuid import UUID

from fastapi import APIRouter, Request, Response
from starlette.datastructures import UploadFile

from darkroom.api.deps import EngineDep
from darkroom.api.native import schemas
from darkroom.api.native.media import answer
from darkroom.api.problems import ALWAYS, Responses, responses
from darkroom.engine.core import Engine
from darkroom.errors import InvalidRequest, UnsupportedPicture
from darkroom.media.model import Input

router = APIRouter(tags=["files"], responses=ALWAYS)

_PICTURES = ("image/png", "image/jpeg", "image/webp")
_RAW = (*_PICTURES, "application/octet-stream")
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_FORM: dict[str, Any] = {
    "schema": {
        "type": "object",
        "properties": {"file": {"type": "string", "format": "binary", "description": "A PNG, JPEG or WebP picture."}},
        "required": ["file"],
    }
}
_BODY = {"requestBody": {"required": True, "content": {"multipart/form-data": _FORM, **dict.fromkeys(_RAW, _BINARY)}}}
_LOCATION = {
    "Location": {"description": "The file.", "required": True, "schema": {"type": "string", "format": "uri-reference"}}
}
_CREATED: Responses = {201: {"description": "It is kept", "headers": _LOCATION}}
_BYTES: Responses = {
    200: {"description": "The picture", "content": dict.fromkeys(_PICTURES, _BINARY)},
    304: {"description": "The caller has it already"},
}


@router.post(
    "/files",
    status_code=201,
    response_model=schemas.Upload,
    responses=_CREATED | responses(400, 413, 415, 422, 503),
    openapi_extra=_BODY,
)
async def upload(request: Request, engine: EngineDep) -> Response:
    """Keep a picture to start others from, sent as a form or as it is. What it is, its bytes say.

    It is set upright as its EXIF says, and all its metadata is dropped.
    """
    content, name = await _given(request)
    stored = await engine.inputs.keep(content, name=name)
    return answer(_out(stored, engine), 201, {"Location": f"/files/{stored.id}"})


async def _given(request: Request) -> tuple[bytes, str | None]:
    """The bytes that were sent, and what they are called."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        async with request.form(max_files=1) as form:
            part = form.get("file")
            if not isinstance(part, UploadFile):
                raise InvalidRequest("must be a part of the form, with a file name", field="file")
            return await part.read(), unquote(part.filename or "") or None
    if kind.startswith("image/") or kind == "application/octet-stream":
        return await request.body(), None
    raise UnsupportedPicture(
        f"send multipart/form-data with the part `file`, or a picture as {', '.join(_PICTURES)}", field="Content-Type"
    )


@router.get("/files/{file_id}", response_model=schemas.Upload, responses=responses(404, 422, 503))
async def show(file_id: UUID, engine: EngineDep) -> Response:
    """Show what is known of an uploaded picture."""
    return answer(_out(await engine.inputs.get(file_id), engine))


@router.get("/files/{file_id}/content", response_class=Response, responses=_BYTES | responses(404, 422, 500, 503))
async def content(file_id: UUID, request: Request, engine: EngineDep) -> Response:
    """Send an uploaded picture as it is kept: upright, and without metadata."""
    stored = await engine.inputs.get(file_id)
    headers = {"ETag": f'"{stored.sha256}"', "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(await engine.inputs.content(stored), headers=headers, media_type=stored.content_type)


@router.delete("/files/{file_id}", status_code=204, response_class=Response, responses=responses(404, 422, 503))
async def delete(file_id: UUID, engine: EngineDep) -> Response:
    """Delete an uploaded picture. Media that have yet to start from it end as ERROR."""
    await engine.inputs.remove(file_id)
    return Response(status_code=204)


def _out(stored: Input, engine: Engine) -> schemas.Upload:
    return schemas.upload_out(stored, engine.inputs.expires_at(stored))
