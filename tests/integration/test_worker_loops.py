"""What becomes of jobs: the real engine in this process, on a real database and a real folder."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, update

from darkroom.db import tables
from darkroom.engine.core import Engine
from darkroom.engine.transitions import leasing
from darkroom.engine.transitions.leasing import Lose, Task
from darkroom.errors import NotFound, Transient
from darkroom.media.model import Request
from darkroom.media.states import ENDED, JobState, Status
from darkroom.providers import registry
from darkroom.providers.base import NO_OPTIONS, Accepted, Capabilities, Event, Finished, Options, Produced, Provider
from darkroom.providers.dummy import _gradient
from darkroom.settings import Lane, Model, Retry, Route, Settings
from darkroom.storage.folder import FolderStorage
from darkroom.wiring import open_engine
from services.engines import (
    clean,
    dummy,
    ended,
    events,
    files_in,
    media_of,
    rows,
    running,
    states,
    stored,
    story,
    submit,
    until,
    working,
)

pytestmark = pytest.mark.anyio

PICTURE = _gradient(8, 8)


class Scripted(Provider):
    """A provider that plays what the test gives it, and remembers what it was asked."""

    capabilities = Capabilities(resumes=True, cancels=True)

    def __init__(self) -> None:
        self.play: Callable[[Request, str | None], AsyncIterator[Event]] = picture
        self.prompts: list[str] = []
        self.cancelled: list[str] = []
        self.cleaned_up = 0
        self.active = 0
        self.most_active = 0

    def describe(self, model: str) -> str:
        return "as the test says"

    def schema(self, model: str, options: Options = NO_OPTIONS) -> dict[str, Any]:
        return {"type": "object", "properties": {"n": {"type": "integer", "default": 1}}}

    async def generate(self, request: Request, *, resume: str | None) -> AsyncIterator[Event]:
        self.prompts.append(request.prompt)
        self.active += 1
        self.most_active = max(self.active, self.most_active)
        try:
            async for event in self.play(request, resume):
                yield event
        finally:
            self.active -= 1
            self.cleaned_up += 1

    async def cancel(self, ref: str) -> None:
        self.cancelled.append(ref)


async def picture(request: Request, resume: str | None) -> AsyncIterator[Event]:
    for index in range(request.n):
        yield Produced(index, PICTURE)
    yield Finished()


async def waiting(request: Request, resume: str | None) -> AsyncIterator[Event]:
    """Accepted, and never answered."""
    if resume is None:
        yield Accepted(f"ref of {request.prompt}")
    await asyncio.Event().wait()


def once(
    first: Callable[[Request, str | None], AsyncIterator[Event]],
) -> Callable[[Request, str | None], AsyncIterator[Event]]:
    """Play `first` at the first try, a picture at all others."""
    plays = [first]

    def play(request: Request, resume: str | None) -> AsyncIterator[Event]:
        return (plays.pop() if plays else picture)(request, resume)

    return play


@pytest.fixture(autouse=True)
def _scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.BUILT_IN, "scripted", f"{__name__}:Scripted")


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        retry=Retry(base=0.01, cap=0.05),
        poll_interval=0.02,
        stop_grace=0,
        lanes={"default": Lane(), "gpu": Lane(concurrency=1)},
        models={
            "scripted": Model(routes=[Route(provider="scripted")]),
            "slow": Model(routes=[Route(provider="scripted")], lane="gpu"),
            "either": Model(routes=[Route(provider="scripted"), Route(provider="dummy")]),
        },
    )


def provider(engine: Engine, model: str = "scripted") -> Scripted:
    found = engine.catalogue.get(model).routes[0].provider
    assert isinstance(found, Scripted)
    return found


# Failures


async def test_a_failed_try_is_made_again_after_a_while(settings: Settings) -> None:
    async with working(settings) as engine:
        media_id = await submit(engine, fail_first=2)
        media = await ended(engine, media_id)
        assert media.status is Status.COMPLETED
        assert media.number_of_tries == 3
        assert media.error is None
        jobs = await engine.queries.jobs(media_id)
        assert [job.state.value for job in jobs] == ["failed", "failed", "succeeded"]
        assert [job.number for job in jobs] == [1, 2, 3]
        for job in jobs[1:]:
            assert job.started_at is not None
            assert job.started_at >= job.run_at >= job.created_at
        await clean(engine)
        assert await stored(engine) == {media.files[0].key, media.files[0].thumbnail_key}


async def test_the_wait_that_a_backend_asks_for_is_kept(settings: Settings) -> None:
    async with working(settings) as engine:
        media_id = await submit(engine, fail_first=1, retry_after=0.4)
        await ended(engine, media_id)
        first, second = await engine.queries.jobs(media_id)
        assert first.finished_at is not None
        assert second.started_at is not None
        assert second.started_at - first.finished_at >= timedelta(seconds=0.39)


async def test_a_throttled_try_does_not_count(settings: Settings) -> None:
    async with working(settings) as engine:
        media_id = await submit(engine, fail_first=3, error="throttled", max_tries=1)
        media = await ended(engine, media_id)
        assert media.status is Status.COMPLETED
        assert media.number_of_tries == 1
        assert await states(engine, media_id) == ["failed", "failed", "failed", "succeeded"]


@pytest.mark.parametrize(("error", "code"), [("permanent", "provider_failed"), ("rejected", "prompt_rejected")])
async def test_what_cannot_succeed_ends_at_once(settings: Settings, error: str, code: str) -> None:
    async with working(settings) as engine:
        media_id = await submit(engine, fail_first=1, error=error)
        media = await ended(engine, media_id)
        assert media.status is Status.ERROR
        assert media.number_of_tries == 1
        assert media.error is not None
        assert (media.error.code, media.error.retryable, media.error.provider) == (code, False, "dummy")
        assert await states(engine, media_id) == ["failed"]


async def test_when_the_tries_are_spent_each_job_tells_its_error(settings: Settings) -> None:
    async with working(settings) as engine:
        media_id = await submit(engine, error_rate=1, max_tries=3)
        media = await ended(engine, media_id)
        assert media.status is Status.ERROR
        assert media.number_of_tries == 3
        assert media.error is not None
        assert media.error.traceback is None
        jobs = await engine.queries.jobs(media_id)
        assert [job.state.value for job in jobs] == ["failed"] * 3
        for job in jobs:
            assert job.error is not None
            assert job.error.message == "the dummy provider was asked for transient"
            assert "Traceback" in (job.error.traceback or "")
        assert (await story(engine, media_id))[-1] == "given up after 3 tries"


@pytest.mark.parametrize(
    ("error", "code", "what"),
    [
        ("garbage", "invalid_output", "returned"),
        ("html", "invalid_output", "HTML"),
        ("truncated", "invalid_output", "truncated PNG"),
        ("bomb", "output_too_large", "60000 x 60000"),
    ],
)
async def test_what_is_no_picture_is_not_stored(settings: Settings, error: str, code: str, what: str) -> None:
    async with working(settings) as engine:
        media_id = await submit(engine, error_rate=1, error=error, max_tries=1, n=2)
        media = await ended(engine, media_id)
        assert media.status is Status.ERROR
        assert media.error is not None
        assert media.error.code == code
        assert what in media.error.message
        await clean(engine)
        assert await rows(engine, tables.files) == []
        assert files_in(settings) == []


async def test_a_second_picture_that_is_none_takes_the_first_with_it(settings: Settings) -> None:
    async def half(request: Request, resume: str | None) -> AsyncIterator[Event]:
        yield Produced(0, PICTURE)
        yield Produced(1, b"<html>")

    async with working(settings) as engine:
        provider(engine).play = half
        media_id = await submit(engine, model="scripted", n=2, max_tries=1)
        assert (await ended(engine, media_id)).status is Status.ERROR
        await clean(engine)
        assert files_in(settings) == []


@pytest.mark.parametrize("indices", [[], [0], [0, 2], [1, 2]])
async def test_too_few_pictures_are_a_failure(settings: Settings, indices: list[int]) -> None:
    async def few(request: Request, resume: str | None) -> AsyncIterator[Event]:
        for index in indices:
            yield Produced(index, PICTURE)

    async with working(settings) as engine:
        provider(engine).play = few
        media = await ended(engine, await submit(engine, model="scripted", n=2, max_tries=1))
        assert media.error is not None
        assert media.error.message == f"scripted returned {len(indices)} of 2 pictures"


async def test_a_crash_of_the_provider_is_tried_again_and_leaks_nothing(settings: Settings) -> None:
    async def crash(request: Request, resume: str | None) -> AsyncIterator[Event]:
        raise RuntimeError("https://backend/?key=hunter2")
        yield

    async with working(settings) as engine:
        provider(engine).play = once(crash)
        media_id = await submit(engine, model="scripted")
        assert (await ended(engine, media_id)).status is Status.COMPLETED
        first = (await engine.queries.jobs(media_id))[0]
        assert first.error is not None
        assert first.error.message == "scripted broke with RuntimeError"
        assert first.error.code == "provider_crashed"
        assert "hunter2" in (first.error.traceback or "")
        assert "hunter2" not in " ".join(await story(engine, media_id))


async def test_no_word_of_a_backend_is_too_odd_to_be_saved(settings: Settings) -> None:
    async def odd(request: Request, resume: str | None) -> AsyncIterator[Event]:
        raise Transient("a\0b \ud800 c")
        yield

    async with working(settings) as engine:
        provider(engine).play = odd
        media = await ended(engine, await submit(engine, model="scripted", max_tries=1))
        assert media.error is not None
        assert media.error.message == "ab ? c"


async def test_what_hangs_is_stopped_and_tried_again(settings: Settings) -> None:
    async with working(settings, job_timeout=1) as engine:
        provider(engine).play = once(waiting)
        media_id = await submit(engine, model="scripted")
        assert (await ended(engine, media_id)).status is Status.COMPLETED
        first, second = await engine.queries.jobs(media_id)
        assert first.error is not None
        assert first.error.message == "scripted took longer than 1 s"
        assert second.provider_ref is None
        assert provider(engine).cancelled == ["ref of a test"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (TimeoutError("its own"), "scripted broke with TimeoutError"),
        (asyncio.CancelledError("its own"), "scripted broke off by itself"),
    ],
)
async def test_a_providers_own_timeout_is_not_taken_for_ours(
    settings: Settings, error: BaseException, message: str
) -> None:
    async def broken(request: Request, resume: str | None) -> AsyncIterator[Event]:
        raise error
        yield

    async with working(settings) as engine:
        provider(engine).play = once(broken)
        media_id = await submit(engine, model="scripted")
        assert (await ended(engine, media_id)).status is Status.COMPLETED
        first = (await engine.queries.jobs(media_id))[0]
        assert first.error is not None
        assert first.error.message == message


async def test_the_second_route_is_taken_after_a_failure(settings: Settings) -> None:
    async def fail(request: Request, resume: str | None) -> AsyncIterator[Event]:
        raise Transient("not today")
        yield

    async with working(settings) as engine:
        provider(engine, "either").play = fail
        media_id = await submit(engine, model="either")
        assert (await ended(engine, media_id)).status is Status.COMPLETED
        assert [job.provider for job in await engine.queries.jobs(media_id)] == ["scripted", "dummy"]


async def test_a_model_that_was_taken_out_is_an_error(settings: Settings) -> None:
    async with open_engine(settings) as engine:
        media_id = await submit(engine, model="scripted")
    async with working(
        settings, models={"dummy": Model(routes=[Route(provider="dummy")])}, default_model="dummy"
    ) as engine:
        media = await ended(engine, media_id)
        assert media.status is Status.ERROR
        assert media.error is not None
        assert media.error.message == "the model 'scripted' is not configured any more"


# Stopped from outside


async def test_a_running_job_is_cancelled_at_once(settings: Settings) -> None:
    async with working(settings, lease=3600) as engine:
        provider(engine).play = waiting
        media_id = await submit(engine, model="scripted")
        await running(engine, media_id)
        await engine.lifecycle.cancel(media_id)
        assert (await ended(engine, media_id)).status is Status.CANCELLED
        assert await states(engine, media_id) == ["cancelled"]
        assert provider(engine).cancelled == ["ref of a test"]
        assert provider(engine).cleaned_up == 1


@pytest.mark.parametrize("wish", ["cancel", "delete"])
async def test_a_job_that_is_not_wanted_while_it_is_claimed_is_stopped_at_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, wish: str
) -> None:
    async with working(settings, lease=3600) as engine:
        provider(engine).play = waiting
        claim = engine.lifecycle.claim

        async def claimed_and_unwanted(*arguments: Any, **options: Any) -> Sequence[Task]:
            tasks = await claim(*arguments, **options)
            for task in tasks:
                await (engine.lifecycle.cancel if wish == "cancel" else engine.remove)(task.media.id)
            return tasks

        monkeypatch.setattr(engine.lifecycle, "claim", claimed_and_unwanted)
        media_id = await submit(engine, model="scripted")
        if wish == "cancel":
            assert (await ended(engine, media_id)).status is Status.CANCELLED

        async def stopped() -> bool:
            return not any(worker._held for worker in engine.workers)

        await until(stopped)


async def test_a_job_that_another_process_runs_is_cancelled_at_its_next_heartbeat(settings: Settings) -> None:
    async with working(settings, lease=1) as engine, open_engine(settings) as other:
        provider(engine).play = waiting
        media_id = await submit(engine, model="scripted")
        await running(engine, media_id)
        await other.lifecycle.cancel(media_id)
        assert (await ended(engine, media_id)).status is Status.CANCELLED
        assert provider(engine).cancelled == ["ref of a test"]


@pytest.mark.parametrize("process", ["this", "another"])
async def test_a_deleted_media_stops_its_provider_and_leaves_nothing(settings: Settings, process: str) -> None:
    async with working(settings, lease=1) as engine, open_engine(settings) as other:
        provider(engine).play = waiting
        media_id = await submit(engine, model="scripted")
        await running(engine, media_id)
        await (engine if process == "this" else other).remove(media_id)

        async def stopped() -> bool:
            return provider(engine).cleaned_up == 1 and provider(engine).cancelled == ["ref of a test"]

        await until(stopped)
        with pytest.raises(NotFound):
            await engine.queries.media(media_id)
        await clean(engine)
        assert files_in(settings) == []


async def test_a_stop_in_the_middle_of_a_write_leaves_no_file(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, go_on = threading.Event(), threading.Event()
    write = FolderStorage._write

    def slow_write(storage: FolderStorage, key: str, content: bytes) -> None:
        writing.set()
        go_on.wait(10)
        write(storage, key, content)

    monkeypatch.setattr(FolderStorage, "_write", slow_write)
    async with working(settings) as engine:
        media_id = await submit(engine)
        await asyncio.to_thread(writing.wait, 10)
        await engine.lifecycle.cancel(media_id)
        asyncio.get_running_loop().call_later(0.3, go_on.set)
        assert (await ended(engine, media_id)).status is Status.CANCELLED
        assert go_on.is_set()
        await clean(engine)
        assert files_in(settings) == []


async def test_a_job_whose_lease_is_lost_makes_way_for_its_successor(settings: Settings) -> None:
    async with working(settings, lease=1) as engine:
        provider(engine).play = once(waiting)
        media_id = await submit(engine, model="scripted")
        job = await running(engine, media_id)
        await engine.storage.put(f"{media_id}/{job.id}/0.png", PICTURE, content_type="image/png")
        await steal(engine)
        media = await ended(engine, media_id)
        assert media.status is Status.COMPLETED
        assert media.number_of_tries == 2

        async def stopped() -> bool:
            return provider(engine).cleaned_up == 2

        await until(stopped)
        first, second = await engine.queries.jobs(media_id)
        assert (first.state, second.state) == (JobState.LOST, JobState.SUCCEEDED)
        assert second.provider_ref == "ref of a test"
        assert provider(engine).cancelled == []
        await clean(engine)
        assert await stored(engine) == {media.files[0].key, media.files[0].thumbnail_key}
        assert str(second.id) in media.files[0].key


async def steal(engine: Engine) -> None:
    """Have every lease run out and be judged, with no time for a heartbeat in between."""
    now = datetime.now(UTC)

    def run_out(connection: Connection) -> None:
        connection.execute(update(tables.jobs).values(lease_expires_at=now - timedelta(seconds=1)))
        leasing.lose(connection, [Lose(now, 100)])

    await engine.database.transact(run_out)


async def test_a_backend_whose_ref_comes_too_late_is_stopped(settings: Settings) -> None:
    """The successor cannot know of it: it would be paid for, and nobody would ever fetch it."""
    asked, accept = asyncio.Event(), asyncio.Event()

    async def late(request: Request, resume: str | None) -> AsyncIterator[Event]:
        asked.set()
        await accept.wait()
        yield Accepted("late")
        await asyncio.Event().wait()

    async with working(settings) as engine:
        provider(engine).play = once(late)
        media_id = await submit(engine, model="scripted")
        await asked.wait()
        await steal(engine)
        accept.set()
        assert (await ended(engine, media_id)).status is Status.COMPLETED

        async def stopped() -> bool:
            return provider(engine).cancelled == ["late"]

        await until(stopped)


# The service stops


async def test_a_released_job_goes_on_at_its_backend(settings: Settings) -> None:
    async with open_engine(settings) as first:
        async with first.working():
            media_id = await submit(first, resumable=True, delay=0.3)
            await running(first, media_id)
        assert await states(first, media_id) == ["released", "queued"]
        made_before = dummy(first).created
    async with working(settings) as second:
        media = await ended(second, media_id)
        assert media.status is Status.COMPLETED
        assert media.number_of_tries == 1
        assert (made_before, dummy(second).created) == (1, 0)
        refs = [job.provider_ref for job in await second.queries.jobs(media_id)]
        assert refs[0] == refs[1]


async def test_what_ends_within_the_grace_is_not_released(settings: Settings) -> None:
    async with open_engine(settings.model_copy(update={"stop_grace": 10.0})) as engine:
        async with engine.working():
            media_id = await submit(engine, resumable=True, delay=0.3)
            await running(engine, media_id)
        assert (await media_of(engine, media_id)).status is Status.COMPLETED


async def test_what_is_claimed_while_the_service_stops_is_given_back(settings: Settings) -> None:
    async with open_engine(settings) as engine:
        claim = engine.lifecycle.claim

        async def claim_late(*args: Any, **kwargs: Any) -> Sequence[Task]:
            claimed = await claim(*args, **kwargs)
            if claimed:
                engine.begin_stop()
            return claimed

        engine.lifecycle.claim = claim_late  # type: ignore[method-assign]
        media_id = await submit(engine, model="scripted")
        async with engine.working():
            await engine.stopping.wait()
        assert await states(engine, media_id) == ["released", "queued"]
        assert (await media_of(engine, media_id)).number_of_tries == 0
        assert provider(engine).prompts == []


async def test_who_waits_is_answered_when_the_service_stops(settings: Settings) -> None:
    async with working(settings) as engine:
        provider(engine).play = waiting
        media_id = await submit(engine, model="scripted")
        await running(engine, media_id)
        asyncio.get_running_loop().call_later(0.1, engine.begin_stop)
        async with asyncio.timeout(5):
            known = await engine.queries.media(media_id)
            assert (await engine.wait(known, at_most=60)).media.status is Status.PROCESSING


# The loops


async def test_a_story_is_told_in_order(settings: Settings) -> None:
    async with working(settings) as engine:
        media_id = await submit(engine, resumable=True, fail_first=1, steps=8, n=2)
        media = await ended(engine, media_id)
        lines = await events(engine, media_id)
        quarters = ["progressed"] * 4
        assert lines == [
            *["submitted", "claimed", "accepted", *quarters, "failed", "queued"],
            *["claimed", "accepted", *quarters, "stored", "stored", "completed"],
        ]
        told = await story(engine, media_id)
        assert told[0] == "submitted for dummy"
        assert told[1].startswith("job 1 claimed by ")
        assert told[2] == "accepted by dummy"
        assert told[3:7] == ["step 2 of 8", "step 4 of 8", "step 6 of 8", "step 8 of 8"]
        assert told[7] == "failed because the dummy provider was asked for transient (provider_unavailable)"
        assert told[8].startswith("to be retried at ")
        assert told[-3] == f"picture 0 stored: image/png, {media.files[0].bytes} bytes"
        assert told[-1] == "completed with 2 files"


async def test_one_media_is_run_alone(settings: Settings) -> None:
    async with open_engine(settings) as engine:
        other, wanted = await submit(engine, "other"), await submit(engine, "wanted", delay=1.5)
        worker = engine.workers[0]
        assert await worker.run_only(wanted)
        assert (await media_of(engine, wanted)).status is Status.COMPLETED
        assert (await media_of(engine, other)).status is Status.IN_QUEUE
        assert not await worker.run_only(wanted)


async def test_one_media_that_is_run_alone_keeps_its_lease(settings: Settings) -> None:
    async with open_engine(settings.model_copy(update={"lease": 1.0})) as engine:
        media_id = await submit(engine, delay=1.6)
        judged = asyncio.create_task(engine.janitor.run())
        assert await engine.workers[0].run_only(media_id)
        judged.cancel()
        await asyncio.wait([judged])
        assert await states(engine, media_id) == ["succeeded"]


async def test_one_media_that_is_run_alone_is_given_back_when_interrupted(settings: Settings) -> None:
    async with open_engine(settings) as engine:
        provider(engine).play = waiting
        media_id = await submit(engine, model="scripted")
        alone = asyncio.create_task(engine.workers[0].run_only(media_id))
        await running(engine, media_id)
        alone.cancel()
        await asyncio.wait([alone])
        assert await states(engine, media_id) == ["released", "queued"]


async def test_what_matters_more_goes_first(settings: Settings) -> None:
    lanes = {"default": Lane(concurrency=1), "gpu": Lane(concurrency=1)}
    async with open_engine(settings.model_copy(update={"lanes": lanes})) as engine:
        made = [
            await submit(engine, f"{priority} {number}", model="scripted", priority=priority)
            for priority in (-1, 0, 5)
            for number in (1, 2)
        ]
        async with engine.working():
            for media_id in made:
                await ended(engine, media_id)
        assert provider(engine).prompts == ["5 1", "5 2", "0 1", "0 2", "-1 1", "-1 2"]


async def test_no_more_jobs_than_allowed_run_at_once(settings: Settings) -> None:
    async def short(request: Request, resume: str | None) -> AsyncIterator[Event]:
        await asyncio.sleep(0.1)
        yield Produced(0, PICTURE)

    lanes = {"default": Lane(concurrency=3), "gpu": Lane(concurrency=1)}
    async with working(settings, lanes=lanes) as engine:
        provider(engine).play = short
        made = [await submit(engine, model="scripted") for _ in range(15)]
        for media_id in made:
            assert (await ended(engine, media_id)).status is Status.COMPLETED
        assert provider(engine).most_active == 3


async def test_a_full_lane_does_not_hold_up_another(settings: Settings) -> None:
    async with working(settings) as engine:
        provider(engine).play = waiting
        blocked = [await submit(engine, model="slow") for _ in range(2)]
        await running(engine, blocked[0])
        assert (await ended(engine, await submit(engine))).status is Status.COMPLETED
        assert (await media_of(engine, blocked[1])).status is Status.IN_QUEUE
        await engine.lifecycle.cancel(blocked[0])
        await running(engine, blocked[1])


async def test_old_media_are_deleted_with_their_files(settings: Settings) -> None:
    async with working(settings, retention_days=30) as engine:
        old = await submit(engine)
        await ended(engine, old)
        assert files_in(settings) != []
        queued = await submit(engine, delay=3600)
        in_future = datetime.now(UTC) + timedelta(days=31)
        engine.lifecycle.now = lambda: in_future

        async def is_gone() -> bool:
            return len(await rows(engine, tables.media)) == 1

        await until(is_gone)
        assert (await media_of(engine, queued)).status not in ENDED
        await clean(engine)
        assert files_in(settings) == []


async def test_a_job_that_nobody_was_told_of_is_found(settings: Settings) -> None:
    async with working(settings) as engine, open_engine(settings) as other:
        assert (await ended(engine, await submit(other))).status is Status.COMPLETED


@pytest.mark.parametrize("verb", ["claim", "heartbeat"])
async def test_a_loop_that_breaks_goes_on(settings: Settings, verb: str) -> None:
    async with open_engine(settings.model_copy(update={"lease": 1.0})) as engine:
        right = getattr(engine.lifecycle, verb)
        broken = asyncio.Event()

        async def break_once(*args: Any, **kwargs: Any) -> Any:
            if not broken.is_set():
                broken.set()
                raise ZeroDivisionError
            return await right(*args, **kwargs)

        setattr(engine.lifecycle, verb, break_once)
        async with engine.working():
            media_id = await submit(engine, delay=1.5)
            media = await ended(engine, media_id)
            assert broken.is_set()
            assert media.status is Status.COMPLETED
            assert await states(engine, media_id) == ["succeeded"]


async def test_the_janitor_itself_goes_on_after_a_mistake(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_engine(settings) as engine, open_engine(settings) as other:
        right, calls = engine.janitor.run, []

        async def break_once() -> None:
            calls.append(1)
            if len(calls) == 1:
                raise ZeroDivisionError
            await right()

        monkeypatch.setattr(engine.janitor, "run", break_once)
        async with engine.working():
            assert (await ended(engine, await submit(other))).status is Status.COMPLETED


# The janitor's judgement, with a clock of its own


@asynccontextmanager
async def dead_worker(settings: Settings) -> AsyncIterator[tuple[Engine, UUID, list[datetime]]]:
    """An engine whose clock is `now[0]`, and a media whose worker took it and died."""
    async with open_engine(settings.model_copy(update={"lease": 30.0, "poll_interval": 1.0})) as engine:
        now = [datetime.now(UTC)]
        engine.lifecycle.now = lambda: now[0]
        media_id = await submit(engine)
        await engine.lifecycle.claim("default", 1, worker="dead")
        await engine.janitor.round()
        yield engine, media_id, now


async def test_a_lease_that_ran_out_is_taken_away(settings: Settings) -> None:
    async with dead_worker(settings) as (engine, media_id, now):
        for _ in range(31):
            assert await states(engine, media_id) == ["running"]
            now[0] += timedelta(seconds=1)
            await engine.janitor.round()
        assert await states(engine, media_id) == ["lost", "queued"]
        media = await media_of(engine, media_id)
        assert media.number_of_tries == 1
        assert media.error is not None
        assert media.error.code == "worker_lost"


async def test_after_a_time_without_the_database_workers_may_beat_first(settings: Settings) -> None:
    async with dead_worker(settings) as (engine, media_id, now):
        now[0] += timedelta(seconds=300)
        await engine.janitor.round()
        for _ in range(14):
            now[0] += timedelta(seconds=1)
            await engine.janitor.round()
        assert await states(engine, media_id) == ["running"]
        now[0] += timedelta(seconds=2)
        await engine.janitor.round()
        assert await states(engine, media_id) == ["lost", "queued"]


async def test_a_janitor_that_looks_seldom_still_judges(settings: Settings) -> None:
    async with open_engine(settings.model_copy(update={"lease": 1.0, "poll_interval": 60.0})) as engine:
        now = [datetime.now(UTC)]
        engine.lifecycle.now = lambda: now[0]
        media_id = await submit(engine)
        await engine.lifecycle.claim("default", 1, worker="dead")
        await engine.janitor.round()
        now[0] += timedelta(seconds=60)
        await engine.janitor.round()
        assert await states(engine, media_id) == ["lost", "queued"]


async def test_a_job_that_kills_its_workers_ends_as_an_error(settings: Settings) -> None:
    async with open_engine(settings) as engine:
        media_id = await submit(engine, max_tries=2)
        for _ in range(2):
            assert await engine.lifecycle.claim("default", 1, worker="dead")
            await steal(engine)
        media = await media_of(engine, media_id)
        assert media.status is Status.ERROR
        assert media.error is not None
        assert media.error.message == "the worker stopped answering before the job ended"


async def test_one_prefix_that_cannot_be_cleared_keeps_no_other(settings: Settings) -> None:
    async with working(settings) as engine:
        stubborn, other = await submit(engine, n=1), await submit(engine, n=1)
        await ended(engine, stubborn)
        await ended(engine, other)
        folder = settings.data_dir / "files" / str(stubborn)
        aside = folder.with_name("aside")
        folder.rename(aside)
        folder.symlink_to(aside)
        await engine.remove(stubborn)
        await engine.remove(other)

        async def one_left() -> bool:
            return [row.prefix for row in await rows(engine, tables.trash)] == [f"{stubborn}/"]

        await until(one_left)
        folder.unlink()
        await clean(engine)


# Found by a fresh pair of eyes


async def test_a_failed_try_leaves_nothing_running_at_its_backend(settings: Settings) -> None:
    async def breaks(request: Request, resume: str | None) -> AsyncIterator[Event]:
        yield Accepted("begun")
        raise Transient("the line broke")

    async with working(settings) as engine:
        provider(engine).play = once(breaks)
        media_id = await submit(engine, model="scripted")
        assert (await ended(engine, media_id)).status is Status.COMPLETED
        assert provider(engine).cancelled == ["begun"]


async def test_a_media_in_a_lane_that_is_not_configured_any_more_is_made_all_the_same(settings: Settings) -> None:
    async with open_engine(settings) as engine:
        media_id = await submit(engine, model="slow")
    models = {**settings.models, "slow": settings.models["slow"].model_copy(update={"lane": "default"})}
    async with open_engine(settings.model_copy(update={"lanes": {"default": Lane()}, "models": models})) as engine:
        now = [datetime.now(UTC)]
        engine.lifecycle.now = lambda: now[0]
        await engine.janitor.round()
        now[0] += timedelta(minutes=9)  # other processes may have it: a rolling restart
        await engine.janitor.round()
        assert (await engine.queries.jobs(media_id))[0].lane == "gpu"
        now[0] += timedelta(minutes=2)
        await engine.janitor.round()
        async with engine.working():
            assert (await ended(engine, media_id)).status is Status.COMPLETED
