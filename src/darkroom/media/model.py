"""A media, its jobs and its files, as everything above the database sees them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Protocol
from uuid import UUID

from darkroom.media.routing import Routing
from darkroom.media.states import DeliveryState, JobState, Status

Parameters = Mapping[str, Any]
NOWHERE_YET = Routing()


@dataclass(frozen=True, slots=True)
class Webhook:
    """Whom to tell of a media. `events`: of which of `WEBHOOK_EVENTS`.

    `form`: the surface in whose words; `base`: what links in them start with, for want of a request to answer.
    """

    url: str
    events: tuple[str, ...] = ("completed",)
    form: str = "native"
    base: str = ""


WEBHOOK_EVENTS: Final = ("started", "progress", "output", "completed")
"""A worker has it; it is a step further; its pictures are there; it has ended, in whichever way."""


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
    trace: str | None = None
    webhook: Webhook | None = None


class Hook(Protocol):
    """An address that a backend may call once it is done, and ears for that."""

    url: str

    async def heard(self, *, within: float) -> None:
        """Return once it is called, or after that many seconds: a call may get lost, and may be made by anyone."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """What a provider is asked to do.

    `model`: the provider's own name for it. `options`: what the settings say of this route. `extra`: what the
    caller wants to be passed through (`provider_options`), in the backend's own words. `hook`: None: the backend
    cannot reach us.
    """

    media_id: UUID
    job_id: UUID
    prompt: str
    model: str
    parameters: Parameters
    options: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    hook: Hook | None = None

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
    """One try at making a media. `owner`: its media's, empty for nobody's.

    `route`: the label of the route that it takes. `sent_at`: when a request was about to be sent to the backend.
    `reserved`: the money set aside for it, in US dollars. `routing`: what its media had tried before.
    """

    id: UUID
    media_id: UUID
    number: int
    state: JobState
    lane: str
    priority: int
    owner: str
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
    route: str | None = None
    sent_at: datetime | None = None
    reserved: Decimal | None = None
    routing: Routing = NOWHERE_YET

    @property
    def may_run_on(self) -> bool:
        """Whether a backend may be at work on it, whatever becomes of its worker."""
        return self.provider_ref is not None or self.sent_at is not None

    @property
    def day(self) -> date | None:
        """The day (UTC) on which the money for it was set aside."""
        return self.sent_at.date() if self.sent_at else None


@dataclass(frozen=True, slots=True)
class Media:
    """What a caller asked for and what became of it. `trace`: the traceparent of the request that asked."""

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
    trace: str | None = None
    webhook: Webhook | None = None
    files: tuple[File, ...] = ()


@dataclass(frozen=True, slots=True)
class Input:
    """A picture that a caller gave to start from. `key` is a storage key: never shown. `used_at`: last asked for."""

    id: UUID
    owner: str | None
    name: str | None
    key: str
    content_type: str
    width: int
    height: int
    bytes: int
    sha256: str
    metadata: Mapping[str, Any]
    created_at: datetime
    used_at: datetime


@dataclass(frozen=True, slots=True)
class Attempt:
    """A try to tell a webhook. `status`: of the answer; None: there was none. `error`: why it failed."""

    at: datetime
    seconds: float
    status: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event of a media that a webhook is told, and what became of that. `owner`: empty for nobody's.

    `tries`: those that ended. `claims`: how often a courier took it; the last one may say what came of it.
    """

    id: UUID
    media_id: UUID
    owner: str
    event: str
    url: str
    host: str
    state: DeliveryState
    tries: int
    due_at: datetime
    claims: int
    held_until: datetime | None
    attempts: tuple[Attempt, ...]
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Secret:
    """What an owner's webhooks are signed with. `expires_at`: when it stops signing, because it was replaced."""

    owner: str
    created_at: datetime
    secret: str = field(repr=False)
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a media's story. `id` grows with time."""

    id: int
    media_id: UUID
    job_id: UUID | None
    at: datetime
    event: str
    message: str
