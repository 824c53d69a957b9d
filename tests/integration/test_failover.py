"""What becomes of media whose backends fail, refuse, hang or are full: the real engine, and backends over HTTP."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from darkroom.db import tables
from darkroom.engine import ways
from darkroom.engine.core import Engine
from darkroom.engine.transitions import asking
from darkroom.media.routing import in_order
from darkroom.media.states import Status
from darkroom.providers import registry
from darkroom.settings import Account, Model, Route, Settings
from darkroom.wiring import open_engine
from services.backends.base import Fake
from services.backends.fal import FalFake
from services.backends.openai import OpenAIFake
from services.backends.plain import PlainFake
from services.backends.replicate import NSFW, SCHNELL, End, ReplicateFake
from services.engines import ended, media_of, rows, running, states, story, submit, until, working
from services.routes import PLAIN, Clock, account, codes, creates, model, nowhere, route, settings_of, way

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def fakes() -> Iterator[dict[str, PlainFake]]:
    with PlainFake().running() as north, PlainFake().running() as south:
        yield {"north": north, "south": south}


@pytest.fixture
def north(fakes: dict[str, PlainFake]) -> PlainFake:
    fakes["north"].reset()
    return fakes["north"]


@pytest.fixture
def south(fakes: dict[str, PlainFake]) -> PlainFake:
    fakes["south"].reset()
    return fakes["south"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, path in PLAIN.items():
        monkeypatch.setitem(registry.BUILT_IN, name, path)
    monkeypatch.setattr(ways, "LOOKS", 0.05)


@pytest.fixture
def settings(sqlite_url: str, tmp_path: Path, north: PlainFake, south: PlainFake) -> Settings:
    """Two accounts, each with a model of its own and one that goes by both."""
    return settings_of(
        sqlite_url, tmp_path,
        {"north": account(north), "south": account(south)},
        {"either": model("north", "south"), "northern": model("north"), "southern": model("south")},
    )  # fmt: skip


@pytest.fixture
def shared(settings: Settings, database_url: str) -> Settings:
    """The same on each kind of database: for what is kept there, and what several processes see of it."""
    return settings.model_copy(update={"database_url": database_url})


def changed(settings: Settings, **accounts: Any) -> Settings:
    """The settings with other accounts."""
    return settings.model_copy(update={"accounts": {**settings.accounts, **accounts}})


async def account_row(engine: Engine, name: str) -> Any:
    found = {row.name: row for row in await rows(engine, tables.accounts)}
    return found.get(name)


# From one route to the next


async def test_a_backend_that_is_down_is_passed_over(settings: Settings, south: PlainFake) -> None:
    async with working(changed(settings, north=account(nowhere()))) as engine:
        media_id = await submit(engine, model="either", max_tries=1)
        media = await ended(engine, media_id)
        assert media.status is Status.COMPLETED
        assert await way(engine, media_id) == ["north", "south"]
        assert await codes(engine, media_id) == ["provider_unavailable", ""]
        first, second = await engine.queries.jobs(media_id)
        assert (first.route, second.route) == ("north:plain-1", "south:plain-1")
        assert second.run_at <= second.created_at  # no wait between routes
        assert "failed because plain cannot be reached" in " ".join(await story(engine, media_id))
        assert south.prompts == ["a test"]


@pytest.mark.parametrize(
    ("status", "headers", "code"),
    [
        (500, {}, "provider_unavailable"),
        (503, {"retry-after": "60"}, "provider_unavailable"),
        (429, {"retry-after": "60"}, "provider_throttled"),
        (401, {}, "account_refused"),
        (402, {}, "account_refused"),
        (422, {}, "provider_failed"),
    ],
)
async def test_what_one_backend_refuses_another_makes(
    settings: Settings, north: PlainFake, status: int, headers: dict[str, str], code: str
) -> None:
    north.fail("create", status=status, headers=headers)
    async with working(settings) as engine:
        media_id = await submit(engine, model="either", max_tries=1)
        media = await ended(engine, media_id)
        assert media.status is Status.COMPLETED
        assert media.error is None
        assert await way(engine, media_id) == ["north", "south"]
        assert await codes(engine, media_id) == [code, ""]
        assert media.number_of_tries == (1 if status == 429 else 2)
        assert creates(north) == 1


@pytest.mark.parametrize(("outcome", "code"), [("failed", "provider_unavailable"), ("wrong", "provider_failed")])
async def test_what_fails_at_one_backend_is_made_at_another(
    settings: Settings, north: PlainFake, south: PlainFake, outcome: Any, code: str
) -> None:
    north.outcome = outcome
    async with working(settings) as engine:
        media_id = await submit(engine, model="either", max_tries=1)
        assert (await ended(engine, media_id)).status is Status.COMPLETED
        assert await codes(engine, media_id) == [code, ""]
        assert len(north.created) == len(south.created) == 1


async def test_a_rejected_prompt_goes_nowhere_else(settings: Settings, north: PlainFake, south: PlainFake) -> None:
    north.outcome = "rejected"
    async with working(settings) as engine:
        media_id = await submit(engine, model="either")
        media = await ended(engine, media_id)
        assert media.status is Status.ERROR
        assert media.error is not None
        assert (media.error.code, media.error.provider) == ("prompt_rejected", "north")
        assert await way(engine, media_id) == ["north"]
        assert south.calls == []
        assert (await account_row(engine, "north")).failures == 0


async def test_parameters_choose_the_route_before_anything_is_sent(
    settings: Settings, north: PlainFake, south: PlainFake
) -> None:
    narrow = model(route("north", parameters={"n": {"maximum": 1}}), "south")
    async with working(settings, models={**settings.models, "either": narrow}) as engine:
        media_id = await submit(engine, model="either", n=3)
        assert (await ended(engine, media_id)).status is Status.COMPLETED
        assert await way(engine, media_id) == ["south"]
        assert north.calls == []
        assert south.created[0].body["n"] == 3


async def test_where_no_answer_is_had_nobody_else_is_asked(
    settings: Settings, north: PlainFake, south: PlainFake
) -> None:
    north.fail("create", "cut", handled=True)
    async with working(settings) as engine:
        media = await ended(engine, media_id := await submit(engine, model="either"))
        assert media.status is Status.ERROR
        assert media.error is not None
        assert media.error.code == "submission_uncertain"
        assert await states(engine, media_id) == ["failed"]
        assert (len(north.created), len(south.created)) == (1, 0)


async def test_when_all_routes_fail_they_are_tried_in_rounds(
    settings: Settings, north: PlainFake, south: PlainFake
) -> None:
    north.outcome, south.outcome = "failed", "failed"
    async with working(settings) as engine:
        media_id = await submit(engine, model="either", max_tries=3)
        media = await ended(engine, media_id)
        assert media.status is Status.ERROR
        assert await way(engine, media_id) == ["north", "south", "north", "south"]
        assert media.number_of_tries == 4  # the last round is not left half done
        assert media.error is not None
        assert (media.error.code, media.error.message) == ("provider_unavailable", "plain says failed")
        assert media.error.provider == "south"
        _, second, third, fourth = await engine.queries.jobs(media_id)
        assert second.run_at <= second.created_at
        assert third.run_at > third.created_at
        assert fourth.run_at <= fourth.created_at
        assert (await story(engine, media_id))[-1] == "given up after 4 tries"


async def test_a_route_that_cannot_do_it_is_left_out_of_later_rounds(
    settings: Settings, north: PlainFake, south: PlainFake
) -> None:
    north.outcome, south.outcome = "wrong", "failed"
    async with working(settings) as engine:
        media_id = await submit(engine, model="either", max_tries=3)
        assert (await ended(engine, media_id)).status is Status.ERROR
        assert await way(engine, media_id) == ["north", "south", "south"]


async def test_one_without_tries_left_waits_for_the_route_that_was_throttled(
    settings: Settings, north: PlainFake, south: PlainFake
) -> None:
    north.outcome = "failed"
    south.fail("create", status=429, headers={"retry-after": "0.2"})
    async with working(settings) as engine:
        media_id = await submit(engine, model="either", max_tries=1)
        media = await ended(engine, media_id)
        assert media.status is Status.COMPLETED
        assert await way(engine, media_id) == ["north", "south", "south"]
        # its port may have been another test's a moment ago, whose worker still asks there
        assert [made.body["media"] for made in north.created].count(str(media_id)) == 1


async def test_media_are_shared_out_by_weight_and_every_worker_has_the_same_order(settings: Settings) -> None:
    weighed = model(route("north", weight=3), route("south", weight=1))
    shared = settings.model_copy(update={"models": {**settings.models, "either": weighed}})
    async with working(shared) as engine, working(shared) as other:
        ids = [await submit(each, model="either") for each in (engine, other) for _ in range(10)]
        for media_id in ids:
            assert (await ended(engine, media_id)).status is Status.COMPLETED
            first = in_order({"north:plain-1": 3.0, "south:plain-1": 1.0}, media_id)[0]
            assert [job.route for job in await engine.queries.jobs(media_id)] == [first]


# Slow backends


async def test_what_takes_too_long_is_stopped_there_before_it_is_begun_elsewhere(
    settings: Settings, north: PlainFake, south: PlainFake
) -> None:
    north.hangs = True
    stopped: list[list[str]] = []
    south.fail("create", "slow", strike=lambda: stopped.append(list(north.cancelled)))
    async with working(settings, job_timeout=0.3) as engine:
        media_id = await submit(engine, model="either")
        assert (await ended(engine, media_id)).status is Status.COMPLETED
        first, *_ = await engine.queries.jobs(media_id)
        assert first.error is not None
        assert first.error.message == "north took longer than 0.3 s"
        assert await way(engine, media_id) == ["north", "north", "south"]
        assert len(north.created) == 1
        assert [set(refs) for refs in stopped] == [{first.provider_ref}]


@pytest.mark.parametrize("paid", [True, False])
async def test_what_cannot_be_stopped_is_resumed_if_it_costs_money(
    settings: Settings, north: PlainFake, south: PlainFake, paid: bool
) -> None:
    north.hangs = True
    north.fail("cancel", status=500)
    async with working(changed(settings, north=account(north, paid=paid)), job_timeout=0.3) as engine:
        media_id = await submit(engine, model="either")
        assert (await ended(engine, media_id)).status is Status.COMPLETED
        assert await way(engine, media_id) == (["north"] * 3 + ["south"] if paid else ["north", "south"])
        assert (len(north.created), len(south.created)) == (1, 1)


async def test_a_paid_request_whose_answer_does_not_come_is_not_sent_elsewhere(
    settings: Settings, north: PlainFake, south: PlainFake
) -> None:
    north.fail("create", "slow", seconds=2)
    async with working(settings, job_timeout=0.2) as engine:
        media = await ended(engine, await submit(engine, model="either"))
        assert media.status is Status.ERROR
        assert media.error is not None
        assert media.error.code == "submission_uncertain"
        assert south.calls == []


# Requests whose answers got lost


@pytest.mark.parametrize("how", ["answer", "cut", "garbage"])
async def test_a_list_that_cannot_be_had_is_no_reason_to_ask_again(
    shared: Settings, north: PlainFake, south: PlainFake, how: Any
) -> None:
    north.fail("create", "cut", handled=True)
    north.fail("list", how, times=2)
    async with working(changed(shared, north=account(north, provider="listed"))) as engine:
        media_id = await submit(engine, model="either")
        assert (await ended(engine, media_id)).status is Status.COMPLETED
        assert set(await way(engine, media_id)) == {"north"}
        assert (len(north.created), len(south.created)) == (1, 0)


async def test_where_nobody_may_look_nobody_else_is_asked(shared: Settings, north: PlainFake, south: PlainFake) -> None:
    north.fail("create", "cut", handled=True)
    north.fail("list", status=401, times=9)
    async with working(changed(shared, north=account(north, provider="listed"))) as engine:
        media = await ended(engine, await submit(engine, model="either"))
        assert media.error is not None
        assert (media.error.code, media.error.provider) == ("account_refused", "north")
        assert (len(north.created), len(south.created)) == (1, 0)


async def test_what_surely_was_not_taken_is_asked_for_again_even_where_one_job_at_once_may_run(
    shared: Settings, north: PlainFake
) -> None:
    north.fail("create", "cut")
    alone = account(north, provider="listed", concurrency=1, settle=0)
    async with working(changed(shared, north=alone)) as engine:
        media_id = await submit(engine, model="northern")
        assert (await ended(engine, media_id)).status is Status.COMPLETED
        assert len(north.created) == 1


# Accounts that are left alone


async def test_an_account_that_throttles_is_left_alone_by_all_workers(
    shared: Settings, north: PlainFake, south: PlainFake
) -> None:
    north.fail("create", status=429, headers={"retry-after": "60"})
    async with working(shared) as engine:
        await ended(engine, await submit(engine, model="either"))
    async with working(shared) as other:
        clock = Clock(other)
        media_id = await submit(other, model="either")
        assert (await ended(other, media_id)).status is Status.COMPLETED
        assert await way(other, media_id) == ["south"]
        assert creates(north) == 1
        clock.forward(61)
        later = await submit(other, model="either")
        await ended(other, later)
        assert await way(other, later) == ["north"]


async def test_a_success_does_not_end_the_time_that_a_backend_asked_for(shared: Settings, north: PlainFake) -> None:
    north.hangs = True
    async with working(shared) as engine:
        early = await submit(engine, model="northern")
        await running(engine, early)
        north.fail("create", status=500)
        await ended(engine, await submit(engine, model="northern", max_tries=1))
        north.fail("create", status=429, headers={"retry-after": "60"})
        await ended(engine, await submit(engine, model="either"))
        north.finish()
        assert (await ended(engine, early)).status is Status.COMPLETED
        row = await account_row(engine, "north")
        assert row.failures == 0
        assert row.blocked_until - engine.lifecycle.now() > timedelta(seconds=40)


async def test_an_account_without_credit_is_left_alone_and_its_media_wait(shared: Settings, north: PlainFake) -> None:
    north.fail("create", status=402)
    async with working(shared) as engine:
        clock = Clock(engine)
        await ended(engine, await submit(engine, model="either"))
        media_id = await submit(engine, model="northern", max_tries=1)

        async def is_put_off() -> bool:
            media = await media_of(engine, media_id)
            return media.status is Status.IN_QUEUE and media.error is not None

        await until(is_put_off)
        media = await media_of(engine, media_id)
        assert (media.status, media.number_of_tries) == (Status.IN_QUEUE, 0)
        assert media.error is not None
        assert "north is left alone: plain answered 402" in media.error.message
        assert creates(north) == 1
        clock.forward(61)
        assert (await ended(engine, media_id)).status is Status.COMPLETED


async def test_a_media_that_is_throttled_for_longer_than_patience_ends(shared: Settings, north: PlainFake) -> None:
    north.fail("create", status=429, headers={"retry-after": "0.05"}, times=1000)
    async with working(shared, patience=0.3) as engine:
        media_id = await submit(engine, model="northern", max_tries=1)
        media = await ended(engine, media_id)
        assert media.status is Status.ERROR
        assert media.error is not None
        assert media.error.code == "provider_throttled"
        assert len(await states(engine, media_id)) > 1


async def test_a_breaker_is_shared_lets_one_try_and_closes_on_success(shared: Settings, north: PlainFake) -> None:
    shared = changed(shared, north=account(north, failures=2, cool_down=30))
    north.fail("create", status=500, times=2)
    async with working(shared) as engine:
        for _ in range(2):
            await ended(engine, await submit(engine, model="northern", max_tries=1))
        assert (await account_row(engine, "north")).failures == 2
    async with working(shared) as engine, working(shared) as other:
        clock = Clock(engine, other)
        ids = [await submit(each, model="northern") for each in (engine, other, engine, other)]
        await until(lambda: are_put_off(engine, len(ids)))
        assert creates(north) == 2  # none of them was sent
        north.hangs = True
        clock.forward(31)
        await until(lambda: has_begun(north, 3))
        await until(lambda: are_put_off(engine, len(ids) - 1))
        assert creates(north) == 3  # one tries, and the others wait for it
        north.finish()
        await until(lambda: is_closed(engine, "north"))
        clock.forward(31)
        for media_id in ids:
            assert (await ended(engine, media_id)).status is Status.COMPLETED
        assert creates(north) == 6


async def test_a_breaker_opens_again_where_the_one_that_tries_fails(
    shared: Settings, north: PlainFake, south: PlainFake
) -> None:
    shared = changed(shared, north=account(north, failures=1, cool_down=30))
    north.fail("create", status=500, times=2)
    async with working(shared) as engine:
        clock = Clock(engine)
        await ended(engine, await submit(engine, model="northern", max_tries=1))
        clock.forward(31)
        await ended(engine, await submit(engine, model="northern", max_tries=1))
        row = await account_row(engine, "north")
        assert row.failures == 2
        assert row.blocked_until > engine.lifecycle.now()
        assert "500" in row.reason
        assert (await ended(engine, await submit(engine, model="southern"))).status is Status.COMPLETED
        passed = await submit(engine, model="either")
        assert (await ended(engine, passed)).status is Status.COMPLETED
        assert await way(engine, passed) == ["south"]
        assert (await account_row(engine, "south")).failures == 0
        assert creates(north) == 2


async def are_put_off(engine: Engine, most: int) -> bool:
    """Whether so many media wait for later, and none is about to be claimed."""
    now = engine.lifecycle.now()
    waiting = [row for row in await rows(engine, tables.jobs) if row.state == "queued"]
    return len(waiting) == most and all(row.run_at > now + timedelta(seconds=1) for row in waiting)


async def has_begun(fake: PlainFake, times: int) -> bool:
    return creates(fake) == times


async def is_closed(engine: Engine, name: str) -> bool:
    row = await account_row(engine, name)
    return row.failures == 0 and row.blocked_until is None


# Limits of an account


async def test_no_more_jobs_run_at_an_account_than_may_over_all_workers(shared: Settings, north: PlainFake) -> None:
    north.seconds = 0.05
    shared = changed(shared, north=account(north, concurrency=2))
    async with working(shared) as engine, working(shared) as other:
        ids = [await submit(each, model="northern") for each in (engine, other) for _ in range(5)]
        for media_id in ids:
            assert (await ended(engine, media_id)).status is Status.COMPLETED
            assert await states(engine, media_id) == ["succeeded"]
        assert north.most_at_once == 2
        workers = {row.worker for row in await rows(engine, tables.jobs)}
        assert len(workers) == 2


async def test_a_full_account_is_passed_over(shared: Settings, north: PlainFake) -> None:
    north.hangs = True
    async with working(changed(shared, north=account(north, concurrency=1))) as engine:
        await running(engine, await submit(engine, model="northern"))
        media_id = await submit(engine, model="either")
        assert (await ended(engine, media_id)).status is Status.COMPLETED
        assert await way(engine, media_id) == ["south"]


async def test_no_more_jobs_a_minute_are_begun_than_may_over_all_workers(shared: Settings, north: PlainFake) -> None:
    shared = changed(shared, north=account(north, requests_per_minute=1200))
    async with working(shared) as engine, working(shared) as other:
        for media_id in [await submit(each, model="northern") for each in (engine, other) for _ in range(4)]:
            assert (await ended(engine, media_id)).status is Status.COMPLETED
        sent = sorted(row.sent_at for row in await rows(engine, tables.jobs))
        assert all(later - earlier >= timedelta(seconds=0.05) for earlier, later in pairwise(sent))
        assert creates(north) == 8


async def test_a_job_tells_what_it_waits_for(shared: Settings, north: PlainFake) -> None:
    north.hangs = True
    async with working(changed(shared, north=account(north, concurrency=1))) as engine:
        await running(engine, await submit(engine, model="northern"))
        media_id = await submit(engine, model="northern")

        async def tells() -> bool:
            return "waiting: north is at its limit of 1 jobs at once" in await story(engine, media_id)

        await until(tells)
        north.finish()
        assert (await ended(engine, media_id)).status is Status.COMPLETED


# Cancelled while the backend is at work


async def ask_to_cancel(engine: Engine, media_id: Any) -> None:
    """Ask for it in the database, as a process does whose news are late."""
    await engine.database.write(asking.cancel, asking.Ask(media_id, engine.lifecycle.now()))


async def test_a_cancelled_job_that_is_given_back_is_stopped_by_the_next_worker(
    shared: Settings, north: PlainFake
) -> None:
    north.hangs = True
    async with working(shared) as engine:
        media_id = await submit(engine, model="either")
        job = await running(engine, media_id)
        await ask_to_cancel(engine, media_id)
    async with open_engine(shared) as other:
        assert await states(other, media_id) == ["released", "queued"]
        assert north.cancelled == []
        looked = len(north.called("status"))
        async with other.working():
            assert (await ended(other, media_id)).status is Status.CANCELLED
        assert north.cancelled == [job.provider_ref]
        assert len(north.called("status")) == looked
        assert await states(other, media_id) == ["released", "cancelled"]


async def test_a_job_that_waits_to_be_resumed_is_stopped_when_it_is_cancelled(
    shared: Settings, north: PlainFake
) -> None:
    north.hangs = True
    async with working(shared) as engine:
        media_id = await submit(engine, model="either")
        job = await running(engine, media_id)
    async with open_engine(shared) as other:
        await other.lifecycle.cancel(media_id)
        assert (await media_of(other, media_id)).status is Status.IN_QUEUE
        async with other.working():
            assert (await ended(other, media_id)).status is Status.CANCELLED
        assert north.cancelled == [job.provider_ref]
        assert len(north.created) == 1


@pytest.mark.parametrize("max_tries", [1, 3])
async def test_a_cancelled_job_whose_lease_runs_out_is_stopped(
    shared: Settings, north: PlainFake, max_tries: int
) -> None:
    north.hangs = True
    async with working(shared) as engine:
        media_id = await submit(engine, model="either", max_tries=max_tries)
        job = await running(engine, media_id)
        await ask_to_cancel(engine, media_id)
        past = engine.lifecycle.now() - timedelta(seconds=1)
        expired = update(tables.jobs).where(tables.jobs.c.id == job.id).values(lease_expires_at=past)
        await engine.database.transact(lambda connection: connection.execute(expired))
        assert (await ended(engine, media_id)).status is Status.CANCELLED
        assert await states(engine, media_id) == ["lost", "cancelled"]
        assert job.provider_ref in north.cancelled


async def test_a_cancelled_job_of_a_model_that_was_taken_out_ends(shared: Settings, north: PlainFake) -> None:
    north.hangs = True
    async with working(shared) as engine:
        media_id = await submit(engine, model="either")
        await running(engine, media_id)
    models = {name: each for name, each in shared.models.items() if name != "either"}
    async with open_engine(shared.model_copy(update={"models": models})) as other:
        await other.lifecycle.cancel(media_id)
        async with other.working():
            assert (await ended(other, media_id)).status is Status.CANCELLED


# The same by the adapters of vendors

RING = ["replicate", "openai", "fal"]
NAMES = {"replicate": SCHNELL, "openai": "gpt-image-1", "fal": "fal-ai/flux/schnell"}


@dataclass(frozen=True)
class Vendors:
    """The fakes of all three; `of`: by the name of the account."""

    replicate: ReplicateFake
    openai: OpenAIFake
    fal: FalFake

    def of(self, name: str) -> Fake:
        found: Fake = getattr(self, name)
        return found

    def begun(self) -> list[int]:
        """How much was begun at each of the ring."""
        return [len(self.of(name).created) for name in RING]


@pytest.fixture(scope="module")
def started() -> Iterator[Vendors]:
    with ReplicateFake().running() as replicate, OpenAIFake().running() as openai, FalFake().running() as fal:
        yield Vendors(replicate, openai, fal)


@pytest.fixture
def vendors(started: Vendors) -> Vendors:
    started.replicate.reset()
    started.openai.forget()
    started.fal.reset()
    return started


@pytest.fixture
def hosted(sqlite_url: str, tmp_path: Path, vendors: Vendors) -> Settings:
    """A model for each vendor, called as that: it is the first of the ring to be asked."""
    accounts = {
        "replicate": Account(url=vendors.replicate.api, key=Fake.key, options={"poll": 0.02}),
        "openai": Account(url=f"{vendors.openai.url}/v1", key=Fake.key),
        "fal": Account(url=vendors.fal.url, key=Fake.key, options={"catalogue": f"{vendors.fal.url}/v1", "poll": 0.02}),
    }
    routes = [Route(provider=name, model=NAMES[name]) for name in RING]
    models = {name: Model(routes=routes[n:] + routes[:n]) for n, name in enumerate(RING)}
    return settings_of(sqlite_url, tmp_path, accounts, models)


def ring(first: str) -> list[str]:
    n = RING.index(first)
    return RING[n:] + RING[:n]


@pytest.mark.parametrize("first", RING)
async def test_vendors_stand_in_for_each_other(hosted: Settings, vendors: Vendors, first: str) -> None:
    """Whatever is wrong with the first two, the third makes it; nothing is begun twice."""
    wrong = [
        ("provider_unavailable", {"status": 500}),
        ("provider_throttled", {"status": 429, "headers": {"retry-after": "60"}}),
        ("account_refused", {"status": 402}),
    ]
    one, two, three = ring(first)
    async with working(hosted) as engine:
        for n in range(3):
            (code, how), (then, so) = wrong[n], wrong[n - 1]
            for name in RING:
                await engine.lifecycle.reset_account(name)
            vendors.of(one).fail("create", **how)
            vendors.of(two).fail("create", **so)
            media_id = await submit(engine, model=first, max_tries=1)
            assert (await ended(engine, media_id)).status is Status.COMPLETED
            assert await way(engine, media_id) == [one, two, three]
            assert await codes(engine, media_id) == [code, then, ""]
        assert vendors.begun() == [3 * (name == three) for name in RING]


@pytest.mark.parametrize("first", RING)
async def test_a_vendor_that_is_down_is_passed_over(hosted: Settings, vendors: Vendors, first: str) -> None:
    down = hosted.accounts[first].model_copy(update={"url": nowhere()})
    async with working(changed(hosted, **{first: down})) as engine:
        media_id = await submit(engine, model=first, max_tries=1)
        assert (await ended(engine, media_id)).status is Status.COMPLETED
        assert (await way(engine, media_id))[-1] == ring(first)[1]
        assert vendors.begun() == [int(name == ring(first)[1]) for name in RING]


@pytest.mark.parametrize("first", RING)
async def test_what_a_vendor_refuses_to_paint_no_other_is_asked_for(
    hosted: Settings, vendors: Vendors, first: str
) -> None:
    vendors.fal.outcome = "policy"
    vendors.replicate.ends.append(End("failed", NSFW))
    async with working(hosted) as engine:
        media_id = await submit(engine, "something forbidden", model=first)
        media = await ended(engine, media_id)
        assert media.error is not None
        assert media.error.code == "prompt_rejected"
        assert await way(engine, media_id) == [first]
        assert sum(vendors.begun()) <= 1


@pytest.mark.parametrize("first", ["replicate", "fal"])
async def test_what_hangs_at_a_vendor_is_stopped_there(hosted: Settings, vendors: Vendors, first: str) -> None:
    vendors.fal.hangs = first == "fal"
    vendors.replicate.ends.extend([End(hang=True)] * (first == "replicate"))
    async with working(hosted, job_timeout=0.5) as engine:
        media_id = await submit(engine, model=first, max_tries=1)
        assert (await ended(engine, media_id)).status is Status.COMPLETED
        assert await way(engine, media_id) == [first, *ring(first)[:2]]
        assert vendors.of(first).called("cancel")
        assert vendors.begun() == [int(name in ring(first)[:2]) for name in RING]


async def test_a_vendor_without_ids_that_does_not_answer_is_not_asked_twice(hosted: Settings, vendors: Vendors) -> None:
    vendors.openai.seconds = 5
    async with working(hosted, job_timeout=0.3) as engine:
        media = await ended(engine, await submit(engine, model="openai"))
        assert media.error is not None
        assert media.error.code == "submission_uncertain"
        assert vendors.begun() == [0, 1, 0]


async def test_a_vendor_whose_answer_got_lost_is_asked_what_it_took(hosted: Settings, vendors: Vendors) -> None:
    vendors.replicate.fail("create", "cut", handled=True)
    async with working(hosted) as engine:
        media_id = await submit(engine, model="replicate")
        assert (await ended(engine, media_id)).status is Status.COMPLETED
        assert await way(engine, media_id) == ["replicate", "replicate"]
        assert vendors.begun() == [1, 0, 0]


async def test_a_vendor_without_its_key_is_left_out(hosted: Settings, vendors: Vendors) -> None:
    keyless = hosted.accounts["replicate"].model_copy(update={"key": None})
    async with working(changed(hosted, replicate=keyless)) as engine:
        media_id = await submit(engine, model="replicate")
        assert (await ended(engine, media_id)).status is Status.COMPLETED
        assert await way(engine, media_id) == ["openai"]
        assert vendors.replicate.calls == []
