"""A media comes in: accepted once, however often it is sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from darkroom.db import jobs, logs, media
from darkroom.db.rows import from_webhook
from darkroom.engine.transitions.base import Answer, Done
from darkroom.errors import BudgetExhausted, IdempotencyMismatch, QueueFull
from darkroom.media.events import MediaEvent, Submitted
from darkroom.media.ids import new_id
from darkroom.media.model import Media, Submission
from darkroom.media.states import JobState, Status

Refusal = QueueFull | BudgetExhausted
Replay = UUID | IdempotencyMismatch


@dataclass(frozen=True, slots=True)
class Submit:
    """A new media, or the one that its idempotency key was accepted for. `refusal`: what to refuse a new one with."""

    submission: Submission
    at: datetime
    refusal: Refusal | None = None

    @property
    def key(self) -> tuple[str | None, str] | None:
        """Who may repeat this request, and by which key."""
        key = self.submission.idempotency_key
        return None if key is None else (self.submission.owner, key)


def submit(connection: Connection, items: Sequence[Submit]) -> list[Answer[UUID | Media]]:
    """Insert media with their first jobs. Answers with the new media, or the id of the one that stands for it."""
    keys = [item.key for item in items if item.key]
    known = {key: (row.id, row.fingerprint) for key, row in media.find_keys(connection, keys).items()} if keys else {}
    answers: list[Answer[UUID | Media]] = []
    for item in items:
        if item.key is not None and item.key in known:
            replay = _replay(*known[item.key], item)
            answers.append(Done(replay) if isinstance(replay, UUID) else replay)
            continue
        if item.refusal is not None:
            answers.append(item.refusal)
            continue
        new = _new_media(item)
        answers.append(Done(new, (Submitted(new.id, new.job_id, item.at, new.model),)))
        if item.key is not None:
            known[item.key] = (new.id, item.submission.fingerprint)
    _insert(connection, items, answers)
    return answers


def repeated(connection: Connection, item: Submit) -> Replay | None:
    """What the key of `item` stands for; None: it is not known."""
    row = media.find_keys(connection, [item.key]).get(item.key) if item.key else None
    return _replay(row.id, row.fingerprint, item) if row else None


def _replay(media_id: UUID, fingerprint: str | None, item: Submit) -> Replay:
    if fingerprint == item.submission.fingerprint:
        return media_id
    return IdempotencyMismatch(
        "this key was used for a request with other content; use a new key, or repeat the request unchanged",
        field="Idempotency-Key",
    )


def _new_media(item: Submit) -> Media:
    wanted = item.submission
    return Media(
        id=new_id(item.at), job_id=new_id(item.at), status=Status.IN_QUEUE, owner=wanted.owner, model=wanted.model,
        prompt=wanted.prompt, parameters=wanted.parameters, priority=wanted.priority, number_of_tries=0,
        max_tries=wanted.max_tries, next_run=item.at, progress=None, error=None, cost=None, tags=wanted.tags,
        metadata=wanted.metadata, created_at=item.at, updated_at=item.at, started_at=None, completed_at=None,
        trace=wanted.trace, webhook=wanted.webhook,
    )  # fmt: skip


def _insert(connection: Connection, items: Sequence[Submit], answers: Sequence[Answer[UUID | Media]]) -> None:
    media_rows: list[dict[str, Any]] = []
    job_rows: list[dict[str, Any]] = []
    events: list[MediaEvent] = []
    for item, answer in zip(items, answers, strict=True):
        if isinstance(answer, Done) and isinstance(answer.result, Media):
            media_rows.append(_media_row(answer.result, item.submission))
            job_rows.append(_job_row(answer.result, item.submission.lane))
            events.extend(answer.events)
    if media_rows:
        media.add(connection, media_rows)
        jobs.add(connection, job_rows)
        logs.add(connection, events)


def _media_row(new: Media, wanted: Submission) -> dict[str, Any]:
    return {
        "id": new.id, "job_id": new.job_id, "status": new.status, "owner": new.owner, "model": new.model,
        "prompt": new.prompt, "parameters": dict(new.parameters), "priority": new.priority,
        "number_of_tries": 0, "max_tries": new.max_tries, "next_run": new.next_run, "tags": list(new.tags),
        "metadata": dict(new.metadata), "idempotency_key": wanted.idempotency_key,
        "fingerprint": wanted.fingerprint, "trace": wanted.trace, "webhook": from_webhook(wanted.webhook),
        "created_at": new.created_at, "updated_at": new.updated_at,
    }  # fmt: skip


def _job_row(new: Media, lane: str) -> dict[str, Any]:
    return {
        "id": new.job_id, "media_id": new.id, "number": 1, "state": JobState.QUEUED, "lane": lane,
        "priority": new.priority, "owner": new.owner or "", "run_at": new.created_at, "created_at": new.created_at,
    }  # fmt: skip
