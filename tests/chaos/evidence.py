"""What is there when all is over: the tables, the store, the journal."""

import asyncio
import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import obstore
from obstore.store import S3Store
from sqlalchemy import Table, func, select

from chaos.cluster import Cluster
from darkroom.db.session import open_database
from darkroom.db.tables import files, jobs, logs, media, trash
from darkroom.media.states import ENDED
from services.life import Tables, read_tables

Rows = Mapping[Any, Sequence[Any]]


@dataclass(frozen=True)
class Evidence:
    """The rows, those of one media together; the sha256 of each stored object; the lines of the journal."""

    media: Sequence[Any]
    jobs: Rows
    files: Rows
    logs: Rows
    tables: Tables
    store: Mapping[str, str]
    journal: Sequence[Mapping[str, Any]]


def collect(cluster: Cluster) -> Evidence:
    """Everything, as it is now."""
    rows = _read(cluster.database_url, media, jobs, files, logs)
    return Evidence(
        media=rows["media"],
        jobs=_by_media(rows["jobs"], "number"),
        files=_by_media(rows["files"], "index"),
        logs=_by_media(rows["logs"], "id"),
        tables=asyncio.run(_tables(cluster.database_url)),
        store={key: _sha256(cluster, key) for key in stored(cluster)},
        journal=read_journal(cluster.journal),
    )


def unfinished(cluster: Cluster) -> int:
    """How many media are not in a final state."""
    return _count(cluster.database_url, media, media.c.status.not_in(ENDED))


def uncleared(cluster: Cluster) -> int:
    """How many prefixes of the store are still to be cleared."""
    return _count(cluster.database_url, trash)


def stored(cluster: Cluster) -> list[str]:
    """Every key in the store."""
    return [meta["path"] for batch in obstore.list(_bucket(cluster)) for meta in batch]


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Its lines; none if nothing was ever done."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _sha256(cluster: Cluster, key: str) -> str:
    return hashlib.sha256(bytes(obstore.get(_bucket(cluster), key).bytes())).hexdigest()


def _bucket(cluster: Cluster) -> S3Store:
    return S3Store(cluster.bucket, config=cast(Any, cluster.store.options), client_options={"allow_http": True})


def _by_media(rows: Sequence[Any], order: str) -> Rows:
    found = defaultdict(list)
    for row in sorted(rows, key=lambda row: getattr(row, order)):
        found[row.media_id].append(row)
    return found


def _read(url: str, *tables: Table) -> dict[str, list[Any]]:
    async def read() -> dict[str, list[Any]]:
        async with open_database(url).running() as database:
            return {
                table.name: await database.read(lambda connection, table=table: list(connection.execute(select(table))))
                for table in tables
            }

    return asyncio.run(read())


async def _tables(url: str) -> Tables:
    async with open_database(url).running() as database:
        return await database.read(read_tables)


def _count(url: str, table: Table, *conditions: Any) -> int:
    async def read() -> int:
        async with open_database(url).running() as database:
            query = select(func.count()).select_from(table).where(*conditions)
            return await database.read(lambda connection: connection.execute(query).scalar_one())

    return asyncio.run(read())
