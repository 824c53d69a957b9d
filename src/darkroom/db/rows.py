"""From rows to the domain and back: the JSON that a column holds, and the dataclass it stands for."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from darkroom.media.model import Attempt, Delivery, Failure, File, Job, LogLine, Media, Webhook
from darkroom.media.routing import Routing

AnyRow = Row[*tuple[Any, ...]]


def to_media(row: AnyRow, files: tuple[File, ...] = ()) -> Media:
    """A row of `media`, with its files."""
    values = row._asdict()
    for column in ("words", "idempotency_key", "fingerprint", "left_at"):
        values.pop(column, None)
    values["tags"] = tuple(values["tags"])
    values["error"] = to_failure(values["error"])
    values["webhook"] = to_webhook(values["webhook"])
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


def to_webhook(webhook: dict[str, Any] | None) -> Webhook | None:
    """The `webhook` column of a media."""
    return Webhook(**{**webhook, "events": tuple(webhook["events"])}) if webhook else None


def from_webhook(webhook: Webhook | None) -> dict[str, Any] | None:
    """A webhook as the `webhook` column keeps it."""
    return asdict(webhook) if webhook else None


def to_failure(error: dict[str, Any] | None) -> Failure | None:
    """The `error` column of a media or job."""
    return Failure(**error) if error else None


def from_failure(failure: Failure, *, traceback: bool) -> dict[str, Any]:
    """A failure as the `error` column keeps it; a media's is without the traceback, its job's with."""
    values = asdict(failure)
    if not traceback:
        values["traceback"] = None
    return values


def to_delivery(row: AnyRow) -> Delivery:
    """A row of `deliveries`."""
    values = row._asdict()
    made = [Attempt(**{**attempt, "at": datetime.fromisoformat(attempt["at"])}) for attempt in values.pop("attempts")]
    return Delivery(**values, attempts=tuple(made))


def from_attempts(attempts: Sequence[Attempt]) -> list[dict[str, Any]]:
    """Tries as the `attempts` column of a delivery keeps them."""
    return [{**asdict(attempt), "at": attempt.at.isoformat()} for attempt in attempts]
