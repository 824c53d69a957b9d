"""Pictures that callers give to start from: taken in, kept for a while, found again by those that make pictures."""

import asyncio
import base64
import hashlib
import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection

from darkroom.db import inputs, trash
from darkroom.db.session import Database
from darkroom.engine import references
from darkroom.engine.own_pictures import Fetch
from darkroom.engine.references import LIST, MOST, RIGHT
from darkroom.errors import (
    DarkroomError,
    InputExpired,
    InvalidRequest,
    MissingObject,
    NotFound,
    PayloadTooLarge,
    Unavailable,
)
from darkroom.imaging import Intake
from darkroom.media.ids import new_id
from darkroom.media.model import Input
from darkroom.storage.base import Storage

NOTED_EVERY = timedelta(hours=1)
"""How exactly it is known when one was last asked for."""
UNFINISHED = timedelta(hours=1)
"""After which a picture that was stored, but never noted, is cleared away."""
_BY_CONTENT: Final = 0xFF
"""First byte of ids that come from the content: above all ids that come from the time until the year 10,000."""
_VERSION, _VERSION_BITS = 0x8 << 76 | 0b10 << 62, 0xF << 76 | 0b11 << 62
_UPLOADED = UUID(bytes=bytes([_BY_CONTENT]) + bytes(15))
WITHIN: Final = 60.0
"""Seconds for the pictures of a request to come from where they are, all together."""
LONGEST_NAME = 255
CHUNK = 100


class Inputs:
    """Keeps pictures. Most of it may raise `Unavailable`.

    `fetch`: how addresses are read. `keep`: for how long pictures are kept after they were last asked for.
    """

    def __init__(self, database: Database, storage: Storage, intake: Intake, fetch: Fetch, *, keep: timedelta) -> None:
        self._database = database
        self._storage = storage
        self._intake = intake
        self._fetch = fetch
        self._kept_for = keep

    async def keep(
        self,
        content: bytes,
        *,
        name: str | None = None,
        owner: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Input:
        """Keep what someone uploads, under a new id. Raises `UnsupportedPicture`, `PayloadTooLarge`."""
        named = _storable(name) if name else None
        return await self._keep(new_id(self._database.now()), content, named, owner, metadata or {})

    async def get(self, input_id: UUID) -> Input:
        """What is known of one. Raises `NotFound`."""
        found = await self._database.read(inputs.get, input_id)
        if found is None:
            raise _not_there(input_id)
        return found

    def expires_at(self, stored: Input) -> datetime:
        """When one is deleted, unless someone asks for it before."""
        return stored.used_at + self._kept_for

    async def page(self, *, cursor: UUID | None, limit: int) -> Sequence[Input]:
        """Those that were uploaded before `cursor`, the newest first."""
        before = min(cursor or _UPLOADED, _UPLOADED)
        return await self._database.read(inputs.page, before=before, limit=limit)

    async def content(self, stored: Input) -> bytes:
        """The picture itself. Raises `MissingObject`."""
        return b"".join([chunk async for chunk in self._storage.read(stored.key)])

    async def remove(self, input_id: UUID) -> None:
        """Delete one; media that still have to start from it will fail. Raises `NotFound`."""
        now = self._database.now()

        def delete(connection: Connection) -> bool:
            key = inputs.remove(connection, input_id)
            trash.add(connection, [_prefix_of(key)] if key else [], delete_after=now)
            return key is not None

        if not await self._database.transact(delete):
            raise _not_there(input_id)

    async def expire(self) -> None:
        """Delete some that nobody asked for in a long time."""
        now = self._database.now()
        before = now - self._kept_for
        unused = await self._database.read(inputs.unused, before, limit=CHUNK)
        if not unused:
            return

        def delete(connection: Connection) -> None:
            keys = inputs.expire(connection, unused, before)
            trash.add(connection, [_prefix_of(key) for key in keys], delete_after=now)

        await self._database.transact(delete)

    # What parameters say

    async def settle(self, parameters: Mapping[str, Any], owner: str | None) -> dict[str, Any]:
        """`parameters` with each picture taken in, and its id where its reference was.

        Raises `InvalidRequest` or `PayloadTooLarge`, naming the field.
        """
        if len(parameters.get(LIST) or ()) > MOST:
            raise InvalidRequest(f"at most {MOST} pictures can be given", field=f"parameters.{LIST}")
        given = dict(references.references(parameters))
        ids = {name: known for name, text in given.items() if (known := references.as_id(text)) is not None}
        await self._check(ids, owner)
        deadline = asyncio.get_running_loop().time() + WITHIN
        for name, text in given.items():
            if name not in ids:
                ids[name] = await self._taken(text, owner, field=f"parameters.{name}", deadline=deadline)
        return references.replaced(parameters, {name: str(known) for name, known in ids.items()})

    async def loaded(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Settled `parameters` with a `data:` URI in place of each id. Raises `InputExpired`."""
        said = {name: references.as_id(text) for name, text in references.references(parameters)}
        given = {
            name: known for name, known in said.items() if known is not None
        }  # rows of old hold the picture itself
        found = await self._database.read(inputs.some, set(given.values())) if given else {}
        uris = {known: await self._uri(found.get(known), known) for known in set(given.values())}
        return references.replaced(parameters, {name: uris[known] for name, known in given.items()})

    async def _uri(self, stored: Input | None, wanted: UUID) -> str:
        expired = f"the picture {wanted} is not kept any more: upload it again"
        if stored is None:
            raise InputExpired(expired)
        try:
            content = await self.content(stored)
        except MissingObject as error:
            raise InputExpired(expired) from error
        encoded = await asyncio.to_thread(base64.b64encode, content)
        return f"data:{stored.content_type};base64,{encoded.decode()}"

    async def _check(self, ids: Mapping[str, UUID], owner: str | None) -> None:
        """Raise `InvalidRequest` unless all of `ids`, by field, are there; they count as asked for."""
        found = await self._known(set(ids.values()))
        for name, wanted in ids.items():
            if wanted not in found or found[wanted].owner != owner:
                raise InvalidRequest(f"there is no file {wanted}; upload it again", field=f"parameters.{name}")

    async def _taken(self, text: str, owner: str | None, *, field: str, deadline: float) -> UUID:
        try:
            content = await self._bytes(text, field=field, deadline=deadline)
            return await self._keep_once(content, owner)
        except PayloadTooLarge as error:
            raise PayloadTooLarge(error.message, field=field) from error
        except InvalidRequest as error:
            raise InvalidRequest(error.message, field=field) from error

    async def _bytes(self, text: str, *, field: str, deadline: float) -> bytes:
        if references.is_inline(text):
            return await asyncio.to_thread(references.inline, text, field=field)
        if not references.is_url(text):
            raise InvalidRequest(f"this is no picture; {RIGHT}", field=field)
        try:
            async with asyncio.timeout_at(deadline):
                return await self._fetch(text)
        except (InvalidRequest, Unavailable):
            raise
        except TimeoutError as error:
            late = f"the pictures of this request did not come within {WITHIN:g} s altogether; upload them first"
            raise InvalidRequest(late, field=field) from error
        except DarkroomError as error:
            raise InvalidRequest(error.message, field=field) from error

    # The store

    async def _keep_once(self, content: bytes, owner: str | None) -> UUID:
        """Keep what came in a request, under an id that the same content of the same owner always gets."""
        known = await asyncio.to_thread(_id_of, content, owner)
        if not await self._known({known}):
            await self._keep(known, content, None, owner, {})
        return known

    async def _known(self, ids: Collection[UUID]) -> Mapping[UUID, Input]:
        """Those of `ids` that there are; they count as asked for."""
        if not ids:
            return {}
        now = self._database.now()
        found = await self._database.read(inputs.some, ids)
        stale = {known for known, stored in found.items() if stored.used_at < now - NOTED_EVERY}
        if not stale:
            return found
        there = await self._database.transact(lambda connection: inputs.touch(connection, stale, now))
        return {known: stored for known, stored in found.items() if known in there or known not in stale}

    async def _keep(
        self, new: UUID, content: bytes, name: str | None, owner: str | None, metadata: Mapping[str, Any]
    ) -> Input:
        taken = await self._intake.take(content)
        now = self._database.now()
        # The random part keeps a deletion that is under way from taking what is stored anew under the same id.
        key = f"inputs/{new}/{secrets.token_hex(8)}/picture.{taken.extension}"
        stored = Input(
            new, owner, name, key, taken.content_type, taken.width, taken.height, len(taken.content), taken.sha256,
            metadata, now, now,
        )  # fmt: skip
        prefix, cleared_at = _prefix_of(key), now + UNFINISHED
        await self._database.transact(lambda connection: trash.add(connection, [prefix], delete_after=cleared_at))
        await self._storage.put(key, taken.content, content_type=taken.content_type)

        def note(connection: Connection) -> None:
            if inputs.add(connection, stored):
                trash.forget(connection, [(prefix, cleared_at)])
            else:  # the same content came twice at once
                trash.add(connection, [prefix], delete_after=now)

        await self._database.transact(note)
        return stored


def _prefix_of(key: str) -> str:
    return f"{key.rpartition('/')[0]}/"


def _id_of(content: bytes, owner: str | None) -> UUID:
    """An id of version 8 (RFC 9562), made of the content."""
    digest = hashlib.sha256(f"{owner or ''}\0".encode())
    digest.update(content)
    bits = int.from_bytes(bytes([_BY_CONTENT]) + digest.digest()[:15]) & ~_VERSION_BITS
    return UUID(int=bits | _VERSION)


def _storable(name: str) -> str:
    return name.replace("\0", "").encode(errors="replace").decode()[:LONGEST_NAME]


def _not_there(input_id: UUID) -> NotFound:
    return NotFound(f"there is no file {input_id}", field="file_id")
