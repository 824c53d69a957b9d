"""One claimed job, from the provider to the store to the record."""

import asyncio
import random
import traceback
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import Enum, auto
from itertools import count
from typing import Any

import structlog

from darkroom.engine.catalogue import Catalogue, Route
from darkroom.engine.lifecycle import Lifecycle
from darkroom.engine.transitions import reporting
from darkroom.engine.transitions.base import Report, prefix_of
from darkroom.engine.transitions.leasing import Task
from darkroom.errors import (
    DarkroomError,
    DatabaseUnavailable,
    InvalidOutput,
    LeaseLost,
    Permanent,
    StorageUnavailable,
    Transient,
    Unavailable,
)
from darkroom.imaging import Description, Developer, Picture
from darkroom.media.events import Stored, Waiting
from darkroom.media.model import Failure, File, Request
from darkroom.media.policy import Backoff, after_failure, milestone, pick_route
from darkroom.providers.base import Accepted, Finished, Preview, Produced, Progress
from darkroom.storage.base import Storage

log = structlog.get_logger(__name__)

LONGEST_TRACEBACK = 16_000
PROGRESS_INTERVAL = 0.5
INSISTING = Backoff(base=0.2, cap=5.0)
LANDING = 2.0
"""Seconds that a put gets to end when its job is stopped: what lands later is not cleared with the rest."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What every job is run with."""

    lifecycle: Lifecycle
    catalogue: Catalogue
    storage: Storage
    developer: Developer
    worker: str
    backoff: Backoff
    job_timeout: timedelta
    rng: random.Random = field(default_factory=random.Random)


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
        pictures, cost = await self._generate()
        self.phase = Phase.AT_HAND
        report = await self._develop(pictures, cost)
        self.phase = Phase.REPORTING
        await self._insist(lambda: self._tools.lifecycle.report(reporting.complete, report))

    async def release(self) -> None:
        """Give the job back, the try uncounted. The backend goes on; another worker resumes there."""
        item = reporting.Release(self.task.job.id, self._tools.lifecycle.now(), self._tools.worker)

        async def give_back() -> None:
            if self._unsaved is not None:
                await self._save(self._unsaved)
            await self._tools.lifecycle.report(reporting.release, item)

        await self._end(give_back)

    async def let_go(self) -> None:
        """Stop the backend and end the job: it was cancelled."""
        await self.stop_backend()
        item = Report(self.task.job.id, self._tools.lifecycle.now())
        await self._end(lambda: self._tools.lifecycle.report(reporting.let_go, item))

    async def abandon(self) -> None:
        """The job is another's now, or deleted: what this run stored is not wanted. Nobody else stops a deleted one."""

        async def discard() -> None:
            if not await self._tools.lifecycle.discard(self.task):
                await self.stop_backend()

        await self._insist(discard)

    async def stop_backend(self) -> None:
        """Tell the backend to stop what it accepted; a backend that does not answer is left alone."""
        if self._route is None or self._ref is None:
            return
        try:
            async with asyncio.timeout(10):
                await self._route.provider.cancel(self._ref)
        except Exception as error:  # noqa: BLE001 - the job ends all the same
            log.warning("backend_not_stopped", **self._ids(), error=repr(error))

    async def _end(self, report: Callable[[], Awaitable[None]]) -> None:
        try:
            await self._insist(report)
        except LeaseLost:
            await self.abandon()

    # Generate

    async def _generate(self) -> tuple[dict[int, Produced], Decimal | None]:
        route = self._route = self._pick_route()
        request = self._request(route)
        limit = asyncio.timeout(self._tools.job_timeout.total_seconds())
        try:
            async with limit:
                pictures, cost = await self._follow(route, request)
        except TimeoutError as error:
            if not limit.expired():
                raise
            seconds = self._tools.job_timeout.total_seconds()
            raise Transient(f"{route.provider_name} took longer than {seconds:g} s") from error
        except asyncio.CancelledError as error:
            if _is_cancelled():
                raise
            raise Transient(f"{route.provider_name} broke off by itself") from error
        if sorted(pictures) != list(range(request.n)):
            raise InvalidOutput(f"{route.provider_name} returned {len(pictures)} of {request.n} pictures")
        return pictures, cost

    async def _follow(self, route: Route, request: Request) -> tuple[dict[int, Produced], Decimal | None]:
        pictures: dict[int, Produced] = {}
        cost: Decimal | None = None
        events = route.provider.generate(request, resume=self._ref)
        async with aclosing(events):  # type: ignore[type-var]
            async for event in events:
                match event:
                    case Accepted(ref=ref):
                        await self._accepted(ref)
                    case Progress(step=step, total=total):
                        await self._progress(step, total)
                    case Preview():
                        pass  # a picture on its way is for those who watch, and is never kept
                    case Produced(index=index):
                        pictures[index] = event
                    case Finished(cost=cost):
                        break
        return pictures, cost

    def _pick_route(self) -> Route:
        media, job = self.task.media, self.task.job
        model = self._tools.catalogue.find(media.model)
        if model is None:
            raise Permanent(f"the model {media.model!r} is not configured any more")
        earlier = model.route_of(job.provider) if job.provider and job.provider_ref else None
        if earlier is None:
            self._ref = None
        return earlier or pick_route(model.routes, tries=media.number_of_tries)

    def _request(self, route: Route) -> Request:
        media = self.task.media
        parameters = {name: value for name, value in media.parameters.items() if name != "output_format"}
        return Request(media.id, self.task.job.id, media.prompt, route.model, parameters)

    async def _accepted(self, ref: str) -> None:
        """Save `ref`. If the job is another's by now, which cannot know of `ref`, nobody will ask for it again."""
        self._ref = self._unsaved = ref
        try:
            await self._insist(lambda: self._save(ref))
        except LeaseLost:
            await self.stop_backend()
            raise

    async def _save(self, ref: str) -> None:
        assert self._route is not None
        await self._tools.lifecycle.accept(self.task, provider=self._route.provider_name, ref=ref)
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
            log.warning("progress_not_saved", **self._ids())

    # Store

    async def _develop(self, pictures: dict[int, Produced], cost: Decimal | None) -> reporting.Complete:
        assert self._route is not None
        files, stored = [], []
        for index, produced in sorted(pictures.items()):
            picture = await self._tools.developer.develop(
                produced.content,
                output_format=self.task.media.parameters.get("output_format"),
                description=self._description(produced),
            )
            files.append(await self._store(index, picture, produced.seed))
            at = self._tools.lifecycle.now()
            stored.append(
                Stored(self.task.media.id, self.task.job.id, at, index, picture.content_type, len(picture.content))
            )
        now = self._tools.lifecycle.now()
        return reporting.Complete(
            self.task.job.id, now, self._route.provider_name, tuple(files), tuple(stored), cost
        )  # fmt: skip

    def _description(self, produced: Produced) -> Description:
        media = self.task.media
        return Description(media.prompt, media.model, produced.seed, media.parameters)

    async def _store(self, index: int, picture: Picture, seed: int | None) -> File:
        base = f"{prefix_of(self.task.media.id, self.task.job.id)}{index}"
        key, thumbnail_key = f"{base}.{picture.extension}", None
        await self._put(key, picture.content, picture.content_type)
        if picture.thumbnail is not None:
            thumbnail_key = f"{base}.thumbnail.webp"
            await self._put(thumbnail_key, picture.thumbnail, "image/webp")
        return File(
            media_id=self.task.media.id, index=index, key=key, thumbnail_key=thumbnail_key,
            content_type=picture.content_type, width=picture.width, height=picture.height,
            bytes=len(picture.content), sha256=picture.sha256, placeholder=picture.placeholder, seed=seed,
        )  # fmt: skip

    async def _put(self, key: str, content: bytes, content_type: str) -> None:
        await self._insist(lambda: self._land(key, content, content_type))

    async def _land(self, key: str, content: bytes, content_type: str) -> None:
        """Put, and if the job is stopped meanwhile, wait for the end: no file may appear after the clean-up."""
        putting = asyncio.ensure_future(self._tools.storage.put(key, content, content_type=content_type))
        try:
            await asyncio.shield(putting)
        except asyncio.CancelledError:
            await asyncio.wait([putting], timeout=LANDING)
            raise

    # Record

    async def _fail(self, error: Exception) -> None:
        media, job, lifecycle = self.task.media, self.task.job, self._tools.lifecycle
        decision = after_failure(
            error,
            number=job.number,
            tries=media.number_of_tries,
            max_tries=media.max_tries,
            now=lifecycle.now(),
            backoff=self._tools.backoff,
            rng=self._tools.rng,
        )
        provider = self._route.provider_name if self._route else None
        item = reporting.Fail(job.id, lifecycle.now(), provider, as_failure(error, provider), decision)
        log.info("job_failed", **self._ids(), code=item.failure.code, decision=type(decision).__name__)
        await self.stop_backend()  # the next try begins anew: nothing of this one may run on
        self.phase = Phase.REPORTING
        await self._insist(lambda: lifecycle.report(reporting.fail, item))

    async def _insist(self, attempt: Callable[[], Awaitable[None]]) -> None:
        """Do `attempt` until the database or the store takes it, with what there is to save at hand."""
        for n in count():
            try:
                await attempt()
            except Unavailable as error:
                log.warning("waiting", **self._ids(), reason=error.message)
                if n == 0 and isinstance(error, StorageUnavailable):
                    await self._say_waiting(error)
                await asyncio.sleep(INSISTING.seconds(n, self._tools.rng))
            else:
                return

    async def _say_waiting(self, error: Unavailable) -> None:
        event = Waiting(self.task.media.id, self.task.job.id, self._tools.lifecycle.now(), error.message)
        await self._insist(lambda: self._tools.lifecycle.tell(event))

    def _ids(self) -> dict[str, Any]:
        return {"media_id": str(self.task.media.id), "job_id": str(self.task.job.id)}


def as_failure(error: Exception, provider: str | None) -> Failure:
    """What is saved of `error`. The text of an error that is not ours stays in the traceback: it may say too much."""
    story = _storable("".join(traceback.format_exception(error))[-LONGEST_TRACEBACK:])
    if isinstance(error, DarkroomError):
        return Failure(error.code, _storable(error.message), error.retryable, provider, story)
    what = f"{provider or 'the job'} broke with {type(error).__name__}"
    return Failure("provider_crashed", what, retryable=True, provider=provider, traceback=story)


def _storable(text: str) -> str:
    """`text` without what no database takes: NULs and lone surrogates. A backend's own words may hold any."""
    return text.replace("\0", "").encode(errors="replace").decode()


def _is_cancelled() -> bool:
    """Whether someone cancelled this task; else a CancelledError came out of what it called."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
