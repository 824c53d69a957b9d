"""The pictures themselves."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from darkroom.api import links
from darkroom.api.deps import EngineDep, OptionsDep
from darkroom.api.native import schemas
from darkroom.api.native.media import answer
from darkroom.api.problems import ALWAYS, FieldProblem, Problem, Responses, render, responses
from darkroom.errors import NotFound
from darkroom.media.model import File

router = APIRouter(tags=["files"], responses=ALWAYS)

_RANGE = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})", re.IGNORECASE)
_PICTURE: dict[str, Any] = {
    kind: {"schema": {"type": "string", "format": "binary"}} for kind in ("image/png", "image/jpeg", "image/webp")
}
_CONTENT_RANGE = {"Content-Range": {"description": "Which part.", "required": True, "schema": {"type": "string"}}}
_BYTES: Responses = {
    200: {"description": "The picture", "content": _PICTURE},
    206: {"description": "A part of it", "content": _PICTURE, "headers": _CONTENT_RANGE},
    304: {"description": "The caller has it already"},
}
MOST_FILES = 1000


@router.get(
    "/media/content/{media_id}", response_model=schemas.ContentLink, responses=responses(404, 409, 422, 503)
)  # fmt: skip
async def content_link(
    media_id: UUID,
    request: Request,
    engine: EngineDep,
    options: OptionsDep,
    index: Annotated[int, Query(ge=0, le=MOST_FILES, description="Which picture, from 0.")] = 0,
) -> Response:
    """Make a link to a picture that works without credentials until it expires."""
    file = await engine.queries.file(media_id, index)
    expires_at = datetime.now(UTC).replace(microsecond=0) + options.link_lifetime
    url = await engine.storage.presign(file.key, expires_in=options.link_lifetime)
    if url is None:
        url = links.to_file(file, base=links.base_of(request, options), options=options, expires_at=expires_at)
    return answer(schemas.ContentLink(url=url, expires_at=expires_at))


@router.head("/media/{media_id}/files/{index}", include_in_schema=False)
@router.get(
    "/media/{media_id}/files/{index}",
    response_class=Response,
    responses=_BYTES | responses(403, 404, 409, 416, 422, 500, 503),
)
async def file_bytes(
    media_id: UUID,
    index: Annotated[int, Path(ge=0, le=MOST_FILES, description="Which picture, from 0.")],
    request: Request,
    engine: EngineDep,
    options: OptionsDep,
    thumbnail: Annotated[bool, Query(description="A WebP of at most 384 px instead.")] = False,
    download: Annotated[bool, Query(description="Have a browser save it.")] = False,
    expires: Annotated[int | None, Query(ge=0, le=2**40, description="Of a signed link.")] = None,
    signature: Annotated[str | None, Query(max_length=128, description="Of a signed link.")] = None,
    range_: Annotated[str | None, Header(alias="Range", description="`bytes=from-to`: a part.")] = None,
    if_range: Annotated[str | None, Header(description="Send a part only of this ETag.")] = None,
    if_none_match: Annotated[str | None, Header(description="ETags that the caller has.")] = None,
) -> Response:
    """Send a picture. It never changes, so it may be kept for ever."""
    if expires is not None or signature is not None:
        options.links.verify(media_id, index, expires or 0, signature or "", now=datetime.now(UTC))
    file = await engine.queries.file(media_id, index)
    etag = f'"{file.sha256}{"-thumbnail" if thumbnail else ""}"'
    headers = _headers(file, etag, thumbnail=thumbnail, download=download)
    if if_none_match is not None and _matches(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    if thumbnail:
        return await _whole_thumbnail(file, engine, headers)
    headers |= {"Content-Length": str(file.bytes), "Accept-Ranges": "bytes"}
    if request.method == "HEAD":
        return Response(headers=headers, media_type=file.content_type)
    part = _part_of(range_, file.bytes) if if_range in (None, etag) else None
    if part is _UNSATISFIABLE:
        return _not_satisfiable(file)
    return await _stream(file, part, engine, headers)


def _not_satisfiable(file: File) -> Response:
    problem = Problem(
        title="Range Not Satisfiable", status=416, code="range_not_satisfiable",
        detail=f"the picture has {file.bytes} bytes, the first of them is 0",
        errors=[FieldProblem(field="Range", message=f"must be within bytes=0-{file.bytes - 1}")],
    )  # fmt: skip
    return render(problem, {"Content-Range": f"bytes */{file.bytes}"})


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes from `start` to `end`, exclusive."""

    start: int
    end: int


_UNSATISFIABLE = Part(0, 0)


def _part_of(header: str | None, size: int) -> Part | None:
    """The part that a Range header (RFC 9110, 14.2) asks for. None: everything, also where it is not understood."""
    found = _RANGE.fullmatch((header or "").strip())
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        part = Part(max(0, size - int(last)), size)
    else:
        part = Part(int(first), min(size, int(last) + 1) if last else size)
        if last and int(last) < int(first):
            return None
    return part if part.start < part.end else _UNSATISFIABLE


def _matches(header: str, etag: str) -> bool:
    given = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in given or etag in given


def _headers(file: File, etag: str, *, thumbnail: bool, download: bool) -> dict[str, str]:
    extension = "webp" if thumbnail else file.key.rpartition(".")[2]
    disposition = "attachment" if download else "inline"
    return {
        "ETag": etag,
        "Cache-Control": "private, max-age=31536000, immutable",
        "Content-Disposition": f'{disposition}; filename="{file.media_id}-{file.index}.{extension}"',
    }


async def _whole_thumbnail(file: File, engine: EngineDep, headers: dict[str, str]) -> Response:
    if file.thumbnail_key is None:
        raise NotFound("this picture has no thumbnail", field="thumbnail")
    content = b"".join([chunk async for chunk in engine.storage.read(file.thumbnail_key)])
    return Response(content, headers=headers, media_type="image/webp")


async def _stream(file: File, part: Part | None, engine: EngineDep, headers: dict[str, str]) -> Response:
    wanted = part or Part(0, file.bytes)
    headers["Content-Length"] = str(wanted.end - wanted.start)
    if part is not None:
        headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{file.bytes}"
    chunks = engine.storage.read(file.key, start=wanted.start, end=wanted.end)
    first = await anext(chunks, b"")  # a store that fails does so before the answer begins
    return StreamingResponse(
        _after(first, chunks), 200 if part is None else 206, headers, file.content_type
    )  # fmt: skip


async def _after(first: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in chunks:
        yield chunk
