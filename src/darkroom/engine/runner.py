"""One claimed job, from the provider to the store to the record."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, aclosing, nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum, auto
from itertools import count

import structlog

from darkroom.engine.catalogue import Route
from darkroom.engine.failures import as_failure, caused_by, trouble_of
from darkroom.engine.hooks import Hooks
from darkroom.engine.keeping import Keeper, Made
from darkroom.engine.lifecycle import Lifecycle
from darkroom.engine.transitions import reporting
from darkroom.engine.transitions.leasing import Task
from darkroom.engine.ways import Ways, routes_of
from darkroom.errors import (
    DarkroomError,
    DatabaseUnavailable,
    Interrupted,
    InvalidOutput,
    LeaseLost,
    OutputTooLarge,
    ProviderError,
    StorageUnavailable,
    SubmissionUncertain,
    Transient,
    Unavailable,
    UnusableOutput,
)
from darkroom.imaging import Developer
from darkroom.media.events import Waiting
from darkroom.media.model import Hook, Request
from darkroom.media.policy import Backoff, GiveUp, Tried, after_failure, milestone
from darkroom.providers.base import Accepted, Finished, Preview, Produced, Progress
from darkroom.storage.base import Storage
from darkroom.telemetry import traces

log = structlog.get_logger(__name__)

PROGRESS_INTERVAL = 0.5
PREVIEW_INTERVAL = 0.5
INSISTING = Backoff(base=0.2, cap=5.0)
STOPPING = 10.0
"""Seconds that a backend gets to stop what it accepted."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What every job is run with."""

    lifecycle: Lifecycle
    storage: Storage
    developer: Developer
    ways: Ways
    worker: str
    backoff: Backoff
    job_timeout: timedelta
    patience: timedelta = timedelta(days=1)
    hooks: Hooks | None = None
    rng: random.Random = field(default_factory=random.Random)


class BrokenOff(Transient):
    """A provider was stopped, or broke, before it said what became of what it was asked for."""


class Phase(Enum):
    """How far a run is, which says what losing its lease means."""

    MAKING = auto()
    AT_HAND = auto()
    """The bytes are here: making them again is the last resort."""
    REPORTING = auto()
    """The database decides."""


class Run:
    """One job while this process holds it."""

    def __init__(self, tools: Tools, task: Task) -> None:
        self._tools = tools
        self.task = task
        self.phase = Phase.MAKING
        self._route: Route | None = None
        self._ref = task.job.provider_ref
        self._unsaved: str | None = None
        self._reached = 0
        self._told = float("-inf")
        self._previewed = float("-inf")
        self._keeper = Keeper(task, tools.storage, tools.developer, tools.lifecycle.now, self._insist)

    async def make(self) -> None:
        """Make the pictures and complete the media, or record why not. Raises nothing that is expected."""
        try:
            try:
                await self._carry_out()
            except LeaseLost:
                raise
            except Exception as error:  # noqa: BLE001 - every failure of a job is recorded with it
                await self._fail(error)
        except LeaseLost:
            await self.abandon()

    async def _carry_out(self) -> None:
        way = await self._tools.ways.find(self.task, self._say)
        self._route, self._ref = way.route, way.ref
        if way.is_found and way.ref is not None:
            await self._accepted(way.ref)
        made = await self._generate(way.route)
        self.phase = Phase.AT_HAND
        report = await self._keeper.keep(way.route, made)
        self.phase = Phase.REPORTING
        with traces.span("complete"):
            await self._insist(lambda: self._complete(report))

    async def _complete(self, report: reporting.Complete) -> None:
        """Report it as of now: what is insisted on for an hour was not completed an hour ago."""
        lifecycle = self._tools.lifecycle
        await lifecycle.report(reporting.complete, replace(report, at=lifecycle.now()))

    async def release(self) -> None:
        """Give the job back, the try uncounted. The backend goes on; another worker resumes there."""

        async def give_back() -> None:
            if self._unsaved is not None:
                await self._save(self._unsaved)
            await self._tools.lifecycle.release(self.task, worker=self._tools.worker)

        await self._end(give_back)

    async def let_go(self) -> None:
        """Stop the backend and end the job: it was cancelled."""
        if self._route is None and self.task.job.may_run_on:
            model = self._tools.ways.find_model(self.task.media)
            self._route = model.route_of(self.task.job.route) if model else None
        stopped = await self._stop_what_was_sent()
        item = reporting.LetGo(self.task.job.id, self._tools.lifecycle.now(), is_open=not stopped)
        await self._end(lambda: self._tools.lifecycle.report(reporting.let_go, item))

    async def abandon(self) -> None:
        """The job is another's now, or deleted: what this run stored is not wanted.

        Nobody else stops a deleted one at its backend, nor one whose reference nobody else knows.
        """

        async def discard() -> None:
            is_known = await self._tools.lifecycle.discard(self.task)
            if self._unsaved is not None or not is_known:
                await self.stop_backend()

        await self._insist(discard)

    async def _stop_what_was_sent(self) -> bool:
        """Tell the backend to stop, be its reference known or not. False: it may send a bill."""
        route = self._route
        if route is None or not route.account.paid:
            await self.stop_backend()
            return True
        try:
            async with asyncio.timeout(STOPPING):
                self._ref = self._ref or await self._tools.ways.look(route, self.task)
        except Exception as error:  # noqa: BLE001 - the job ends all the same
            log.warning("backend_not_searched", error=repr(error))
        return self._ref is not None and await self.stop_backend()

    async def stop_backend(self) -> bool:
        """Tell the backend to stop what it accepted. False: it cannot, or does not answer, and may go on."""
        if self._route is None or self._ref is None:
            return True
        if not self._route.provider.capabilities.cancels:
            return False
        try:
            async with asyncio.timeout(STOPPING):
                await self._route.provider.cancel(self._ref)
        except Exception as error:  # noqa: BLE001 - the job ends all the same
            log.warning("backend_not_stopped", error=repr(error))
            return False
        return True

    async def _end(self, report: Callable[[], Awaitable[None]]) -> None:
        try:
            await self._insist(report)
        except LeaseLost:
            await self.abandon()

    # Generate

    async def _generate(self, route: Route) -> Made:
        traces.note(provider=route.provider_name)
        request = await self._request(route)
        seconds = (await self._time_limit()).total_seconds()
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                with (
                    traces.span("generate", "client", provider=route.provider_name, model=route.model),
                    self._hook() as hook,
                ):
                    made = await self._follow(route, replace(request, hook=hook))
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise self._broken_off(route, f"took longer than {seconds:g} s") from error
        except asyncio.CancelledError as error:
            if _is_cancelled():
                raise
            raise self._broken_off(route, "broke off by itself") from error
        if sorted(made.pictures) != list(range(request.n)):
            raise InvalidOutput(f"{route.provider_name} returned {len(made.pictures)} of {request.n} pictures")
        return made

    async def _request(self, route: Route) -> Request:
        """What the provider is asked; a store that has its pictures and does not answer is waited for."""
        requests: list[Request] = []

        async def load() -> None:
            requests.append(await self._tools.ways.request(self.task, route, resumes=self._ref is not None))

        await self._insist(load)
        return requests[-1]

    def _hook(self) -> AbstractContextManager[Hook | None]:
        hooks = self._tools.hooks
        return hooks.open(self.task.media.id, self.task.job.id) if hooks else nullcontext()

    def _broken_off(self, route: Route, how: str) -> ProviderError:
        """What is known where a provider did not say it: of a paid one, at worst that it took the request."""
        if self._ref is None and route.account.paid:
            return SubmissionUncertain(f"{route.provider_name} {how}: it may have taken the request")
        return BrokenOff(f"{route.provider_name} {how}")

    async def _time_limit(self) -> timedelta:
        model = await self._tools.ways.model_of(self.task.media)
        return model.job_timeout or self._tools.job_timeout

    async def _follow(self, route: Route, request: Request) -> Made:
        made, began = Made(), asyncio.get_running_loop().time()
        events = route.provider.generate(request, resume=self._ref)
        async with aclosing(events):  # type: ignore[type-var]
            async for event in events:
                match event:
                    case Accepted(ref=ref):
                        await self._accepted(ref)
                    case Progress(step=step, total=total):
                        await self._progress(step, total)
                    case Preview(image=image):
                        await self._preview(image)
                    case Produced(index=index):
                        made.pictures[index] = event
                    case Finished(cost=cost, seconds=billed):
                        made.cost = cost
                        made.seconds = billed if billed is not None else asyncio.get_running_loop().time() - began
                        break
        return made

    async def _accepted(self, ref: str) -> None:
        self._ref = self._unsaved = ref
        await self._insist(lambda: self._save(ref))

    async def _save(self, ref: str) -> None:
        assert self._route is not None
        await self._tools.lifecycle.accept(
            self.task, route=self._route.label, account=self._route.account.name, ref=ref
        )
        self._unsaved = None

    async def _progress(self, step: int, total: int) -> None:
        """Save progress, but not more often than someone could read it."""
        quarter, now = milestone(step, total), asyncio.get_running_loop().time()
        if quarter == self._reached and now - self._told < PROGRESS_INTERVAL:
            return
        told, self._reached, self._told = quarter > self._reached, quarter, now
        try:
            await self._tools.lifecycle.progress(self.task, step, total, milestone=told)
        except DatabaseUnavailable:
            log.warning("progress_not_saved")

    async def _preview(self, image: bytes) -> None:
        """Show a picture on its way, but not more often than someone could look at it."""
        now = asyncio.get_running_loop().time()
        if now - self._previewed < PREVIEW_INTERVAL:
            return
        self._previewed = now
        try:
            self._tools.lifecycle.preview(self.task, await self._tools.developer.preview(image))
        except (InvalidOutput, OutputTooLarge) as error:
            log.info("preview_not_shown", reason=error.message)

    # Record

    async def _fail(self, error: Exception) -> None:
        lifecycle, route = self._tools.lifecycle, self._route
        at = lifecycle.now()
        if route is not None and self._ref is None:
            error = self._told_apart(route, error)
        resumable = await self._may_resume(error)
        stopped = isinstance(error, BrokenOff) and self.task.job.provider_ref is None
        decision = after_failure(
            error,
            self._tried(resumable=resumable, stopped=stopped),
            now=at,
            backoff=self._tools.backoff,
            rng=self._tools.rng,
            patience=self._tools.patience,
        )
        is_open = isinstance(decision, GiveUp) and resumable and not (self._ref and await self.stop_backend())
        provider = route.provider_name if route else self.task.job.provider
        trouble = trouble_of(error, route.account, at) if route else None
        item = reporting.Fail(self.task.job.id, at, provider, as_failure(error, provider), decision, trouble, is_open)
        log.info("job_failed", code=item.failure.code, decision=type(decision).__name__)
        traces.note(failed=item.failure.code)
        self.phase = Phase.REPORTING
        await self._insist(lambda: lifecycle.fail(self.task, item))

    def _told_apart(self, route: Route, error: Exception) -> Exception:
        """What an error means where the backend gave no reference: a paid one may send a bill all the same."""
        if not route.account.paid:
            return caused_by(error, Transient(error.message)) if isinstance(error, SubmissionUncertain) else error
        if isinstance(error, InvalidOutput):
            return caused_by(error, UnusableOutput(f"{error.message}; it was made, and is paid for"))
        if not isinstance(error, DarkroomError):
            return caused_by(error, self._broken_off(route, f"broke with {type(error).__name__}"))
        return error

    async def _may_resume(self, error: Exception) -> bool:
        """Whether the next job may go on where this one was accepted; if not, nothing of this one runs on.

        One that fails before it goes any way may have been sent by an earlier job.
        """
        route = self._route
        if route is None:
            return self.task.job.sent_at is not None and not isinstance(error, SubmissionUncertain)
        if isinstance(error, SubmissionUncertain):
            return self._ref is None and (route.provider.capabilities.finds or await self._resubmits())
        if isinstance(error, Interrupted):
            return self._ref is not None
        has_ended = isinstance(error, ProviderError) and not isinstance(error, BrokenOff | InvalidOutput)
        if route.account.paid and self._ref is not None and not has_ended:
            if isinstance(error, BrokenOff):
                await self.stop_backend()
            return True  # it may have been made all the same: the next job looks before anything is asked anew
        if not has_ended or route.provider.capabilities.cancels:
            return not await self.stop_backend() and route.account.paid
        return False

    async def _resubmits(self) -> bool:
        return (await self._tools.ways.model_of(self.task.media)).resubmit

    def _tried(self, *, resumable: bool, stopped: bool) -> Tried:
        media, job = self.task.media, self.task.job
        model = self._tools.ways.find_model(media)
        return Tried(
            job.number, media.number_of_tries, media.max_tries, self._route.label if self._route else None,
            list(routes_of(model, media)) if model else (), job.routing, resumable, stopped,
        )  # fmt: skip

    async def _insist(self, attempt: Callable[[], Awaitable[None]]) -> None:
        """Do `attempt` until the database or the store takes it, with what there is to save at hand."""
        for n in count():
            try:
                await attempt()
            except Unavailable as error:
                log.warning("waiting", reason=error.message)
                if n == 0 and isinstance(error, StorageUnavailable):
                    await self._say(error.message)
                await asyncio.sleep(INSISTING.seconds(n, self._tools.rng))
            else:
                return

    async def _say(self, reason: str) -> None:
        """Tell in the story what the job waits for."""
        event = Waiting(self.task.media.id, self.task.job.id, self._tools.lifecycle.now(), reason)
        await self._insist(lambda: self._tools.lifecycle.tell(event))


def _is_cancelled() -> bool:
    """Whether someone cancelled this task; else a CancelledError came out of what it called."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
