"""What must be true when all is over, whatever happened. Each violation is a line."""

import traceback
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from chaos.cluster import LEASE, Frozen
from chaos.evidence import Evidence
from chaos.load import Told, Wish
from darkroom.errors import Throttled
from darkroom.media.states import ENDED, JobState, Status
from services.life import check_media, histories

HEARTBEAT = LEASE / 3
SLACK = 2.0
"""Seconds in which a worker that hears that its lease is lost must have stopped: the machine may be slow."""
COUNTED = {JobState.SUCCEEDED, JobState.FAILED, JobState.LOST}
LAST_EVENT = {
    JobState.SUCCEEDED: "completed",
    JobState.FAILED: "failed",
    JobState.LOST: "lost",
    JobState.RELEASED: "released",
    JobState.CANCELLED: "cancelled",
}


def audit(evidence: Evidence, told: Told, wishes: Sequence[Wish], frozen: Sequence[Frozen]) -> list[str]:
    """Every violation of what Darkroom promises."""
    return [
        *once(evidence, told, wishes),
        *ended(evidence, told, wishes),
        *kept_word(evidence, told),
        *rules(evidence),
        *tries(evidence),
        *stories(evidence),
        *store(evidence),
        *ran_on(evidence, frozen),
        *broken(told),
    ]


def once(evidence: Evidence, told: Told, wishes: Sequence[Wish]) -> Iterator[str]:
    """Each wish is answered, with one media however often it was sent; there are no others."""
    for wish in wishes:
        if len(told.accepted.get(wish.number, ())) != 1:
            yield f"{wish.key} was answered with {told.accepted.get(wish.number)}"
    answered = {media_id for ids in told.accepted.values() for media_id in ids}
    there = {str(row.id) for row in evidence.media}
    yield from (f"media {media_id} was accepted and is gone" for media_id in answered - there)
    yield from (f"media {media_id} is nobody's" for media_id in there - answered)


def ended(evidence: Evidence, told: Told, wishes: Sequence[Wish]) -> Iterator[str]:
    """Each media is in a final state, and in one that its kind may end in; an error has a reason."""
    by_id = {media_id: wish for wish in wishes for media_id in told.accepted.get(wish.number, ())}
    for row in evidence.media:
        wish = by_id.get(str(row.id))
        if wish is not None and row.status not in wish.kind.ends:
            yield f"media {row.id} ({wish.kind.name}) is {row.status}: {row.error and row.error['message']}"
        if row.status not in ENDED:
            yield f"media {row.id} is {row.status}"
        if row.status is Status.ERROR and not (row.error and row.error["message"]):
            yield f"media {row.id} is ERROR without a reason"


def kept_word(evidence: Evidence, told: Told) -> Iterator[str]:
    """A media that a caller saw end is as it was seen."""
    for row in evidence.media:
        seen = told.ended.get(str(row.id), set())
        if seen - {row.status.value}:
            yield f"media {row.id} was seen as {', '.join(sorted(seen))} and is {row.status}"


def rules(evidence: Evidence) -> Iterator[str]:
    """Media, jobs, files and stories agree."""
    for media_id, history in histories(evidence.tables).items():
        try:
            check_media(evidence.tables, media_id, history)
        except AssertionError as error:
            yield f"media {media_id} breaks a rule: {traceback.extract_tb(error.__traceback__)[-1].line}"


def tries(evidence: Evidence) -> Iterator[str]:
    """Tries are the jobs that ended by themselves or were lost, since a person last asked for a retry."""
    for row in evidence.media:
        first = _retried_from(evidence, row.id)
        counted = [job for job in evidence.jobs[row.id] if job.number >= first and _counts(job)]
        if row.number_of_tries != len(counted):
            states = ", ".join(job.state.value for job in evidence.jobs[row.id])
            yield f"media {row.id} has {row.number_of_tries} tries; its jobs: {states}"


def _counts(job: Any) -> bool:
    cancelled = job.cancel_requested_at is not None and job.state is not JobState.SUCCEEDED
    throttled = job.error is not None and job.error["code"] == Throttled.code
    return job.state in COUNTED and not cancelled and not throttled


def _retried_from(evidence: Evidence, media_id: Any) -> int:
    """The number of the first job after the last time that the media had ended and went on."""
    numbers = {job.id: job.number for job in evidence.jobs[media_id]}
    events = evidence.logs[media_id]
    first = 1
    for line, following in pairwise(events):
        if line.event in ("cancelled", "gave_up") and following.event == "queued":
            first = numbers[following.job_id]
    return first


def stories(evidence: Evidence) -> Iterator[str]:
    """A story begins with `submitted`, and tells of each job once that it was claimed, and how it ended."""
    for row in evidence.media:
        story = evidence.logs[row.id]
        if [line.event for line in story[:1]] != ["submitted"]:
            yield f"the story of media {row.id} does not begin"
        for job in evidence.jobs[row.id]:
            events = [line.event for line in story if line.job_id == job.id]
            wanted = {"claimed": int(job.started_at is not None), LAST_EVENT.get(job.state, "claimed"): 1}
            if any(events.count(event) != times for event, times in wanted.items()):
                yield f"job {job.id} is {job.state}, its story is {', '.join(events)}"


def store(evidence: Evidence) -> Iterator[str]:
    """The store has what the rows tell of, byte for byte, and nothing else."""
    wanted = {file.key: file.sha256 for files in evidence.files.values() for file in files}
    thumbnails = {file.thumbnail_key for files in evidence.files.values() for file in files if file.thumbnail_key}
    for key, sha256 in wanted.items():
        if evidence.store.get(key) != sha256:
            yield f"file {key} is {'other than its row says' if key in evidence.store else 'missing'}"
    yield from (f"thumbnail {key} is missing" for key in thumbnails - evidence.store.keys())
    yield from (f"{key} is in the store for no reason" for key in evidence.store.keys() - wanted.keys() - thumbnails)


def ran_on(evidence: Evidence, frozen: Sequence[Frozen]) -> Iterator[str]:
    """Nothing is done for a job a heartbeat after it has ended; who was frozen meanwhile has a heartbeat to notice."""
    jobs = {str(job.id): job for each in evidence.jobs.values() for job in each}
    latest: dict[str, Mapping[str, Any]] = {line["job_id"]: line for line in evidence.journal if "job_id" in line}
    for job_id, line in latest.items():
        job = jobs.get(job_id)
        if job is None or job.finished_at is None:
            yield f"job {job_id} ran and is {'gone' if job is None else job.state}"
            continue
        over = line["at"] - _noticed(job.finished_at.timestamp(), line["pid"], frozen)
        if over > HEARTBEAT + SLACK:
            yield f"job {job_id} was {job.state} and ran on for {over:.1f} s ({line['what']})"


def _noticed(finished: float, pid: int, frozen: Sequence[Frozen]) -> float:
    """When a process could know that a job had ended."""
    return max([finished, *(each.until for each in frozen if each.pid == pid and each.since <= finished <= each.until)])


def broken(told: Told) -> Iterator[str]:
    """No answer says that it is our fault."""
    for answer, times in told.answers.items():
        if answer.startswith("5") and answer != "503":
            yield f"{times} requests were answered with {answer}"
