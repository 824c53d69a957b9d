"""From rows to the domain and back: the JSON that a column holds, and the dataclass it stands for."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import Row

from darkroom.media.model import Failure, File, Job, LogLine, Media
from darkroom.media.routing import Routing

AnyRow = Row[*tuple[Any, ...]]


def to_media(row: AnyRow, files: tuple[File, ...] = ()) -> Media:
    """A row of `media`, with its files."""
    values = row._asdict()
    for column in ("words", "idempotency_key", "fingerprint"):
        values.pop(column, None)
    values["tags"] = tuple(values["tags"])
    values["error"] = to_failure(values["error"])
    return Media(**values, files=files)


def to_job(row: AnyRow) -> Job:
    """A row of `jobs`."""
    values = row._asdict()
    values["error"] = to_failure(values["error"])
    values["routing"] = Routing.from_json(values["routing"])
    return Job(**values)


def to_file(row: AnyRow) -> File:
    """A row of `files`."""
    return File(**row._asdict())


def to_line(row: AnyRow) -> LogLine:
    """A row of `logs`."""
    return LogLine(**row._asdict())


def to_failure(error: dict[str, Any] | None) -> Failure | None:
    """The `error` column of a media or job."""
    return Failure(**error) if error else None


def from_failure(failure: Failure, *, traceback: bool) -> dict[str, Any]:
    """A failure as the `error` column keeps it; a media's is without the traceback, its job's with."""
    values = asdict(failure)
    if not traceback:
        values["traceback"] = None
    return values
