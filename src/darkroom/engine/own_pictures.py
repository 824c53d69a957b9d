"""Pictures of ours that somebody starts others from, by the links that we gave: read from the store."""

import re
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from darkroom.db import files
from darkroom.db.session import Database
from darkroom.errors import InvalidRequest
from darkroom.security.links import LinkSigner
from darkroom.storage.base import Storage

Fetch = Callable[[str], Awaitable[bytes]]
"""What is at an address. Raises `DarkroomError`."""

_PATH: Final = re.compile(r".*/media/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/files/([0-9]{1,4})")


class OwnPictures:
    """Reads what is at an address: the store's, where the signature says that the link is ours, whatever its host.

    `fetch`: how other addresses are read. `signer`: what our links are signed with.
    """

    def __init__(self, database: Database, storage: Storage, signer: Callable[[], LinkSigner], fetch: Fetch) -> None:
        self._database = database
        self._storage = storage
        self._signer = signer
        self._fetch = fetch

    async def __call__(self, url: str) -> bytes:
        """The bytes at `url`. Raises `InvalidRequest`, `PayloadTooLarge`, `Unavailable`, `MissingObject`."""
        link = _link(url)
        if link is None or not self._signer().has_signed(*link):
            return await self._fetch(url)
        media_id, index, expires_at, _ = link
        if self._database.now().timestamp() >= expires_at:
            raise InvalidRequest("the link to this picture has expired; ask for a new one")
        file = await self._database.read(files.get, media_id, index)
        if file is None:
            raise InvalidRequest(f"the media {media_id} is not there any more")
        return b"".join([chunk async for chunk in self._storage.read(file.key)])


def _link(url: str) -> tuple[UUID, int, int, str] | None:
    """The media, the index, the expiry and the signature of what looks like a link to a whole picture of ours."""
    try:
        parts = urlsplit(url)
        said = parse_qs(parts.query, strict_parsing=True, max_num_fields=8)
    except ValueError:
        return None
    path = _PATH.fullmatch(parts.path)
    expires, signature = said.get("expires", [""])[0], said.get("signature", [""])[0]
    if path is None or "thumbnail" in said or not re.fullmatch(r"[0-9]{1,12}", expires):
        return None
    return UUID(path[1]), int(path[2]), int(expires), signature
