"""The bare distributed service: FastAPI, Celery (prefork, acks_late) and PostgreSQL, as a good team would write it.

It does Darkroom's job without its promises: a row, a task, a picture that is checked and stored, the row again. Clients
are made once a process, pools are fixed, the loop is uvloop. A task is acknowledged when it has ended, so that a broker
which redelivers gives what a killed worker had to another; nothing guards against two making the same picture.

    python -m benchmarks.bare_celery PORT                       the API
    celery -A benchmarks.bare_celery worker --concurrency 2     the workers

BARE_DATABASE, BARE_BROKER, BARE_QUEUE, BARE_STORE (file:// or s3://, with AWS_* variables) and BARE_PICTURE say where
things are.
"""

import asyncio
import io
import os
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import obstore
import uvicorn
import uvloop
from celery import Celery
from fastapi import FastAPI, HTTPException, Response
from obstore.store import LocalStore, ObjectStore, from_url
from PIL import Image
from pydantic import BaseModel
from sqlalchemy import JSON, Column, DateTime, MetaData, String, Table, Text, Uuid, insert, make_url, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

CONNECTIONS = 16

schema = MetaData()
media = Table(
    "bare_media",
    schema,
    Column("id", Uuid, primary_key=True),
    Column("status", String(16), nullable=False),
    Column("model", String(100), nullable=False),
    Column("prompt", Text, nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("key", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("completed_at", DateTime(timezone=True)),
)

celery = Celery("bare", broker=os.environ.get("BARE_BROKER"))
celery.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    task_default_queue=os.environ.get("BARE_QUEUE", "bare"),
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_pool_limit=CONNECTIONS,
)


class Wanted(BaseModel):
    """What comes in."""

    prompt: str
    model: str = "dummy"
    parameters: dict[str, Any] = {}


class Row(BaseModel):
    """What goes out."""

    id: UUID
    status: str
    model: str
    prompt: str
    parameters: dict[str, Any]
    created_at: datetime


def _engine(connections: int) -> AsyncEngine:
    url = make_url(os.environ["BARE_DATABASE"]).set(drivername="postgresql+asyncpg")
    return create_async_engine(url, pool_size=connections, max_overflow=0)


def application() -> FastAPI:
    """The API: a row, then a task, which is sent from a thread as Celery's client blocks."""
    engine, senders = _engine(CONNECTIONS), ThreadPoolExecutor(CONNECTIONS)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with engine.begin() as connection:
            await connection.run_sync(schema.create_all)
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)

    @app.get("/healthz")
    async def healthz() -> Response:
        return Response()

    @app.post("/media/generate", status_code=202)
    async def generate(wanted: Wanted) -> Response:
        row = Row(id=uuid4(), status="IN_QUEUE", created_at=datetime.now(UTC), **wanted.model_dump())
        async with engine.begin() as connection:
            await connection.execute(insert(media), row.model_dump())
        await asyncio.get_running_loop().run_in_executor(senders, make.delay, str(row.id))
        return Response(row.model_dump_json(), 202, media_type="application/json")

    @app.get("/media/{media_id}")
    async def show(media_id: UUID) -> Response:
        async with engine.connect() as connection:
            found = (await connection.execute(select(media).where(media.c.id == media_id))).mappings().one_or_none()
        if found is None:
            raise HTTPException(404)
        return Response(Row.model_validate(dict(found)).model_dump_json(), media_type="application/json")

    return app


class Worker:
    """What a worker process has: one loop, one engine, one store."""

    def __init__(self) -> None:
        self.loop = uvloop.new_event_loop()
        self._engine = _engine(1)
        self._store = _store(os.environ["BARE_STORE"])
        self._picture = Path(os.environ["BARE_PICTURE"]).read_bytes()

    async def make(self, media_id: UUID) -> None:
        """Make, check and store the picture."""
        async with self._engine.begin() as connection:
            await connection.execute(update(media).where(media.c.id == media_id).values(status="PROCESSING"))
        with Image.open(io.BytesIO(self._picture)) as picture:
            picture.load()
        key = f"{media_id}/0.png"
        await obstore.put_async(self._store, key, self._picture)
        ended = {"status": "COMPLETED", "key": key, "completed_at": datetime.now(UTC)}
        async with self._engine.begin() as connection:
            await connection.execute(update(media).where(media.c.id == media_id).values(ended))


def _store(url: str) -> ObjectStore:
    if url.startswith("file://"):
        return LocalStore(url.removeprefix("file://"), mkdir=True)
    return from_url(url, client_options={"allow_http": True})


@cache
def _worker() -> Worker:
    return Worker()


@celery.task(name="bare.make")  # type: ignore[untyped-decorator]
def make(media_id: str) -> None:
    """Make one picture."""
    worker = _worker()
    worker.loop.run_until_complete(worker.make(UUID(media_id)))


def main(port: str) -> None:
    uvicorn.run(application(), port=int(port), access_log=False, log_config=None)


if __name__ == "__main__":
    main(*sys.argv[1:])
