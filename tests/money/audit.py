"""What must be true of a media and its bill when all is over. Each violation is a line."""

import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from darkroom.errors import SubmissionUncertain
from darkroom.media.states import ENDED, JobState, Status
from money.plans import Blow, Plan
from money.steps import GAP, AtBackend, Sometime
from money.vendors import Vendor
from services.backends.base import Created
from services.life import Tables, check_media, histories

PRICE = Decimal("0.01")


@dataclass(slots=True)
class Evidence:
    """What is there: the rows, the store's keys, what the backend would bill, what still runs there.

    `may_be_cancelled`: its caller asked for that, and was not told that it was too late. `struck`: the blows that
    found their step.
    """

    media: Any
    jobs: Sequence[Any]
    files: Sequence[Any]
    spending: Sequence[Any]
    tables: Tables
    stored: set[str]
    created: Sequence[Created]
    going_on: Sequence[str] = ()
    may_be_cancelled: bool = False
    struck: Sequence[Blow] = ()


def audit(vendor: Vendor, plan: Plan, found: Evidence) -> list[str]:
    """Every violation of what Darkroom promises."""
    return [
        *once(plan, found),
        *ended(vendor, plan, found),
        *one_reference(vendor, found),
        *files(found),
        *bill(plan, found),
        *stopped(vendor, found),
        *rules(found),
    ]


def once(plan: Plan, found: Evidence) -> Iterator[str]:
    """Nothing is made twice for one media; where it may be asked for again, not by one job."""
    most = 1 if not plan.resubmit else len(found.jobs)
    if len(found.created) > most:
        yield f"{len(found.created)} were created: {', '.join(created.id for created in found.created)}"
    if found.media.status is Status.COMPLETED and not found.created:
        yield "it is COMPLETED, and nothing was created"


def ended(vendor: Vendor, plan: Plan, found: Evidence) -> Iterator[str]:
    """The media has ended, as its crash allows."""
    status, error = found.media.status, found.media.error
    if status not in ENDED:
        yield f"it is {status}"
    if status is Status.CANCELLED and not found.may_be_cancelled:
        yield "it is CANCELLED, and nobody asked for that"
    if status is Status.ERROR and not (_is_uncertain(error) and _may_be_uncertain(vendor, plan, found)):
        yield f"it is ERROR: {error and error['code']}: {error and error['message']}"


def _is_uncertain(error: Mapping[str, Any] | None) -> bool:
    return error is not None and error["code"] == SubmissionUncertain.code


def _may_be_uncertain(vendor: Vendor, plan: Plan, found: Evidence) -> bool:
    """Whether a job ended between sending the request and saving its id, at a backend that cannot tell.

    One that was given back may have been anywhere; one that was lost, only where its worker was killed.
    """
    if vendor.finds or vendor.ours or plan.resubmit:
        return False
    between = [job for job in found.jobs if job.sent_at is not None and job.provider_ref is None]
    struck = [blow.step for blow in found.struck]
    could_be = vendor.synchronous or any(step.name in GAP or isinstance(step, Sometime) for step in struck)
    return any(could_be or job.state is JobState.RELEASED for job in between)


def one_reference(vendor: Vendor, found: Evidence) -> Iterator[str]:
    """All jobs that were accepted were so under the same id, and it is the one that was created."""
    refs = {job.provider_ref for job in found.jobs if job.provider_ref is not None}
    if len(refs) > 1 and len(found.created) < 2:
        yield f"its jobs have {len(refs)} references: {', '.join(sorted(refs))}"
    made = {created.id for created in found.created}
    unknown = {vendor.ref(ref) for ref in refs} - made
    if unknown and not (vendor.ours and not made):
        yield f"the backend never began {', '.join(unknown)}"


def files(found: Evidence) -> Iterator[str]:
    """A media that is COMPLETED has its file; the store has nothing else."""
    wanted = 1 if found.media.status is Status.COMPLETED else 0
    if len(found.files) != wanted:
        yield f"it is {found.media.status} and has {len(found.files)} files"
    known = {key for file in found.files for key in (file.key, file.thumbnail_key) if key}
    if found.stored != known:
        yield f"the store has {sorted(found.stored - known)} for no reason, and lacks {sorted(known - found.stored)}"


def bill(plan: Plan, found: Evidence) -> Iterator[str]:
    """Nothing is left set aside; what was made is counted once, and what nobody knows of as if it were made."""
    reserved = sum((row.reserved for row in found.spending), Decimal(0))
    if reserved:
        yield f"${reserved:f} is still set aside"
    spent = sum((row.spent for row in found.spending), Decimal(0))
    if found.media.status is not Status.CANCELLED and not spent:
        yield f"it is {found.media.status}, and nothing is counted as spent"
    if found.media.status is Status.COMPLETED:
        most = found.media.cost + (PRICE * (len(found.jobs) - 1) if plan.resubmit else 0)
        if not found.media.cost <= spent <= most:
            yield f"it cost ${found.media.cost}, and ${spent:f} is counted as spent"


def stopped(vendor: Vendor, found: Evidence) -> Iterator[str]:
    """What was cancelled does not run on, if Darkroom could know by then what to stop."""
    is_late = any(isinstance(blow.step, AtBackend) and blow.step.moment == "late" for blow in found.struck)
    knows = any(job.provider_ref is not None for job in found.jobs) or (vendor.finds and not is_late)
    if found.media.status is Status.CANCELLED and vendor.stops and knows and found.going_on:
        yield f"it is CANCELLED, and {', '.join(found.going_on)} goes on at the backend"


def rules(found: Evidence) -> Iterator[str]:
    """Media, jobs, files and stories agree."""
    for media_id, history in histories(found.tables).items():
        try:
            check_media(found.tables, media_id, history)
        except AssertionError as error:
            yield f"a rule is broken: {traceback.extract_tb(error.__traceback__)[-1].line}"
    live = [job for job in found.jobs if job.state in (JobState.QUEUED, JobState.RUNNING)]
    if live:
        yield f"{len(live)} of its jobs have not ended"
