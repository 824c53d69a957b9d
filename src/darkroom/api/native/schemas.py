"""What callers are shown."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from darkroom.engine.costs import By
from darkroom.engine.queries import Brief, Located
from darkroom.media import model, money
from darkroom.media.states import JobState, Status


class Progress(BaseModel):
    """How far the live job is."""

    step: int
    total: int


class Error(BaseModel):
    """Why a job, or the media with it, failed."""

    code: str = Field(description="The kind of failure, for programs.")
    message: str = Field(description="What happened, for people.")
    retryable: bool = Field(description="Whether trying again may help.")
    provider: str | None = Field(description="Where it happened.")


class Cost(BaseModel):
    """What was paid."""

    amount: str = Field(description="A decimal number.")
    currency: Literal["USD"] = "USD"


class File(BaseModel):
    """One picture."""

    index: int = Field(description="0 to n-1.")
    url: str = Field(description="Where the bytes are.")
    thumbnail_url: str | None = Field(description="Where a WebP of at most 384 px is.")
    content_type: str
    width: int = Field(description="Pixels.")
    height: int = Field(description="Pixels.")
    bytes: int
    sha256: str = Field(description="Of the bytes, in hex.")
    placeholder: str | None = Field(description="A data: URI of a tiny picture to show meanwhile.")
    seed: int | None = Field(description="With it, the model makes this picture again.")


class Media(BaseModel):
    """A prompt, and what became of it."""

    id: UUID
    job_id: UUID = Field(description="The live or last job.")
    status: Status
    model: str
    prompt: str
    parameters: dict[str, Any] = Field(description="As asked for, with the model's defaults.")
    files: list[File] = Field(description="Empty until the media is COMPLETED.")
    progress: Progress | None
    queue_position: int | None = Field(
        description="At most so many jobs go before it, counted up to 1,000; not looked up for lists and new media."
    )
    priority: int
    number_of_tries: int = Field(description="Tries that ended and counted.")
    max_tries: int
    next_run: AwareDatetime | None = Field(description="When its job is due, while it is IN_QUEUE.")
    error: Error | None = Field(description="Of the last job that failed.")
    cost: Cost | None
    tags: list[str]
    metadata: dict[str, str]
    created_at: AwareDatetime
    updated_at: AwareDatetime
    started_at: AwareDatetime | None = Field(description="When a worker first took it.")
    completed_at: AwareDatetime | None = Field(description="When it ended, in whichever way.")


class MediaPage(BaseModel):
    """A stretch of the list. A page may be short: only `next_cursor: null` is the end."""

    items: list[Media]
    next_cursor: str | None


class MediaProgress(BaseModel):
    """A step of a job was done."""

    media_id: UUID
    job_id: UUID
    step: int
    total: int


class MediaPreview(BaseModel):
    """A picture on its way."""

    media_id: UUID
    job_id: UUID
    image: str = Field(description="A data: URI of a small WebP.")


class MediaDeleted(BaseModel):
    """A media is gone."""

    media_id: UUID


class JobStatus(BaseModel):
    """The little that a poller wants to know."""

    job_id: UUID = Field(description="The live or last job of the media.")
    media_id: UUID
    status: Status
    progress: Progress | None
    queue_position: int | None


class Job(BaseModel):
    """One try at making a media."""

    id: UUID
    number: int = Field(description="1 for the first.")
    state: JobState
    lane: str
    worker: str | None
    provider: str | None
    route: str | None = Field(description="Which way of its model it takes: the provider, a colon, its model.")
    run_at: AwareDatetime = Field(description="Not before this.")
    created_at: AwareDatetime
    started_at: AwareDatetime | None
    finished_at: AwareDatetime | None
    error: Error | None
    cost: Cost | None


class JobList(BaseModel):
    """Every try at a media, in order."""

    items: list[Job]


class LogLine(BaseModel):
    """Something that happened to a media."""

    at: AwareDatetime
    job_id: UUID | None
    event: str
    message: str


class LogPage(BaseModel):
    """A stretch of a media's story, oldest first."""

    items: list[LogLine]
    next_cursor: int | None = Field(description="Pass it as `cursor` for what follows; null at the end.")


class ContentLink(BaseModel):
    """A link that works without credentials until it expires."""

    url: str
    expires_at: AwareDatetime


class Upload(BaseModel):
    """A picture that someone gave, to start others from."""

    id: UUID = Field(description="What to say for `image`, `mask` or in `images`.")
    name: str | None = Field(description="What it was called.")
    content_type: str
    width: int = Field(description="Pixels, as it is seen.")
    height: int = Field(description="Pixels, as it is seen.")
    bytes: int = Field(description="As it is kept: encoded anew, without metadata.")
    sha256: str = Field(description="Of the bytes as they are kept, in hex.")
    created_at: AwareDatetime
    expires_at: AwareDatetime = Field(description="When it is deleted, if no request names it before.")
    url: str = Field(description="Where the bytes are.")


class PriceTier(BaseModel):
    """A price for some pictures. What is null fits all."""

    per_picture: str
    quality: str | None
    width: int | None
    height: int | None


class Price(BaseModel):
    """What a backend charges, as decimal numbers; several add up."""

    currency: Literal["USD"] = "USD"
    per_picture: str | None
    per_megapixel: str | None
    whole_megapixels: bool = Field(description="Whether every begun 1024 x 1024 pixels count as a megapixel.")
    per_second: str | None = Field(description="Of the backend's work.")
    tiers: list[PriceTier] = Field(description="Instead of per_picture where one fits; the first that fits counts.")


class Route(BaseModel):
    """One way to serve a model."""

    provider: str = Field(description="The account at a backend, or the provider.")
    model: str = Field(description="The provider's own name for it.")
    weight: float | None = Field(description="Share of the media that try it first; null: in the order given.")
    price: Price | None = Field(description="Null: not known.")
    problem: str | None = Field(description="Why it cannot be used now; null: it can.")


class Model(BaseModel):
    """What can be asked for."""

    name: str
    description: str
    default: bool = Field(description="Whether it serves requests that name none.")
    lane: str
    usable: bool = Field(description="Whether a route of it can be used now.")
    problem: str | None = Field(description="Why not: a key is missing, say.")
    routes: list[Route] = Field(description="In the order in which they are tried, unless they have weights.")
    parameters: dict[str, Any] = Field(description="A JSON Schema (2020-12) of the parameters, with defaults.")


class ModelList(BaseModel):
    """The models."""

    items: list[Model]


class Lane(BaseModel):
    """A queue that workers serve."""

    name: str
    paused: bool = Field(description="Whether its jobs are held back.")
    queued: int = Field(description="Jobs that wait, counted up to 10,000.")
    running: int = Field(description="Jobs that are being done, counted up to 10,000.")
    concurrency: int | None = Field(
        description="Jobs at once in a process with this one's settings; null: the lane is not in them."
    )
    max_queued: int | None = Field(description="Jobs that may wait; null: the lane is not in this one's settings.")


class LaneList(BaseModel):
    """The lanes."""

    items: list[Lane]


class Account(BaseModel):
    """Access to a backend, shared by all workers."""

    name: str
    failures: int = Field(description="In a row, until now.")
    blocked_until: AwareDatetime | None = Field(description="Nothing is sent there before; null: jobs are.")
    reason: str | None = Field(description="Why it is left alone.")
    running: int = Field(description="Jobs that are being done there.")
    concurrency: int | None = Field(description="Jobs at once, over all workers; null: any number.")
    requests_per_minute: int | None = Field(description="Jobs begun a minute, over all workers; null: any number.")
    problem: str | None = Field(description="Why it cannot be used here, such as a key that is missing.")


class AccountList(BaseModel):
    """The accounts."""

    items: list[Account]


class Spending(BaseModel):
    """What was spent."""

    jobs: int = Field(description="Jobs that ended, of those that cost money or might have.")
    pictures: int
    spent: Cost
    reserved: Cost = Field(description="Set aside for jobs that have not ended.")


class SpendingItem(Spending):
    """What was spent under one key."""

    key: str = Field(description="The model, provider, owner or day; an empty owner is nobody.")


class Budget(BaseModel):
    """What may be spent today, and what of it is left."""

    what: str = Field(description="What it is for, in words.")
    model: str | None = Field(description="For this model alone; null: for all.")
    owner: str | None = Field(
        description="Whose it is; null: all share it; empty: nobody's; `*`: each owner's, none of whom has spent any."
    )
    per_day: Cost
    spent: Cost
    reserved: Cost = Field(description="Set aside for jobs that have not ended.")
    left: Cost


class Costs(BaseModel):
    """What was spent in some days (UTC), and the budgets of today."""

    by: By
    since: date = Field(description="The first day.")
    until: date = Field(description="The last day.")
    items: list[SpendingItem] = Field(description="Those that cost most first; days in their order.")
    total: Spending
    budgets: list[Budget]


class Health(BaseModel):
    """The process is alive."""

    status: Literal["ok"] = "ok"


class Check(BaseModel):
    """One part that the service stands on."""

    name: str
    ok: bool
    problem: str | None


class Readiness(BaseModel):
    """Whether the service can serve."""

    ready: bool
    checks: list[Check]


def media_out(located: Located) -> Media:
    """A media as it is shown."""
    media = located.media
    return Media(
        id=media.id,
        job_id=media.job_id,
        status=media.status,
        model=media.model,
        prompt=media.prompt,
        parameters=dict(media.parameters),
        files=[file_out(file) for file in media.files],
        progress=progress_out(media.progress),
        queue_position=located.queue_position,
        priority=media.priority,
        number_of_tries=media.number_of_tries,
        max_tries=media.max_tries,
        next_run=media.next_run,
        error=error_out(media.error),
        cost=cost_out(media.cost),
        tags=list(media.tags),
        metadata=dict(media.metadata),
        created_at=media.created_at,
        updated_at=media.updated_at,
        started_at=media.started_at,
        completed_at=media.completed_at,
    )


def file_out(file: model.File) -> File:
    """A file as it is shown: without its keys."""
    url = f"/media/{file.media_id}/files/{file.index}"
    return File(
        index=file.index,
        url=url,
        thumbnail_url=f"{url}?thumbnail=true" if file.thumbnail_key else None,
        content_type=file.content_type,
        width=file.width,
        height=file.height,
        bytes=file.bytes,
        sha256=file.sha256,
        placeholder=file.placeholder,
        seed=file.seed,
    )


def upload_out(stored: model.Input, expires_at: datetime) -> Upload:
    """A picture that someone gave, for callers."""
    return Upload(
        id=stored.id,
        name=stored.name,
        content_type=stored.content_type,
        width=stored.width,
        height=stored.height,
        bytes=stored.bytes,
        sha256=stored.sha256,
        created_at=stored.created_at,
        expires_at=expires_at,
        url=f"/files/{stored.id}/content",
    )


def job_out(job: model.Job) -> Job:
    """A job as it is shown: without the provider's reference and the traceback."""
    return Job(
        id=job.id,
        number=job.number,
        state=job.state,
        lane=job.lane,
        worker=job.worker,
        provider=job.provider,
        route=job.route,
        run_at=job.run_at,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        error=error_out(job.error),
        cost=cost_out(job.cost),
    )


def brief_out(brief: Brief) -> JobStatus:
    """The light status as it is shown."""
    return JobStatus(
        job_id=brief.job_id,
        media_id=brief.media_id,
        status=brief.status,
        progress=progress_out(brief.progress),
        queue_position=brief.queue_position,
    )


def line_out(line: model.LogLine) -> LogLine:
    """A line of the story as it is shown."""
    return LogLine(at=line.at, job_id=line.job_id, event=line.event, message=line.message)


def progress_out(progress: Mapping[str, int] | None) -> Progress | None:
    """Progress as it is shown."""
    return Progress(**progress) if progress else None


def error_out(failure: model.Failure | None) -> Error | None:
    """A failure as it is shown: without the traceback."""
    if failure is None:
        return None
    return Error(
        code=failure.code, message=failure.message, retryable=failure.retryable, provider=failure.provider
    )  # fmt: skip


def price_out(price: money.Price | None) -> Price | None:
    """A price as it is shown."""
    if price is None:
        return None
    return Price(
        per_picture=_amount(price.per_picture),
        per_megapixel=_amount(price.per_megapixel),
        whole_megapixels=price.whole_megapixels,
        per_second=_amount(price.per_second),
        tiers=[
            PriceTier(per_picture=f"{tier.per_picture:f}", quality=tier.quality, width=tier.width, height=tier.height)
            for tier in price.tiers
        ],
    )


def _amount(dollars: Decimal | None) -> str | None:
    return None if dollars is None else f"{dollars:f}"


def cost_out(cost: Decimal | None) -> Cost | None:
    """A cost as it is shown."""
    return None if cost is None else amount_out(cost)


def amount_out(amount: Decimal) -> Cost:
    """US dollars as they are shown."""
    return Cost(amount=f"{amount:f}")
