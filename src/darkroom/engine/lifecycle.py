"""The verbs of a media's life: commit, then announce. The sole writer of state."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from darkroom.db import jobs
from darkroom.db.claims import Turns
from darkroom.db.session import Database
from darkroom.db.writer import Operation
from darkroom.dispatch.base import Dispatcher
from darkroom.engine.observing.counting import count
from darkroom.engine.transitions import accounts, asking, beginning, lanes, leasing, reporting, submitting
from darkroom.engine.transitions.base import Done
from darkroom.engine.transitions.leasing import Task
from darkroom.errors import IdempotencyMismatch, LeaseLost
from darkroom.events.base import EventBus
from darkroom.media.events import MediaEvent, Previewed, Progressed
from darkroom.media.model import Media, Submission
from darkroom.media.policy import RetryAt
from darkroom.telemetry import metrics

T = TypeVar("T")
R = TypeVar("R")


class Lifecycle:
    """Submit, claim, report, cancel, retry, delete. Every verb may raise `DatabaseUnavailable`.

    `now`: the time by which all processes go.
    """

    def __init__(
        self,
        database: Database,
        bus: EventBus,
        dispatcher: Dispatcher,
        *,
        lease: timedelta = timedelta(seconds=30),
    ) -> None:
        self._database = database
        self._bus = bus
        self._dispatcher = dispatcher
        self._lease = lease
        self._turns: dict[str, Turns] = {}
        self.now = database.now

    async def _make(self, transition: Operation[T, Done[R]], item: T) -> R:
        try:
            done = await self._database.write(transition, item)
        except LeaseLost:
            metrics.REPORTS_REFUSED.inc()
            raise
        for event in done.events:
            count(event)
            self._bus.publish(event)
        return done.result

    async def submit(self, wanted: Submission, *, refusal: submitting.Refusal | None = None) -> Media | UUID:
        """Accept a media, durably. Answers with it, or with the id of the one that its idempotency key made.

        Raises `IdempotencyMismatch`, and `refusal` instead of accepting a new one.
        """
        if refusal is not None and wanted.idempotency_key is None:
            raise refusal
        answer = await self._make(submitting.submit, submitting.Submit(wanted, self.now(), refusal))
        if isinstance(answer, Media):
            self._dispatcher.wake(wanted.lane)
        return answer

    async def repeated(self, wanted: Submission) -> UUID | None:
        """The media that its idempotency key made, before anything is done for a new one.

        Raises `IdempotencyMismatch`.
        """
        replay = await self._database.read(submitting.repeated, submitting.Submit(wanted, self.now()))
        if isinstance(replay, IdempotencyMismatch):
            raise replay
        return replay

    async def claim(self, lane: str, most: int, *, worker: str, only: UUID | None = None) -> Sequence[Task]:
        """Take at most `most` due jobs of `lane` under a lease, best first; `only` of that media, if given.

        Nothing of a lane that is paused.
        """
        turns = self._turns.get(lane, {})
        item = leasing.Claim(lane, most, worker, self.now(), self._lease, only, turns)
        tasks = await self._make(leasing.claim, item)
        if only is None:
            self._turns[lane] = leasing.turns_after(self._turns.get(lane, {}), tasks)
        return tasks

    async def heartbeat(self, held: Sequence[UUID]) -> Mapping[UUID, datetime | None]:
        """Extend the leases of the jobs `held`. Those that are still held, with when each was asked to cancel."""
        return await self._make(leasing.heartbeat, leasing.Beat(tuple(held), self.now() + self._lease))

    async def lose_expired(self, *, most: int = 100) -> int:
        """Take jobs from workers whose lease ran out; return how many."""
        return await self._make(leasing.lose, leasing.Lose(self.now(), most))

    async def begin(self, item: beginning.Begin) -> beginning.Begun:
        """Have a job sent on by a route that has room, if there is one. Raises `LeaseLost`."""
        return await self._make(beginning.begin, item)

    async def is_taken(self, provider: str, ref: str) -> bool:
        """Whether some job was accepted under a backend's reference."""
        return await self._database.read(jobs.is_taken, provider, ref)

    async def accept(self, task: Task, *, account: str, route: str, ref: str) -> None:
        """The backend took the job under `ref`. Raises `LeaseLost`."""
        item = reporting.Accept(task.job.id, self.now(), task.media.id, account, ref, route)
        await self._make(reporting.accept, item)

    async def progress(self, task: Task, step: int, total: int, *, milestone: bool) -> None:
        """`step` of `total` is done; a `milestone` is told in the story."""
        event = Progressed(task.media.id, task.job.id, self.now(), step, total)
        await self._make(reporting.progress, reporting.Step(event, milestone, task.media.webhook))

    def preview(self, task: Task, image: str) -> None:
        """Show those who watch a picture on its way, a `data:` URI; nothing of it is kept."""
        self._bus.publish(Previewed(task.media.id, task.job.id, self.now(), image))

    async def tell(self, event: MediaEvent) -> None:
        """Add a line to a media's story."""
        await self._make(reporting.tell, event)

    async def report(self, transition: Operation[T, Done[None]], item: T) -> None:
        """End a job: `reporting.complete` or `let_go`. Raises `LeaseLost`."""
        await self._make(transition, item)

    async def fail(self, task: Task, item: reporting.Fail) -> None:
        """End a job as failed; have the next one taken if it is due at once. Raises `LeaseLost`."""
        await self._make(reporting.fail, item)
        if isinstance(item.decision, RetryAt) and item.decision.at <= self.now():
            self._dispatcher.wake(task.job.lane)

    async def release(self, task: Task, *, worker: str) -> None:
        """Give a job back, the try uncounted, and have it taken by another worker. Raises `LeaseLost`."""
        await self._make(reporting.release, reporting.Release(task.job.id, self.now(), worker))
        self._dispatcher.wake(task.job.lane)

    async def discard(self, task: Task) -> bool:
        """Have what a job stored cleared away: it had lost its lease. False: it was deleted with its media."""
        return await self._make(reporting.discard, reporting.Discard(task.job.id, self.now(), task.media.id))

    async def cancel(self, media_id: UUID) -> None:
        """Cancel a media: at once while it is queued, else as soon as its worker lets go.

        Raises `NotFound`, and `Conflict` if it has ended.
        """
        await self._make(asking.cancel, asking.Ask(media_id, self.now()))

    async def retry(self, media_id: UUID) -> None:
        """Put a media that is ERROR or CANCELLED back into the queue. Raises `NotFound`, `Conflict`."""
        lane = await self._make(asking.retry, asking.Ask(media_id, self.now()))
        self._dispatcher.wake(lane)

    async def remove(self, media_id: UUID) -> None:
        """Delete a media; its files are the janitor's. Raises `NotFound`."""
        await self._make(asking.remove, asking.Ask(media_id, self.now()))

    # Accounts

    async def reset_account(self, name: str) -> None:
        """Let jobs be sent to an account again at once, whatever failed there before."""
        await self._make(accounts.reset, name)

    # Lanes

    async def see_lanes(self, names: Sequence[str]) -> None:
        """These lanes are in the settings of this process."""
        await self._make(lanes.see, lanes.See(tuple(names), self.now()))

    async def hold_lane(self, name: str, *, paused: bool, here: bool) -> None:
        """Pause or resume a lane for all processes; `here`: it is in the settings of this one. Raises `NotFound`."""
        await self._make(lanes.hold, lanes.Hold(name, self.now(), paused, here))

    async def may_remind(self, lane: str, interval: timedelta) -> bool:
        """Whether this process is the one, of all, to compare the lane's tickets with its due jobs this time."""
        return await self._make(lanes.remind, lanes.Remind(lane, self.now(), interval))

    async def rehome(self, lane: str, *, to: str) -> int:
        """Move what waits in a lane that is gone to another; return how many jobs."""
        return await self._make(lanes.rehome, lanes.Rehome(lane, to, self.now()))
