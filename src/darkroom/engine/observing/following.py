"""What is written while a job runs says which job it is: each line of the log, and a span below the request's."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from darkroom.media.model import Job, Media
from darkroom.telemetry import traces


@contextmanager
def following(media: Media, job: Job) -> Iterator[None]:
    """Follow `job`, the try at `media` that this process holds, while the context is open."""
    ids = {"media_id": str(media.id), "job_id": str(job.id), "lane": job.lane}
    waited = (job.started_at - job.run_at).total_seconds() if job.started_at else None
    with (
        structlog.contextvars.bound_contextvars(**ids, worker=job.worker),
        traces.span("job", "consumer", media.trace, **ids, number=job.number, model=media.model, queue_seconds=waited),
    ):
        yield
