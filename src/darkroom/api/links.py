"""Pictures for those who have no credentials for us: links that work until they expire, or the bytes as text."""

import base64
from datetime import UTC, datetime

from fastapi import Request

from darkroom.api.deps import Options
from darkroom.media.model import File
from darkroom.storage.base import Storage


def base_of(request: Request, options: Options) -> str:
    """What links in an answer start with, without a slash at the end."""
    return options.public_url or str(request.base_url).rstrip("/")


def to_file(file: File, *, base: str, options: Options, expires_at: datetime | None = None) -> str:
    """A signed link to a picture; it expires at `expires_at`, or when the settings say that links do."""
    at = expires_at or datetime.now(UTC) + options.link_lifetime
    expires = int(at.timestamp())
    signature = options.links.sign(file.media_id, file.index, expires)
    return f"{base}/media/{file.media_id}/files/{file.index}?expires={expires}&signature={signature}"


async def in_base64(file: File, storage: Storage) -> str:
    """A picture's bytes. Raises `StorageUnavailable`, `MissingObject`."""
    content = b"".join([chunk async for chunk in storage.read(file.key)])
    return base64.b64encode(content).decode()


async def inline(file: File, storage: Storage) -> str:
    """A picture as a `data:` URI. Raises `StorageUnavailable`, `MissingObject`."""
    return f"data:{file.content_type};base64,{await in_base64(file, storage)}"
