"""The bare service: FastAPI, SQLAlchemy Core and SQLite, one row read or inserted a request, and nothing else.

It runs as Darkroom does (uvicorn with uvloop and httptools, one process, SQL in threads, `synchronous=FULL`), but
commits each insert by itself. It reads the tables that Darkroom wrote, and inserts into one of its own.

    python -m benchmarks.bare PORT DATABASE
"""

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import uvicorn
from fastapi import FastAPI, HTTPException, Response
from pydantic import BaseModel
from sqlalchemy import (
    JSON,
    Column,
    Connection,
    DateTime,
    Engine,
    MetaData,
    Select,
    String,
    Table,
    Text,
    Uuid,
    create_engine,
    event,
    insert,
    select,
)

R = TypeVar("R")

READERS = 4
PAGE = 20

schema = MetaData()
media = Table(
    "media",
    schema,
    Column("id", Uuid, primary_key=True),
    Column("status", String),
    Column("model", String),
    Column("prompt", Text),
    Column("parameters", JSON),
    Column("created_at", DateTime),
)
jobs = Table("jobs", schema, Column("id", Uuid, primary_key=True), Column("media_id", Uuid), Column("state", String))
notes = Table(
    "bare_notes",
    schema,
    Column("id", Uuid, primary_key=True),
    Column("status", String, nullable=False),
    Column("model", String, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("created_at", DateTime, nullable=False),
)


class Note(BaseModel):
    """What comes in."""

    prompt: str
    model: str = "dummy"
    parameters: dict[str, Any] = {}


class Row(BaseModel):
    """What goes out for one media."""

    id: UUID
    status: str
    model: str
    prompt: str
    parameters: dict[str, Any]
    created_at: datetime


class Page(BaseModel):
    """What goes out for a list."""

    items: list[Row]


class State(BaseModel):
    """What goes out for a job."""

    id: UUID
    media_id: UUID
    state: str


def application(database: Path) -> FastAPI:
    """The service on a SQLite file, which is made if absent."""
    app = FastAPI()
    reader, writer = _engine(database, READERS), _engine(database, 1)
    schema.create_all(writer)
    read_threads, write_threads = ThreadPoolExecutor(READERS), ThreadPoolExecutor(1)

    async def in_thread(pool: ThreadPoolExecutor, work: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(pool, work)

    @app.get("/healthz")
    async def healthz() -> Response:
        return Response()

    @app.post("/media/generate", status_code=202)
    async def generate(note: Note) -> Response:
        row = Row(id=uuid4(), status="IN_QUEUE", created_at=datetime.now(UTC), **note.model_dump())
        await in_thread(write_threads, partial(_insert, writer, row))
        return _json(row, 202)

    @app.get("/media/jobs/{job_id}/status")
    async def status(job_id: UUID) -> Response:
        found = await in_thread(read_threads, partial(_rows, reader, select(jobs).where(jobs.c.id == job_id)))
        return _json(State.model_validate(_first(found)))

    @app.get("/media/{media_id}")
    async def show(media_id: UUID) -> Response:
        found = await in_thread(read_threads, partial(_rows, reader, select(media).where(media.c.id == media_id)))
        return _json(Row.model_validate(_first(found)))

    @app.get("/media")
    async def page(limit: int = PAGE) -> Response:
        newest = select(media).order_by(media.c.id.desc()).limit(limit)
        found = await in_thread(read_threads, partial(_rows, reader, newest))
        return _json(Page(items=[Row.model_validate(row) for row in found]))

    return app


def _engine(database: Path, connections: int) -> Engine:
    engine = create_engine(f"sqlite:///{database}", pool_size=connections, max_overflow=0)
    event.listen(engine, "connect", _set_up)
    return engine


def _set_up(connection: Any, _: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _insert(engine: Engine, row: Row) -> None:
    with engine.begin() as connection:
        connection.execute(insert(notes), row.model_dump())


def _rows(engine: Engine, statement: Select[Any]) -> list[dict[str, Any]]:
    def rows(connection: Connection) -> list[dict[str, Any]]:
        return [dict(row) for row in connection.execute(statement).mappings()]

    with engine.connect() as connection:
        return rows(connection)


def _first(found: list[dict[str, Any]]) -> dict[str, Any]:
    if not found:
        raise HTTPException(404)
    return found[0]


def _json(body: BaseModel, status: int = 200) -> Response:
    return Response(body.model_dump_json(), status, media_type="application/json")


def main(port: str, database: str) -> None:
    uvicorn.run(application(Path(database)), port=int(port), access_log=False, log_config=None)


if __name__ == "__main__":
    main(*sys.argv[1:])
