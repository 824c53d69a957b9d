"""Fills a SQLite database with media that have ended, as months of use would: prompts, jobs, files, stories, tags.

A block of 1,000 media goes through the tables of SQLAlchemy, which say how each value is kept. Every further block
is the same with other ids and another time: a million media take less than a minute.
"""

import asyncio
import random
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Table, insert
from sqlalchemy.dialects import sqlite as sqlite_dialect

from darkroom.db import schema
from darkroom.db.media import folded
from darkroom.db.session import open_database
from darkroom.db.tables import files, jobs, logs, media, tags

BLOCK = 1000
SAMPLE = 1000
"""Ids to ask for."""
COMMON, RARE = "lighthouse", "zeppelin"
"""A word that every fifth prompt has, and one that only the oldest prompt has."""
TAGS = [f"campaign-{n}" for n in range(20)]
STATUSES = ["COMPLETED"] * 97 + ["ERROR"] * 2 + ["CANCELLED"]
WORDS = """\
amber ancient autumn bridge bright calm castle chrome city cliff cloud cold copper coral crowd crystal dawn
desert dim distant dragon dusk empty fern field fire fog forest fox garden glass gold golden grass grey harbor hill
horizon house ice island jade lake lantern leaf light market meadow mist moon moss mountain neon night ocean old orchid
owl painting paper path photo pine portrait quiet rain red reef river road roof rose ruin sand sea shadow shore silent
silver sky snow soft star stone storm street summer sun temple tide tower train tree valley velvet village violet warm
water wave white wide wild wind window winter wolf wood yellow""".split()  # noqa: SIM905 - a list of words is read as words

DIALECT = sqlite_dialect.dialect()
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Seeded:
    """What is in the database, to ask for: a sample of ids."""

    media_ids: list[str]
    job_ids: list[str]


@dataclass(frozen=True, slots=True)
class _Sample:
    """One media of the first block: the rows of each table without their ids, as SQLite keeps them."""

    media: Row
    jobs: list[Row]
    file: Row | None
    logs: list[Row]
    tags: list[Row]


def seed(database: Path, rows: int) -> Seeded:
    """Make `database` with `rows` media, all of them ended."""
    database.parent.mkdir(parents=True, exist_ok=True)
    asyncio.run(_migrate(f"sqlite:///{database}"))
    samples = [_sample(random.Random(n), n) for n in range(min(BLOCK, rows))]
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        for pragma in ("journal_mode=MEMORY", "synchronous=OFF", "cache_size=-262144", "foreign_keys=OFF"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN")
        for first in range(0, rows, BLOCK):
            _insert(connection, first, samples[: rows - first])
        connection.execute(f"UPDATE media SET words = words || '{RARE} ' WHERE id = (SELECT min(id) FROM media)")
        connection.execute("COMMIT")
    numbers = random.Random(rows).choices(range(rows), k=SAMPLE)
    return Seeded([_id(number, 0) for number in numbers], [_id(number, 1) for number in numbers])


async def _migrate(url: str) -> None:
    async with open_database(url).running() as database:
        await schema.upgrade(database)


def _insert(connection: sqlite3.Connection, first: int, samples: list[_Sample]) -> None:
    """Media number `first` and those after it, one for each sample, and all that hangs on them."""
    each = [
        (s, _id(number, 0), [_id(number, 1 + n) for n in range(len(s.jobs))])
        for number, s in enumerate(samples, start=first)
    ]
    rows: dict[str, Iterator[Row]] = {
        "media": ((media_id, jobs[-1], *s.media) for s, media_id, jobs in each),
        "jobs": ((job, media_id, *row) for s, media_id, jobs in each for job, row in zip(jobs, s.jobs, strict=True)),
        "files": ((media_id, *s.file) for s, media_id, _ in each if s.file),
        "logs": ((None, media_id, jobs[-1], *row) for s, media_id, jobs in each for row in s.logs),
        "tags": ((*row, media_id) for s, media_id, _ in each for row in s.tags),
    }
    for table, several in rows.items():
        connection.executemany(_INSERTS[table], several)


def _id(number: int, kind: int) -> str:
    """A UUIDv7, in hex, as if media number `number` had been made 1.5 s after the one before."""
    milliseconds = 1_700_000_000_000 + number * 1500 + kind
    return f"{milliseconds << 80 | 0x7 << 76 | 0b10 << 62 | (number * 2_654_435_761 % (1 << 62)):032x}"


def _sample(chance: random.Random, number: int) -> _Sample:
    at = datetime.fromtimestamp(1_700_000_000, UTC) + timedelta(seconds=1.5 * number)
    status = STATUSES[number % 100]
    tries = 2 if number % 10 == 3 else 1
    prompt = _prompt(chance, number)
    labels = [TAGS[number // 10 % len(TAGS)]] if number % 10 == 0 else []
    return _Sample(
        media=_raw(media, _media_row(status, prompt, labels, tries, at), skip=2),
        jobs=[_raw(jobs, _job_row(status, n, n == tries, at), skip=2) for n in range(1, tries + 1)],
        file=_raw(files, _file_row(number), skip=1) if status == "COMPLETED" else None,
        logs=[_raw(logs, line, skip=3) for line in _story(status, tries, at)],
        tags=[(label,) for label in labels],
    )


def _prompt(chance: random.Random, number: int) -> str:
    words = chance.choices(WORDS, k=chance.randint(5, 30))
    return " ".join([*words, COMMON] if number % 5 == 0 else words)


def _media_row(status: str, prompt: str, labels: list[str], tries: int, at: datetime) -> dict[str, Any]:
    done = at + timedelta(seconds=4)
    failed = {"code": "rejected", "message": "the backend refused the prompt", "retryable": False,
              "provider": "dummy", "traceback": None}  # fmt: skip
    return {
        "status": status, "owner": None, "model": "dummy", "prompt": prompt, "words": folded(prompt),
        "parameters": {"n": 1, "width": 1024, "height": 1024, "delay": 0, "steps": 0, "seed": 7},
        "priority": 0, "number_of_tries": tries, "max_tries": 5, "next_run": None, "progress": None,
        "error": failed if status == "ERROR" else None, "cost": None, "tags": labels, "metadata": {"order": "4711"},
        "idempotency_key": None, "fingerprint": None, "trace": None, "webhook": None, "left_at": None, "created_at": at,
        "updated_at": done, "started_at": at, "completed_at": done,
    }  # fmt: skip


def _job_row(status: str, number: int, is_last: bool, at: datetime) -> dict[str, Any]:
    state = {"COMPLETED": "succeeded", "ERROR": "failed", "CANCELLED": "cancelled"}[status] if is_last else "lost"
    return {
        "number": number, "state": state, "lane": "default", "priority": 0, "owner": "", "run_at": at,
        "worker": "host:4711:a1b2c3", "lease_expires_at": at, "cancel_requested_at": None, "created_at": at,
        "started_at": at, "finished_at": at,
        "provider": "dummy", "provider_ref": None, "error": None, "cost": None,
        "route": "dummy:dummy", "sent_at": None, "reserved": None, "routing": None,
    }  # fmt: skip


def _file_row(number: int) -> dict[str, Any]:
    key = f"{_id(number, 0)}/{_id(number, 1)}/0"
    return {
        "index": 0, "key": f"{key}.png", "thumbnail_key": f"{key}.thumbnail.webp", "content_type": "image/png",
        "width": 1024, "height": 1024, "bytes": 1_423_871, "sha256": f"{number:064x}",
        "placeholder": "data:image/webp;base64," + "A" * 120, "seed": 7,
    }  # fmt: skip


def _story(status: str, tries: int, at: datetime) -> list[dict[str, Any]]:
    end = {"COMPLETED": "completed", "ERROR": "gave_up", "CANCELLED": "cancelled"}[status]
    events = ["submitted", *["claimed", "retrying"] * (tries - 1), "claimed", "stored", end]
    return [{"at": at, "event": event, "message": f"{event} by host:4711:a1b2c3 as job 1"} for event in events]


def _raw(table: Table, values: Mapping[str, Any], *, skip: int) -> Row:
    """`values` in the order of the columns after the first `skip`, each as SQLite keeps it."""
    columns = list(table.columns)[skip:]
    return tuple(_processor(column)(values[column.name]) for column in columns)


def _processor(column: Any) -> Callable[[Any], Any]:
    found = column.type.dialect_impl(DIALECT).bind_processor(DIALECT)
    return found or (lambda value: value)


_INSERTS = {table.name: str(insert(table).compile(dialect=DIALECT)) for table in (media, jobs, files, logs, tags)}
