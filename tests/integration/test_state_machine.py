"""The life of a media, driven in any order from several workers, against a plain model of it.

`HYPOTHESIS_PROFILE=long` looks longer. A failure prints the steps that lead to it.
"""

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection

from darkroom.db import logs as stories
from darkroom.engine.transitions import asking, lanes, leasing, reporting, submitting
from darkroom.engine.transitions.base import Done
from darkroom.errors import (
    Conflict,
    IdempotencyMismatch,
    LeaseLost,
    NotFound,
    Permanent,
    Throttled,
    Transient,
)
from darkroom.media.events import MediaEvent, Progressed, Stored
from darkroom.media.model import Failure, File, Media, Submission
from darkroom.media.policy import Backoff, GiveUp, RetryAt, Tried, after_failure
from darkroom.media.states import ENDED, LEGAL, LEGAL_JOB, RETRYABLE, JobState, Status
from services.life import Job, Store, Tables, Wanted, check_rules, clear, open_store, read_tables

_quiet = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
settings.register_profile(
    "machine", max_examples=35, stateful_step_count=40, deadline=None, print_blob=True, suppress_health_check=_quiet
)
settings.register_profile("long", settings.get_profile("machine"), max_examples=2000, stateful_step_count=80)
PROFILE = settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "machine"))

START = datetime(2030, 1, 1, tzinfo=UTC)
LEASE = timedelta(seconds=30)
LANES = ("default", "gpu")
WORKERS = ("ann", "bob", "eve")
BACKOFF = Backoff(base=2.0, cap=20.0)
FAILURES = {
    "transient": Transient("busy"),
    "throttled": Throttled("too many requests", retry_after=3.0),
    "permanent": Permanent("no such thing"),
    "crash": ValueError("a bug"),
}


def picked(jobs_of: Callable[["Machine"], list[Job]], *, at_most: int = 3) -> st.SearchStrategy[list[Job]]:
    """Some of the machine's jobs, rather running ones, the same one perhaps twice: a report may be sent again."""

    def some(machine: "Machine") -> st.SearchStrategy[list[Job]]:
        running = [job for job in jobs_of(machine) if job.state is JobState.RUNNING]
        return st.lists(st.sampled_from(running * 3 + jobs_of(machine)), min_size=1, max_size=at_most)

    return st.runner().flatmap(some)


def media_in(*right: Status) -> st.SearchStrategy[list[UUID]]:
    """Some media, rather those in one of these statuses; perhaps deleted ones."""

    def some(machine: "Machine") -> st.SearchStrategy[list[UUID]]:
        likely = [it.id for it in machine.media.values() if it.status in right]
        return st.lists(st.sampled_from(likely * 5 + machine.accepted), min_size=1, max_size=3)

    return st.runner().flatmap(some)


CLAIMED = picked(lambda it: it.claimed)
LANE = st.sampled_from(["default", "default", "default", "gpu"])
Wish = tuple[str | None, str | None, str, int, int, str]
submissions = st.tuples(
    st.sampled_from([None, None, "key-a", "key-b"]),
    st.sampled_from([None, "ann", "zoe"]),
    st.sampled_from(["a cat", "a dog"]),
    st.integers(-1, 1),
    st.integers(1, 3),
    LANE,
)


def in_turns(due: list[Job], turns: Mapping[int, str]) -> list[Job]:
    """The order in which jobs are served: by priority, then round by round, from the owner who comes after the last."""
    rounds: Counter[tuple[int, str]] = Counter()
    places = []
    for job in sorted(due, key=lambda it: (it.run_at, it.id)):
        owner = job.media.owner or ""
        later = owner <= turns.get(job.priority, "")
        places.append((-job.priority, rounds[job.priority, owner], later, owner, job))
        rounds[job.priority, owner] += 1
    return [job for *_, job in sorted(places, key=lambda it: it[:-1])]


class Machine(RuleBasedStateMachine):
    """Each rule is one transaction with one or more items of one kind, told in advance to the model."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        self.now = START
        self.media: dict[UUID, Wanted] = {}
        self.accepted: list[UUID] = []
        self.deleted: set[UUID] = set()
        self.keys: dict[tuple[str | None, str], tuple[UUID, str]] = {}
        self.trash: set[str] = set()
        self.claimed: list[Job] = []
        self.turns: dict[str, dict[int, str]] = {lane: {} for lane in LANES}
        self.paused: set[str] = set()
        self.seen: Tables | None = None

    @initialize(wishes=st.lists(submissions, min_size=2, max_size=5))
    def begin(self, wishes: list[Wish]) -> None:
        clear(self.store)
        self.submit(wishes)

    # What may happen

    @rule(wishes=st.lists(submissions, min_size=1, max_size=3))
    def submit(self, wishes: list[Wish]) -> None:
        answers = self.make(submitting.submit, [submitting.Submit(_submission(*wish), self.now) for wish in wishes])
        for wish, answer in zip(wishes, answers, strict=True):
            self._submitted(wish, answer)

    def _submitted(self, wish: Wish, answer: Any) -> None:
        key, owner, prompt, priority, max_tries, lane = wish
        if key is not None and (owner, key) in self.keys:
            earlier, said = self.keys[owner, key]
            if said == prompt:
                assert isinstance(answer, Done)
                assert answer.result == earlier
            else:
                assert isinstance(answer, IdempotencyMismatch)
            return
        assert isinstance(answer.result, Media)
        new = answer.result
        wanted = Wanted(new.id, Status.IN_QUEUE, 0, max_tries, owner, next_run=self.now, story=["submitted"])
        wanted.jobs.append(Job(new.job_id, wanted, 1, self.now, lane, priority))
        self.media[new.id] = wanted
        self.accepted.append(new.id)
        if key is not None:
            self.keys[owner, key] = (new.id, prompt)

    @precondition(lambda self: any(it.status is Status.IN_QUEUE for it in self.media.values()))
    @rule(wishes=st.lists(st.tuples(st.sampled_from(WORKERS), LANE, st.integers(1, 3)), min_size=1, max_size=3))
    def claim(self, wishes: list[tuple[str, str, int]]) -> None:
        answers = self.make(
            leasing.claim,
            [leasing.Claim(lane, most, who, self.now, LEASE, turns=self.turns[lane]) for who, lane, most in wishes],
        )
        for (who, lane, most), answer in zip(wishes, answers, strict=True):
            served = in_turns(self._due(lane), self.turns[lane])[:most]
            self._claimed(who, served, answer)
            self.turns[lane] = self.turns[lane] | {job.priority: job.media.owner or "" for job in served}

    @precondition(lambda self: self.accepted)
    @rule(which=media_in(Status.IN_QUEUE), who=st.sampled_from(WORKERS))
    def claim_only(self, which: list[UUID], who: str) -> None:
        one = which[0]
        if one not in self.media:
            return
        lane = self.media[one].live.lane
        (answer,) = self.make(leasing.claim, [leasing.Claim(lane, 2, who, self.now, LEASE, only=one)])
        self._claimed(who, [job for job in self._due(lane) if job.media.id == one], answer)

    @rule(lane=LANE, paused=st.booleans())
    def hold(self, lane: str, paused: bool) -> None:
        self.make(lanes.hold, [lanes.Hold(lane, self.now, paused, here=True)])
        self.paused = self.paused | {lane} if paused else self.paused - {lane}

    def _due(self, lane: str) -> list[Job]:
        if lane in self.paused:
            return []
        due = [it.live for it in self.media.values() if it.status is Status.IN_QUEUE and it.live.lane == lane]
        return sorted((job for job in due if job.run_at <= self.now), key=lambda it: (-it.priority, it.run_at, it.id))

    def _claimed(self, who: str, expected: list[Job], answer: Any) -> None:
        assert [task.job.id for task in answer.result] == [job.id for job in expected]
        assert all(task.media.status is Status.PROCESSING for task in answer.result)
        for job, task in zip(expected, answer.result, strict=True):
            assert task.job.provider_ref == job.ref
            job.state, job.worker, job.lease, job.tries_seen = JobState.RUNNING, who, self.now + LEASE, job.media.tries
            job.media.status, job.media.next_run, job.media.progress = Status.PROCESSING, None, None
            job.media.story.append("claimed")
            self.claimed.append(job)

    @precondition(lambda self: self._due("default"))
    @rule(who=st.sampled_from(WORKERS), end=st.sampled_from(["complete", "release", "let go", *FAILURES]))
    def a_whole_job(self, who: str, end: str) -> None:
        """Several steps at once: by single ones a media does not come far."""
        before = len(self.claimed)
        self.claim([(who, "default", 1)])
        for job in self.claimed[before:]:
            self.accept([job], "r-3")
            self.the_tables_are_as_the_model_says()
            if end == "complete":
                self.complete([job], 1)
            elif end == "release":
                self.release([job])
            elif end == "let go":
                self.cancel([job.media.id])
                self.now += timedelta(seconds=1)
                self.cancel([job.media.id])
                self.the_tables_are_as_the_model_says()
                self.let_go([job])
            else:
                self.fail([job], end, 0)

    @rule(seconds=st.sampled_from([0.5, 5.0, 12.0, 31.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.claimed)
    @rule(beats=st.lists(CLAIMED, min_size=1, max_size=2))
    def heartbeat(self, beats: list[list[Job]]) -> None:
        until = self.now + LEASE
        answers = self.make(leasing.heartbeat, [leasing.Beat(tuple(job.id for job in beat), until) for beat in beats])
        for beat, answer in zip(beats, answers, strict=True):
            held = [job for job in beat if job.state is JobState.RUNNING]
            assert answer.result == {job.id: job.asked for job in held}
            for job in held:
                job.lease = until

    @precondition(lambda self: self.claimed)
    @rule(who=CLAIMED, ref=st.sampled_from(["r-1", "r-2"]))
    def accept(self, who: list[Job], ref: str) -> None:
        items = [reporting.Accept(job.id, self.now, job.media.id, "dummy", ref, "dummy:dummy") for job in who]
        for job, answer in zip(who, self.make(reporting.accept, items), strict=True):
            if self._passes_the_fence(job, answer):
                job.provider, job.ref = "dummy", ref
                job.media.story.append("accepted")

    @precondition(lambda self: self.claimed)
    @rule(who=CLAIMED, step=st.integers(1, 9), milestone=st.booleans())
    def progress(self, who: list[Job], step: int, milestone: bool) -> None:
        events = [Progressed(job.media.id, job.id, self.now, step, 9) for job in who]
        answers = self.make(reporting.progress, [reporting.Step(event, milestone) for event in events])
        for job, answer in zip(who, answers, strict=True):
            assert bool(answer.events) == (job.state is JobState.RUNNING)
            if job.state is JobState.RUNNING:
                job.media.progress = {"step": step, "total": 9}
                job.media.story += ["progressed"] * milestone

    @precondition(lambda self: self.reporting)
    @rule(who=picked(lambda it: it.reporting), n=st.integers(1, 2))
    def complete(self, who: list[Job], n: int) -> None:
        answers = self.make(reporting.complete, [self._complete(job, n) for job in who])
        for job, answer in zip(who, answers, strict=True):
            if self._ends(job, JobState.SUCCEEDED, answer):
                it = job.media
                it.status, it.error, job.counted, it.tries = Status.COMPLETED, None, True, it.tries + 1
                it.files = tuple(f"{it.id}/{job.id}/{index}.png" for index in range(n))
                it.story += ["stored"] * n + ["completed"]
                job.provider = "dummy"

    def _complete(self, job: Job, n: int) -> reporting.Complete:
        pictures = tuple(_file(job, index) for index in range(n))
        stored = tuple(Stored(job.media.id, job.id, self.now, index, "image/png", 10) for index in range(n))
        return reporting.Complete(job.id, self.now, "dummy", pictures, stored, Decimal("0.01"))

    @precondition(lambda self: self.reporting)
    @rule(who=picked(lambda it: it.reporting), kind=st.sampled_from(sorted(FAILURES)), seed=st.integers(0, 99))
    def fail(self, who: list[Job], kind: str, seed: int) -> None:
        items = [self._fail(job, FAILURES[kind], random.Random(seed)) for job in who]
        for job, item, answer in zip(who, items, self.make(reporting.fail, items), strict=True):
            if self._ends(job, JobState.FAILED, answer):
                job.provider, job.error = "dummy", item.failure.code
                job.media.story.append("failed")
                self._after(job, item.decision, item.failure.code, answer.events)

    def _fail(self, job: Job, error: Exception, rng: random.Random) -> reporting.Fail:
        tried = Tried(job.number, job.tries_seen, job.media.max_tries, "dummy:dummy", ["dummy:dummy"])
        patience = timedelta(days=1)
        decision = after_failure(error, tried, now=self.now, backoff=BACKOFF, rng=rng, patience=patience)
        failure = Failure(getattr(error, "code", "crashed"), str(error), retryable=True, traceback="Traceback...")
        return reporting.Fail(job.id, self.now, "dummy", failure, decision)

    @precondition(lambda self: self.reporting)
    @rule(who=picked(lambda it: it.reporting))
    def release(self, who: list[Job]) -> None:
        answers = self.make(reporting.release, [reporting.Release(job.id, self.now, job.worker or "") for job in who])
        for job, answer in zip(who, answers, strict=True):
            if self._ends(job, JobState.RELEASED, answer):
                job.media.story.append("released")
                self._after(job, RetryAt(self.now, counts=False), None, answer.events, resumes=True)

    @precondition(lambda self: self.letting_go)
    @rule(who=picked(lambda it: it.letting_go))
    def let_go(self, who: list[Job]) -> None:
        answers = self.make(reporting.let_go, [reporting.LetGo(job.id, self.now) for job in who])
        for job, answer in zip(who, answers, strict=True):
            if self._ends(job, JobState.CANCELLED, answer):
                self._cancelled(job)

    @precondition(lambda self: self.claimed)
    @rule(who=CLAIMED)
    def discard(self, who: list[Job]) -> None:
        """A worker that lost a job has what it stored cleared away, and says no more of it."""
        self.make(reporting.discard, [reporting.Discard(job.id, self.now, job.media.id) for job in who])
        for job in who:
            job.abandoned = True
            if job.state is not JobState.SUCCEEDED or job.media.id in self.deleted:
                self.trash.add(f"{job.media.id}/{job.id}/")

    @precondition(lambda self: self.accepted)
    @rule(which=media_in(Status.IN_QUEUE, Status.PROCESSING))
    def cancel(self, which: list[UUID]) -> None:
        for one, answer in zip(which, self.make(asking.cancel, self._asks(which)), strict=True):
            it = self._found(one, answer, {Status.IN_QUEUE, Status.PROCESSING})
            if it is None:
                continue
            if it.live.state is JobState.QUEUED and it.live.ref is None:
                it.live.state = JobState.CANCELLED
                self._cancelled(it.live)
                continue
            if it.live.state is JobState.QUEUED:  # somebody must tell the backend
                it.live.run_at = self.now
            it.live.asked = it.live.asked or self.now
            it.story.append("cancel_requested")

    @precondition(lambda self: self.accepted)
    @rule(which=media_in(*RETRYABLE))
    def retry(self, which: list[UUID]) -> None:
        for one, answer in zip(which, self.make(asking.retry, self._asks(which)), strict=True):
            it = self._found(one, answer, RETRYABLE)
            if it is None:
                continue
            assert answer.result == it.live.lane
            it.tries, it.error, it.progress, it.retried_from = 0, None, None, it.live.number + 1
            self._queue_next(it, self.now, answer.events, None)

    @precondition(lambda self: len(self.media) > 2)
    @rule(which=media_in())
    def remove(self, which: list[UUID]) -> None:
        for one, answer in zip(which, self.make(asking.remove, self._asks(which)), strict=True):
            it = self._found(one, answer, set(Status))
            if it is not None:
                self._forget(it)

    @rule(most=st.integers(1, 3))
    def lose(self, most: int) -> None:
        (answer,) = self.make(leasing.lose, [leasing.Lose(self.now, most)])
        lapsed = [job for job in self.claimed if self._lapsed(job)]
        assert answer.result == min(most, len(lapsed))
        taken = {event.job_id for event in answer.events if type(event).__name__ == "Lost"}
        kept = [job for job in lapsed if job.id not in taken]
        lost = [job for job in lapsed if job.id in taken]
        assert len(lost) == answer.result
        assert all(a.lease <= b.lease for a in lost for b in kept if a.lease and b.lease)
        for job in lost:
            job.state, job.error = JobState.LOST, "worker_lost"
            job.media.story.append("lost")
            spent = job.media.tries + 1 >= job.media.max_tries
            lost = sum(each.state is JobState.LOST for each in job.media.jobs)
            goes_on = job.ref is not None and (job.asked is not None or lost <= leasing.LOST_WITH_A_REF)
            decision = GiveUp() if spent and not goes_on else RetryAt(self.now, counts=not spent)
            self._after(job, decision, "worker_lost", answer.events, resumes=True)

    def _lapsed(self, job: Job) -> bool:
        return job.state is JobState.RUNNING and job.lease is not None and job.lease < self.now

    # What is to come of it

    def make(self, transition: Callable[[Connection, Sequence[Any]], Sequence[Any]], items: Sequence[Any]) -> list[Any]:
        answers = list(self.store.run(lambda connection: transition(connection, items)))
        assert len(answers) == len(items)
        note(f"{transition.__name__}: {[_told(answer) for answer in answers]}")
        return answers

    @property
    def reporting(self) -> list[Job]:
        return [job for job in self.claimed if not job.abandoned]

    @property
    def letting_go(self) -> list[Job]:
        return [job for job in self.reporting if job.asked is not None or job.state is not JobState.RUNNING]

    def _passes_the_fence(self, job: Job, answer: Any) -> bool:
        held = job.state is JobState.RUNNING
        assert isinstance(answer, Done if held else LeaseLost)
        return held

    def _ends(self, job: Job, state: JobState, answer: Any) -> bool:
        held = self._passes_the_fence(job, answer)
        if held:
            job.state = state
        return held

    def _after(
        self, job: Job, decision: Any, code: str | None, events: Sequence[MediaEvent], *, resumes: bool = False
    ) -> None:
        if job.asked is not None and not (resumes and isinstance(decision, RetryAt) and job.ref is not None):
            self._cancelled(job)
            return
        it = job.media
        self.trash.add(f"{it.id}/{job.id}/")
        it.progress, it.error = None, code or it.error
        job.counted = isinstance(decision, GiveUp) or decision.counts
        it.tries += job.counted
        if isinstance(decision, RetryAt):
            self._queue_next(it, decision.at, events, job if resumes else None)
        else:
            it.status = Status.ERROR
            it.story.append("gave_up")

    def _queue_next(self, it: Wanted, run_at: datetime, events: Sequence[MediaEvent], resumed: Job | None) -> None:
        (queued,) = (event for event in events if event.media_id == it.id and type(event).__name__ == "Queued")
        last = it.live
        new = Job(queued.job_id, it, last.number + 1, run_at, last.lane, last.priority)
        if resumed is not None:
            new.provider, new.ref, new.asked = resumed.provider, resumed.ref, resumed.asked
        it.jobs.append(new)
        it.status, it.next_run = Status.IN_QUEUE, run_at
        it.story.append("queued")

    def _cancelled(self, job: Job) -> None:
        self.trash.add(f"{job.media.id}/{job.id}/")
        job.media.status, job.media.next_run, job.media.progress = Status.CANCELLED, None, None
        job.media.story.append("cancelled")

    def _forget(self, it: Wanted) -> None:
        self.trash.add(f"{it.id}/")
        self.deleted.add(it.id)
        del self.media[it.id]
        for job in it.jobs:
            job.state = JobState.LOST if job.state is JobState.RUNNING else job.state
        self.keys = {key: known for key, known in self.keys.items() if known[0] != it.id}

    def _asks(self, which: list[UUID]) -> list[asking.Ask]:
        return [asking.Ask(one, self.now) for one in which]

    def _found(self, one: UUID, answer: Any, right: set[Status] | frozenset[Status]) -> Wanted | None:
        """The media, if what was asked of it was right."""
        it = self.media.get(one)
        if it is None:
            assert isinstance(answer, NotFound)
            return None
        if it.status not in right:
            assert isinstance(answer, Conflict)
            return None
        assert isinstance(answer, Done)
        return it

    # What is true after every step

    @invariant()
    def the_tables_are_as_the_model_says(self) -> None:
        now: Tables = self.store.read(read_tables)
        assert now.media == {it.id: it.row for it in self.media.values()}
        assert now.jobs == {job.id: job.row for it in self.media.values() for job in it.jobs}
        assert now.files == {it.id: it.files for it in self.media.values() if it.files}
        assert now.stories == {it.id: it.story for it in self.media.values()}
        assert now.trash == self.trash
        self._check_moves(self.seen, now)
        check_rules(now)
        self._check_tries()
        self.seen = now

    def _check_moves(self, before: Tables | None, now: Tables) -> None:
        if before is None:
            return
        for media_id, row in now.media.items():
            old = before.media.get(media_id, row)["status"]
            assert row["status"] in {old, *LEGAL[old]}
        for job_id, row in now.jobs.items():
            state = before.jobs[job_id]["state"] if job_id in before.jobs else JobState.QUEUED
            assert row["state"] in {state, *LEGAL_JOB[state]}

    def _check_tries(self) -> None:
        for it in self.media.values():
            assert it.tries == sum(job.counted for job in it.jobs if job.number >= it.retried_from)

    # And at the end nobody is forgotten

    def teardown(self) -> None:
        for lane in LANES:
            self.hold(lane, paused=False)
        for round_ in range(40):
            self.now += LEASE + timedelta(seconds=1)
            self.lose(100)
            self.the_tables_are_as_the_model_says()
            for lane in LANES:
                self.claim([("ann", lane, 100)])
            self.the_tables_are_as_the_model_says()
            running = [job for job in self.claimed if job.state is JobState.RUNNING]
            for n, job in enumerate(running):
                if (n + round_) % 3 and not job.abandoned:
                    self.complete([job], 1) if job.asked is None else self.let_go([job])
            self.the_tables_are_as_the_model_says()
            if not running:
                break
        stuck = [it for it in self.media.values() if it.status not in ENDED]
        assert not stuck


def _told(answer: Any) -> str:
    """An answer in a word or two."""
    return " ".join(stories.name(event) for event in answer.events) if isinstance(answer, Done) else repr(answer)


def _submission(
    key: str | None, owner: str | None, prompt: str, priority: int, max_tries: int, lane: str
) -> Submission:
    return Submission(
        prompt=prompt, model="dummy", lane=lane, parameters={}, max_tries=max_tries, owner=owner, priority=priority,
        tags=("x",), idempotency_key=key, fingerprint=prompt if key else None,
    )  # fmt: skip


def _file(job: Job, index: int) -> File:
    key = f"{job.media.id}/{job.id}/{index}.png"
    return File(job.media.id, index, key, None, "image/png", 8, 8, 10, uuid4().hex * 2, None, 7)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    with open_store(url) as opened:
        yield opened


def test_a_media_lives_as_the_model_says_whatever_happens_in_any_order(store: Store) -> None:
    run_state_machine_as_test(lambda: Machine(store), settings=PROFILE)
