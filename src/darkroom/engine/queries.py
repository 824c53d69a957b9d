"""What callers may read. Raises `NotFound` where there is none, `DatabaseUnavailable` where none can be had."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from sqlalchemy import Connection

from darkroom.db import files, jobs, listing, logs, media
from darkroom.db.listing import Filter, Page
from darkroom.db.media import Brief
from darkroom.db.positions import position
from darkroom.db.session import Database
from darkroom.errors import NotCompleted, NotFound
from darkroom.media.model import File, Job, LogLine, Media
from darkroom.media.states import Status

__all__ = ["Brief", "Filter", "Located", "Page", "Queries"]

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Located:
    """A media, and how many queued jobs go before its own (None: it is not queued)."""

    media: Media
    queue_position: int | None


class Queries:
    """Reads of media, jobs, files and stories."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def media(self, media_id: UUID, *, with_files: bool = True) -> Located:
        """A media, with its files unless nobody will look at them."""
        return _found(await self._database.read(_located, media_id, with_files=with_files), "media", media_id)

    async def media_of_job(self, job_id: UUID) -> Located:
        """The media that a job, any of its history, belongs to."""
        return _found(await self._database.read(_located_by_job, job_id), "job", job_id)

    async def brief(self, job_id: UUID) -> Brief:
        """The little that a poller wants to know."""
        return _found(await self._database.read(media.brief, job_id), "job", job_id)

    async def jobs(self, media_id: UUID) -> Sequence[Job]:
        """Every try at a media, in order."""
        found = await self._database.read(jobs.of_media, media_id)
        return _found(found or None, "media", media_id)

    async def logs(self, media_id: UUID, *, after: int, limit: int) -> Sequence[LogLine]:
        """The lines of a media's story after line `after`."""
        return _found(await self._database.read(_story, media_id, after=after, limit=limit), "media", media_id)

    async def file(self, media_id: UUID, index: int) -> File:
        """One file of a media. Raises `NotCompleted` while there can be none."""
        found = await self._database.read(files.get, media_id, index)
        if found is not None:
            return found
        status = (await self.media(media_id)).media.status
        if status is not Status.COMPLETED:
            raise NotCompleted(f"the media is {status}; it has files once it is COMPLETED")
        raise NotFound(f"media {media_id} has no file {index}", field="index")

    async def page(self, wanted: Filter, *, cursor: UUID | None, limit: int) -> Page:
        """A page of the list, newest first."""
        return await self._database.read(listing.page, wanted, cursor=cursor, limit=limit)


def _located(connection: Connection, media_id: UUID, *, with_files: bool = True) -> Located | None:
    found = media.get(connection, media_id, with_files=with_files)
    if found is None:
        return None
    queued = found.status is Status.IN_QUEUE
    return Located(found, position(connection, found.job_id) if queued else None)


def _located_by_job(connection: Connection, job_id: UUID) -> Located | None:
    media_id = media.id_of_job(connection, job_id)
    return None if media_id is None else _located(connection, media_id)


def _story(connection: Connection, media_id: UUID, *, after: int, limit: int) -> list[LogLine] | None:
    lines = logs.page(connection, media_id, after=after, limit=limit)
    return lines if lines or media.live_job(connection, media_id) else None


def _found(result: R | None, what: str, key: UUID) -> R:
    if result is None:
        raise NotFound(f"there is no {what} {key}", field=f"{what}_id")
    return result
