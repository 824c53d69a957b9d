"""A media, its jobs and its files, as everything above the database sees them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from darkroom.media.states import JobState, Status

Parameters = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Submission:
    """What a caller asks for, checked against the model and completed with its defaults."""

    prompt: str
    model: str
    lane: str
    parameters: Parameters
    max_tries: int
    owner: str | None = None
    priority: int = 0
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    idempotency_key: str | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What a provider is asked to do. `model` is the provider's own name for it."""

    media_id: UUID
    job_id: UUID
    prompt: str
    model: str
    parameters: Parameters

    @property
    def n(self) -> int:
        """How many pictures are wanted."""
        return int(self.parameters.get("n", 1))


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed, as it is saved with the job and shown with the media."""

    code: str
    message: str
    retryable: bool
    provider: str | None = None
    traceback: str | None = None


@dataclass(frozen=True, slots=True)
class File:
    """One stored picture of a media. `key` and `thumbnail_key` are storage keys: never shown."""

    media_id: UUID
    index: int
    key: str
    thumbnail_key: str | None
    content_type: str
    width: int
    height: int
    bytes: int
    sha256: str
    placeholder: str | None
    seed: int | None


@dataclass(frozen=True, slots=True)
class Job:
    """One try at making a media."""

    id: UUID
    media_id: UUID
    number: int
    state: JobState
    lane: str
    priority: int
    run_at: datetime
    worker: str | None
    lease_expires_at: datetime | None
    cancel_requested_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    provider: str | None
    provider_ref: str | None
    error: Failure | None
    cost: Decimal | None


@dataclass(frozen=True, slots=True)
class Media:
    """What a caller asked for and what became of it."""

    id: UUID
    job_id: UUID
    status: Status
    owner: str | None
    model: str
    prompt: str
    parameters: Parameters
    priority: int
    number_of_tries: int
    max_tries: int
    next_run: datetime | None
    progress: Mapping[str, int] | None
    error: Failure | None
    cost: Decimal | None
    tags: tuple[str, ...]
    metadata: Mapping[str, str]
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    files: tuple[File, ...] = ()


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a media's story. `id` grows with time."""

    id: int
    media_id: UUID
    job_id: UUID | None
    at: datetime
    event: str
    message: str
