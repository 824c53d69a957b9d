"""To drive the transitions themselves: a database to drive them on, and a model of what is to be true of it."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

from sqlalchemy import Connection, create_engine, delete, event, select, text
from sqlalchemy.pool import StaticPool

from darkroom.db.session import open_database
from darkroom.db.tables import files, jobs, lanes, logs, media, metadata, trash
from darkroom.media.states import ENDED, JobState, Status

R = TypeVar("R")


class Store(Protocol):
    """A database with the schema."""

    def run(self, work: Callable[[Connection], R]) -> R:
        """Do `work` in one transaction."""
        ...

    def read(self, query: Callable[[Connection], R]) -> R:
        """The answer to `query`, which only reads."""
        ...


def clear(store: Store) -> None:
    """Forget everything."""
    store.run(lambda connection: [connection.execute(delete(table)) for table in (trash, media, lanes)])


class InMemory:
    """SQLite without a file, with the rules that the real one keeps."""

    def __init__(self) -> None:
        self._engine = create_engine("sqlite://", poolclass=StaticPool)
        event.listen(self._engine, "connect", _set_up)
        event.listen(self._engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        self.run(metadata.create_all)

    def run(self, work: Callable[[Connection], R]) -> R:
        with self._engine.begin() as connection:
            return work(connection)

    def read(self, query: Callable[[Connection], R]) -> R:
        return self.run(query)

    def close(self) -> None:
        self._engine.dispose()


def _set_up(connection: Any, _: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys=ON")


class OnPostgres:
    """A real PostgreSQL, through the service's own way to it, without waiting for the disk."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self._database = open_database(url)
        self.run(lambda connection: connection.execute(text("SET SESSION synchronous_commit = off")))

    def run(self, work: Callable[[Connection], R]) -> R:
        return self._runner.run(self._database.transact(work))

    def read(self, query: Callable[[Connection], R]) -> R:
        return self._runner.run(self._database.read(query))

    def close(self) -> None:
        async def close() -> None:
            async with self._database.running():
                pass

        with self._runner:
            self._runner.run(close())


@contextmanager
def open_store(url: str | None) -> Iterator[Store]:
    """The PostgreSQL at `url`, or a SQLite of its own if there is none."""
    store = InMemory() if url is None else OnPostgres(url)
    try:
        yield store
    finally:
        store.close()


@dataclass
class Job:
    """What is to be true of a job."""

    id: UUID
    media: "Wanted"
    number: int
    run_at: datetime
    lane: str
    priority: int
    state: JobState = JobState.QUEUED
    worker: str | None = None
    lease: datetime | None = None
    asked: datetime | None = None
    provider: str | None = None
    ref: str | None = None
    error: str | None = None
    counted: bool = False
    abandoned: bool = False
    tries_seen: int = 0

    @property
    def row(self) -> dict[str, Any]:
        return {
            "media_id": self.media.id, "number": self.number, "state": self.state, "lane": self.lane,
            "priority": self.priority, "run_at": self.run_at, "worker": self.worker, "lease": self.lease,
            "asked": self.asked, "provider": self.provider, "ref": self.ref, "error": self.error,
        }  # fmt: skip


@dataclass
class Wanted:
    """What is to be true of a media."""

    id: UUID
    status: Status
    tries: int
    max_tries: int
    owner: str | None
    jobs: list[Job] = field(default_factory=list)
    error: str | None = None
    progress: dict[str, int] | None = None
    next_run: datetime | None = None
    files: tuple[str, ...] = ()
    story: list[str] = field(default_factory=list)
    retried_from: int = 1

    @property
    def live(self) -> Job:
        return self.jobs[-1]

    @property
    def row(self) -> dict[str, Any]:
        return {
            "job_id": self.live.id, "status": self.status, "tries": self.tries, "max_tries": self.max_tries,
            "error": self.error, "progress": self.progress, "next_run": self.next_run,
        }  # fmt: skip


@dataclass
class Tables:
    """What is true."""

    media: dict[UUID, dict[str, Any]]
    jobs: dict[UUID, dict[str, Any]]
    files: dict[UUID, tuple[str, ...]]
    stories: dict[UUID, list[str]]
    trash: set[str]
    ran: set[UUID]


def read_tables(connection: Connection) -> Tables:
    found = Tables({}, {}, {}, {}, set(connection.execute(select(trash.c.prefix)).scalars()), set())
    for row in connection.execute(select(media)):
        found.media[row.id] = {
            "job_id": row.job_id, "status": row.status, "tries": row.number_of_tries, "max_tries": row.max_tries,
            "error": row.error and row.error["code"], "progress": row.progress, "next_run": row.next_run,
        }  # fmt: skip
        assert (row.completed_at is not None) == (row.status in ENDED)
        assert row.error is None or row.error["traceback"] is None
    for row in connection.execute(select(jobs)):
        found.jobs[row.id] = {
            "media_id": row.media_id, "number": row.number, "state": row.state, "lane": row.lane,
            "priority": row.priority, "run_at": row.run_at, "worker": row.worker, "lease": row.lease_expires_at,
            "asked": row.cancel_requested_at, "provider": row.provider, "ref": row.provider_ref,
            "error": row.error and row.error["code"],
        }  # fmt: skip
        assert (row.finished_at is None) == (row.state in {JobState.QUEUED, JobState.RUNNING})
        if row.started_at is not None:
            found.ran.add(row.id)
    for row in connection.execute(select(files).order_by(files.c.index)):
        found.files[row.media_id] = (*found.files.get(row.media_id, ()), row.key)
    for row in connection.execute(select(logs).order_by(logs.c.id)):
        found.stories.setdefault(row.media_id, []).append(row.event)
    return found


def check_rules(now: Tables) -> None:
    """What holds of the tables at any time, whatever happened."""
    for media_id, history in histories(now).items():
        check_media(now, media_id, history)
    for job_id, job in now.jobs.items():
        prefix = f"{job['media_id']}/{job_id}/"
        if job["state"] is JobState.SUCCEEDED:
            assert prefix not in now.trash
        elif job_id in now.ran and job["state"] is not JobState.RUNNING:
            assert prefix in now.trash


def histories(now: Tables) -> dict[UUID, list[dict[str, Any]]]:
    """The jobs of each media, in order."""
    found: dict[UUID, list[dict[str, Any]]] = {media_id: [] for media_id in now.media}
    for job in sorted(now.jobs.values(), key=lambda it: it["number"]):
        found[job["media_id"]].append(job)
    return found


def check_media(now: Tables, media_id: UUID, history: list[dict[str, Any]]) -> None:
    """What holds of a media and its jobs at any time."""
    row = now.media[media_id]
    live = {Status.IN_QUEUE: [JobState.QUEUED], Status.PROCESSING: [JobState.RUNNING]}
    assert [job["number"] for job in history] == list(range(1, len(history) + 1))
    unended = [job["state"] for job in history if job["state"] in {JobState.QUEUED, JobState.RUNNING}]
    assert unended == live.get(row["status"], [])
    assert now.jobs[row["job_id"]] == history[-1]
    assert 0 <= row["tries"] <= row["max_tries"]
    assert (media_id in now.files) == (row["status"] is Status.COMPLETED)
    assert now.stories[media_id].count("completed") == (row["status"] is Status.COMPLETED)
