"""A media and what belongs to it, as the API shows them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, TypeVar

from darkroom_client.files import AsyncFile, BaseFile, File

F_co = TypeVar("F_co", bound=BaseFile, covariant=True)


class Status(StrEnum):
    """Where a media is. A newer server may know others: `media.status` is a plain `str`."""

    IN_QUEUE = "IN_QUEUE"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    ERROR = "ERROR"
    CANCELLED = "CANCELLED"


ENDED = frozenset({Status.COMPLETED, Status.ERROR, Status.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a media is. `step` of `total` is done; `total` is None where nobody counts steps."""

    status: str = Status.PROCESSING
    step: int = 0
    total: int | None = None
    queue_position: int | None = None

    @property
    def fraction(self) -> float | None:
        """From 0 to 1; None: not known."""
        return self.step / self.total if self.total else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a job, or the media with it, failed."""

    code: str
    message: str
    retryable: bool = False
    provider: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What was paid."""

    amount: Decimal
    currency: str = "USD"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseMedia(Generic[F_co]):
    """A prompt, and what became of it: as it was when it was asked for."""

    id: str
    job_id: str
    status: str
    model: str
    prompt: str
    created_at: datetime
    updated_at: datetime
    parameters: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[F_co, ...] = ()
    progress: Progress | None = None
    queue_position: int | None = None
    priority: int = 0
    number_of_tries: int = 0
    max_tries: int = 0
    next_run: datetime | None = None
    error: Failure | None = None
    cost: Cost | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    started_at: datetime | None = None
    completed_at: datetime | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """The answer itself, with what this SDK does not know."""

    @property
    def ended(self) -> bool:
        """Whether it is COMPLETED, ERROR or CANCELLED."""
        return self.status in ENDED


class Media(BaseMedia[File]):
    """A media of `Darkroom`: `media.files[0].save("fox.png")`."""

    __slots__ = ()


class AsyncMedia(BaseMedia[AsyncFile]):
    """A media of `AsyncDarkroom`: `await media.files[0].save("fox.png")`."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """The little that a poller wants to know."""

    job_id: str
    media_id: str
    status: str
    progress: Progress | None = None
    queue_position: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One try at making a media."""

    id: str
    number: int
    state: str
    created_at: datetime
    run_at: datetime | None = None
    lane: str = ""
    worker: str | None = None
    provider: str | None = None
    route: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: Failure | None = None
    cost: Cost | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """Something that happened to a media."""

    at: datetime
    event: str
    message: str
    job_id: str | None = None


M_co = TypeVar("M_co", bound=BaseMedia[Any], covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[M_co]):
    """A stretch of the list. It may be short: only without `next_cursor` is it the last."""

    items: tuple[M_co, ...]
    next_cursor: str | None = None
