"""Holds jobs of one lane: claims and starts them, keeps their leases, gives them back."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from uuid import UUID

import structlog

from darkroom.engine.observing.following import following
from darkroom.engine.runner import Phase, Run, Tools
from darkroom.engine.transitions.leasing import Task
from darkroom.errors import DatabaseUnavailable
from darkroom.events.base import EventBus
from darkroom.media.events import CancelRequested, Deleted, News

log = structlog.get_logger(__name__)

PAUSE = 1.0
"""Seconds between heartbeats while the database does not answer."""

PATIENCE = 5.0
"""Seconds for releasing jobs when the process stops."""

LAST_WORD = 1.0
"""Seconds for ending jobs that could not be released."""


class Reason(Enum):
    """Why a run is stopped from outside."""

    CANCELLED = auto()
    DELETED = auto()
    LOST = auto()
    OUT_OF_TOUCH = auto()
    RELEASED = auto()


@dataclass(slots=True)
class _Held:
    run: Run
    task: asyncio.Task[None]
    lease_until: float
    reason: Reason | None = None

    def stop(self, reason: Reason) -> None:
        if self.reason is None and (self.run.phase is not Phase.REPORTING or reason is Reason.RELEASED):
            self.reason = reason
            self.task.cancel()


class Worker:
    """At most `concurrency` jobs of one lane at once. Others say when it claims: see `claiming`."""

    def __init__(
        self,
        lane: str,
        *,
        concurrency: int,
        tools: Tools,
        bus: EventBus,
        lease: timedelta,
    ) -> None:
        self.lane = lane
        self.concurrency = concurrency
        self._tools = tools
        self._bus = bus
        self._lease = lease.total_seconds()
        self._held: dict[UUID, _Held] = {}
        self._change = asyncio.Event()
        self.stopping = False

    @property
    def free(self) -> int:
        """How many more jobs it may hold: none once it is to stop."""
        return 0 if self.stopping else self.concurrency - len(self._held)

    def changed(self) -> None:
        """Have `change` return."""
        self._change.set()

    async def change(self) -> None:
        """Return once a job has ended, no more are to be claimed, or someone says `changed`."""
        self._change.clear()
        await self._change.wait()

    async def claim(self, most: int) -> list[asyncio.Task[None]] | None:
        """Take and start at most `most` due jobs; the task of each ends with it. None: that failed, and is logged."""
        try:
            return await self._claim(most)
        except DatabaseUnavailable as error:
            log.warning("no_claim", lane=self.lane, reason=error.message)
        except Exception:
            log.exception("claim_failed", lane=self.lane)
        return None

    async def _claim(self, most: int, only: UUID | None = None) -> list[asyncio.Task[None]]:
        """Take and start jobs. What is said of one before it listens for itself is heard all the same."""
        early: list[CancelRequested | Deleted] = []

        def note(event: News) -> None:
            if isinstance(event, CancelRequested | Deleted):
                early.append(event)

        with self._bus.listening(None, note):
            claimed = await self._tools.lifecycle.claim(self.lane, most, worker=self._tools.worker, only=only)
            started = [self._start(task) for task in claimed]
            if started:
                await asyncio.sleep(0)  # lets each take its first step, with which it listens
        for event in early:
            self._hear(event)
        return started

    async def run_only(self, media_id: UUID) -> bool:
        """Claim the one due job of a media and see it through; False: there was none to claim.

        Cancelled meanwhile, it gives the job back.
        """
        running = await self._claim(1, only=media_id)
        keeping = asyncio.create_task(self.keep_leases())
        try:
            await asyncio.gather(*map(asyncio.shield, running))
        finally:
            await self.finish(timedelta(0))
            keeping.cancel()
            await asyncio.wait([keeping])
        return bool(running)

    def stop_claiming(self) -> None:
        """Take no more work."""
        self.stopping = True
        self.changed()

    def release(self) -> None:
        """Give the jobs back that have not ended: without a try counted, and without waiting for it."""
        for held in tuple(self._held.values()):
            held.stop(Reason.RELEASED)

    async def finish(self, grace: timedelta) -> None:
        """Give running jobs `grace` to end; release those that did not. Takes at most 6 s more than `grace`."""
        tasks = [held.task for held in self._held.values()]
        if not tasks:
            return
        await asyncio.wait(tasks, timeout=grace.total_seconds())
        self.release()
        _, stuck = await asyncio.wait(tasks, timeout=PATIENCE)
        for task in stuck:  # the database does not take the release: the lease will run out
            task.cancel()
        if stuck:
            await asyncio.wait(stuck, timeout=LAST_WORD)

    async def keep_leases(self) -> None:
        """Extend the leases of what runs, three times a lease, until cancelled."""
        rest = self._lease / 3
        while True:
            await asyncio.sleep(rest)
            answered = not self._held or await self._beat(tuple(self._held))
            rest = self._lease / 3 if answered else min(PAUSE, self._lease / 3)

    def _start(self, task: Task) -> asyncio.Task[None]:
        run = Run(self._tools, task)
        running = asyncio.create_task(self._see_through(run), name=f"job {task.job.id}")
        held = self._held[task.job.id] = _Held(run, running, self._time() + self._lease)
        if self.stopping:
            held.reason = Reason.RELEASED  # a task that is cancelled before its first step would do nothing at all
        elif task.job.cancel_requested_at is not None:
            held.reason = Reason.CANCELLED
        return running

    async def _see_through(self, run: Run) -> None:
        job_id = run.task.job.id
        try:
            with following(run.task.media, run.task.job):
                reason = await self._make(run, self._held[job_id])
                if reason is not None:
                    await self._stopped(run, reason)
        except Exception:
            log.exception("job_broke_off", media_id=str(run.task.media.id), job_id=str(job_id))
        finally:
            del self._held[job_id]
            self.changed()

    async def _make(self, run: Run, held: _Held) -> Reason | None:
        """Run to the end, or until stopped: then why."""
        try:
            if held.reason is None:
                with self._bus.listening(run.task.media.id, self._hear):
                    await run.make()
        except asyncio.CancelledError:
            if held.reason is None:
                raise
            held.task.uncancel()  # what is to be done now has timeouts of its own, which look at this
        return held.reason

    async def _stopped(self, run: Run, reason: Reason) -> None:
        log.info("job_stopped", reason=reason.name)
        match reason:
            case Reason.CANCELLED:
                await run.let_go()
            case Reason.RELEASED | Reason.OUT_OF_TOUCH:
                await run.release()
            case Reason.DELETED | Reason.LOST:
                await run.abandon()

    def _hear(self, event: News) -> None:
        held = self._held.get(event.job_id)
        if held is not None and isinstance(event, CancelRequested | Deleted):
            held.stop(Reason.DELETED if isinstance(event, Deleted) else Reason.CANCELLED)

    async def _beat(self, jobs: tuple[UUID, ...]) -> bool:
        """Extend the leases of `jobs`, a snapshot: what is claimed meanwhile is not judged. False: no answer."""
        sent = self._time()
        try:
            async with asyncio.timeout_at(self._lease_ends()):
                kept = await self._tools.lifecycle.heartbeat(jobs)
        except Exception as error:  # noqa: BLE001 - whatever it is, the leases are at stake
            log.warning("no_heartbeat", lane=self.lane, error=repr(error))
            self._give_up_what_ran_out()
            return False
        for job_id in jobs:
            held = self._held.get(job_id)
            if held is None:
                continue
            if job_id not in kept:
                held.stop(Reason.LOST)
            elif kept[job_id] is not None:
                held.stop(Reason.CANCELLED)
            else:
                held.lease_until = sent + self._lease
        return True

    def _lease_ends(self) -> float:
        """How long a beat may take: a database may be silent for longer than a lease. Each gets a fair time."""
        first = min(held.lease_until for held in self._held.values())
        return max(first, self._time() + self._lease / 3)

    def _give_up_what_ran_out(self) -> None:
        """Another worker may have these by now. Those whose bytes are here wait for the database's word."""
        for held in tuple(self._held.values()):
            if held.lease_until < self._time() and held.run.phase is Phase.MAKING:
                held.stop(Reason.OUT_OF_TOUCH)

    def _time(self) -> float:
        return asyncio.get_running_loop().time()
