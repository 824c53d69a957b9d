"""What happened, as metrics: counted once, by the process that wrote it down."""

from darkroom.errors import BudgetExhausted
from darkroom.media.events import (
    Cancelled,
    Claimed,
    Completed,
    Deleted,
    Failed,
    GaveUp,
    Lost,
    MediaEvent,
    Paid,
    Ran,
    Released,
    Submitted,
)
from darkroom.media.states import JobState, Status
from darkroom.telemetry import metrics


def count(event: MediaEvent) -> None:
    """Count an event that is committed."""
    match event:
        case Submitted(model=model):
            metrics.MEDIA_SUBMITTED.labels(model).inc()
        case Claimed(lane=lane, waited=waited):
            metrics.QUEUE_SECONDS.labels(lane).observe(waited)
        case Completed(model=model, ran=ran, paid=paid):
            _job_ended(ran, JobState.SUCCEEDED)
            _paid(paid)
            metrics.MEDIA_ENDED.labels(model, Status.COMPLETED).inc()
        case Failed(ran=ran):
            _job_ended(ran, JobState.FAILED)
        case Lost(ran=ran):
            _job_ended(ran, JobState.LOST)
        case Released(ran=ran):
            _job_ended(ran, JobState.RELEASED)
        case Cancelled(model=model, ran=ran):
            _job_ended(ran, JobState.CANCELLED)
            metrics.MEDIA_ENDED.labels(model, Status.CANCELLED).inc()
        case GaveUp(model=model, code=code, paid=paid):
            _paid(paid)
            metrics.MEDIA_ENDED.labels(model, Status.ERROR).inc()
            if code == BudgetExhausted.code:
                metrics.BUDGET_REFUSED.labels(model).inc()
        case Deleted(paid=paid):
            _paid(paid)


def _paid(paid: Paid | None) -> None:
    if paid is not None:
        metrics.COST.labels(paid.model, paid.provider).inc(float(paid.amount))


def _job_ended(ran: Ran | None, state: JobState) -> None:
    """`ran` is None where a media is cancelled by the end of a job that another event tells of."""
    if ran is None:
        return
    provider = ran.provider or ""
    metrics.JOBS_ENDED.labels(ran.lane, provider, state).inc()
    if ran.counts:
        metrics.TRIES.labels(ran.lane, provider).inc()
    if ran.seconds is not None:
        metrics.RUN_SECONDS.labels(ran.lane, provider).observe(ran.seconds)
