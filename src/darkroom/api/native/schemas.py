"""Media as callers see them: pictures, jobs, story, progress; and what was uploaded."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from darkroom.engine.queries import Brief, Located
from darkroom.media import model
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


def cost_out(cost: Decimal | None) -> Cost | None:
    """A cost as it is shown."""
    return None if cost is None else amount_out(cost)


def amount_out(amount: Decimal) -> Cost:
    """US dollars as they are shown."""
    return Cost(amount=f"{amount:f}")
