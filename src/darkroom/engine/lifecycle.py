"""The verbs of a media's life: commit, then announce. The sole writer of state."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from darkroom.db.session import Database
from darkroom.db.writer import Operation
from darkroom.dispatch.base import Dispatcher
from darkroom.engine.transitions import asking, leasing, reporting, submitting
from darkroom.engine.transitions.base import Done
from darkroom.engine.transitions.leasing import Task
from darkroom.events.base import EventBus
from darkroom.media.events import MediaEvent, Progressed
from darkroom.media.model import Media, Submission

T = TypeVar("T")
R = TypeVar("R")

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


class Lifecycle:
    """Submit, claim, report, cancel, retry, delete. Every verb may raise `DatabaseUnavailable`."""

    def __init__(
        self,
        database: Database,
        bus: EventBus,
        dispatcher: Dispatcher,
        *,
        lease: timedelta = timedelta(seconds=30),
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._bus = bus
        self._dispatcher = dispatcher
        self._lease = lease
        self.now = clock

    async def _make(self, transition: Operation[T, Done[R]], item: T) -> R:
        done = await self._database.write(transition, item)
        for event in done.events:
            self._bus.publish(event)
        return done.result

    async def submit(self, wanted: Submission) -> Media | UUID:
        """Accept a media, durably. Answers with it, or with the id of the one that its idempotency key made.

        Raises `IdempotencyMismatch`.
        """
        answer = await self._make(submitting.submit, submitting.Submit(wanted, self.now()))
        if isinstance(answer, Media):
            self._dispatcher.wake(wanted.lane)
        return answer

    async def claim(self, lane: str, most: int, *, worker: str, only: UUID | None = None) -> Sequence[Task]:
        """Take at most `most` due jobs of `lane` under a lease, best first; `only` of that media, if given."""
        return await self._make(leasing.claim, leasing.Claim(lane, most, worker, self.now(), self._lease, only))

    async def heartbeat(self, jobs: Sequence[UUID]) -> Mapping[UUID, datetime | None]:
        """Extend the leases of `jobs`. Those that are still held, with when each was asked to cancel."""
        return await self._make(leasing.heartbeat, leasing.Beat(tuple(jobs), self.now() + self._lease))

    async def lose_expired(self, *, most: int = 100) -> int:
        """Take jobs from workers whose lease ran out; return how many."""
        return await self._make(leasing.lose, leasing.Lose(self.now(), most))

    async def accept(self, task: Task, *, provider: str, ref: str) -> None:
        """The backend took the job under `ref`. Raises `LeaseLost`."""
        item = reporting.Accept(task.job.id, self.now(), task.media.id, provider, ref)
        await self._make(reporting.accept, item)

    async def progress(self, task: Task, step: int, total: int, *, milestone: bool) -> None:
        """`step` of `total` is done; a `milestone` is told in the story."""
        event = Progressed(task.media.id, task.job.id, self.now(), step, total)
        await self._make(reporting.progress, reporting.Step(event, milestone))

    async def tell(self, event: MediaEvent) -> None:
        """Add a line to a media's story."""
        await self._make(reporting.tell, event)

    async def report(self, transition: Operation[T, Done[None]], item: T) -> None:
        """End a job: `reporting.complete`, `fail`, `release` or `let_go`. Raises `LeaseLost`."""
        await self._make(transition, item)

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
