"""What media cost, and what may be spent: the real engine, and backends over HTTP that cost money."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from darkroom.db import tables
from darkroom.engine import ways
from darkroom.engine.core import Engine
from darkroom.engine.intake import Order
from darkroom.engine.transitions import beginning
from darkroom.engine.transitions.leasing import Task
from darkroom.errors import BudgetExhausted
from darkroom.media.model import Media
from darkroom.media.money import Budget as Limit
from darkroom.media.routing import Account as Access
from darkroom.media.states import ENDED, Status
from darkroom.providers import registry
from darkroom.settings import Budget, Price, Settings, Tier
from darkroom.wiring import open_engine
from services.backends.plain import PlainFake
from services.engines import ended, media_of, rows, running, states, submit, until, working
from services.routes import PLAIN, Clock, account, model, route, settings_of, way

pytestmark = pytest.mark.anyio

CENT = Price(per_picture=Decimal("0.01"))
DIME = Price(per_picture=Decimal("0.10"))


@pytest.fixture(scope="module")
def fakes() -> Iterator[dict[str, PlainFake]]:
    with PlainFake().running() as dear, PlainFake().running() as cheap:
        yield {"dear": dear, "cheap": cheap}


@pytest.fixture
def dear(fakes: dict[str, PlainFake]) -> PlainFake:
    fakes["dear"].reset()
    return fakes["dear"]


@pytest.fixture
def cheap(fakes: dict[str, PlainFake]) -> PlainFake:
    fakes["cheap"].reset()
    return fakes["cheap"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, path in PLAIN.items():
        monkeypatch.setitem(registry.BUILT_IN, name, path)
    monkeypatch.setattr(ways, "LOOKS", 0.05)


@pytest.fixture
def settings(sqlite_url: str, tmp_path: Path, dear: PlainFake, cheap: PlainFake) -> Settings:
    return settings_of(
        sqlite_url, tmp_path,
        {"dear": account(dear), "cheap": account(cheap)},
        {
            "fine": model(route("dear", price=DIME)),
            "plain": model(route("cheap", price=CENT)),
            "either": model(route("dear", price=DIME), route("cheap", price=CENT)),
        },
    )  # fmt: skip


@pytest.fixture
def shared(settings: Settings, database_url: str) -> Settings:
    """The same on each kind of database: for what is kept there, and what several processes see of it."""
    return settings.model_copy(update={"database_url": database_url})


def budget(amount: str, **whose: Any) -> Budget:
    return Budget(per_day=Decimal(amount), **whose)


def priced(settings: Settings, price: Price) -> Settings:
    """The settings with another price of the model `fine`."""
    return settings.model_copy(update={"models": {**settings.models, "fine": model(route("dear", price=price))}})


async def spent(engine: Engine) -> tuple[Decimal, Decimal]:
    """What is spent, and what is set aside, over all days."""
    found = await rows(engine, tables.spending)
    return sum((row.spent for row in found), Decimal(0)), sum((row.reserved for row in found), Decimal(0))


async def order(engine: Engine, owner: str, *, model: str = "fine") -> UUID:
    return (await engine.submit(Order("a test", model=model, owner=owner))).media.media.id


async def made(engine: Engine, **wish: Any) -> Media:
    """A media of the model `fine`, once it has ended."""
    return await ended(engine, await submit(engine, model="fine", **wish))


def refused(media: Media) -> bool:
    return media.status is Status.ERROR and media.error is not None and media.error.code == "budget_exhausted"


# What it costs


@pytest.mark.parametrize(
    ("price", "wish", "cost"),
    [
        (CENT, {"n": 3}, "0.03"),
        (Price(tiers=[Tier(quality="high", per_picture=Decimal("0.167"))], per_picture=Decimal("0.042")), {}, "0.042"),
        (
            Price(tiers=[Tier(quality="high", per_picture=Decimal("0.167"))], per_picture=Decimal("0.042")),
            {"quality": "high", "n": 2},
            "0.334",
        ),
        (Price(per_megapixel=Decimal("0.5")), {}, "0.001536"),  # 64 x 48 pixels came, whatever was asked for
        (Price(per_second=Decimal("0.002"), seconds=60), {}, "0.005"),  # 2.5 s is what the backend says
        (Price(per_picture=Decimal("0.01"), per_second=Decimal("0.002")), {"n": 2}, "0.025"),
    ],
)
async def test_what_a_route_charges_is_saved_with_job_and_media(
    settings: Settings, dear: PlainFake, price: Price, wish: dict[str, Any], cost: str
) -> None:
    dear.worked = 2.5
    async with working(priced(settings, price)) as engine:
        media = await made(engine, **wish)
        assert media.status is Status.COMPLETED
        assert media.cost == Decimal(cost)
        assert [job.cost for job in await engine.queries.jobs(media.id)] == [Decimal(cost)]
        assert await spent(engine) == (Decimal(cost), 0)


async def test_what_the_backend_says_that_it_cost_counts(shared: Settings, dear: PlainFake) -> None:
    dear.costs = "0.023456"
    async with working(shared) as engine:
        media = await made(engine)
        assert media.cost == Decimal("0.023456")
        assert await spent(engine) == (Decimal("0.023456"), 0)
        (row,) = await rows(engine, tables.spending)
        assert (row.model, row.provider, row.jobs, row.pictures) == ("fine", "dear", 1, 1)
        assert row.day == engine.lifecycle.now().date()


async def test_what_has_no_price_costs_what_nobody_knows(settings: Settings) -> None:
    async with working(
        settings.model_copy(update={"models": {"fine": model("dear")}, "default_model": "fine"})
    ) as engine:
        assert (await made(engine)).cost is None
        assert await rows(engine, tables.spending) == []


async def test_by_seconds_what_is_not_said_is_measured(settings: Settings, dear: PlainFake) -> None:
    dear.seconds = 0.1
    async with working(priced(settings, Price(per_second=Decimal(1)))) as engine:
        media = await made(engine)
        assert media.cost is not None
        assert Decimal("0.1") <= media.cost < 20


# Set aside, then settled


async def test_money_is_set_aside_before_the_call_and_settled_after_it(shared: Settings, dear: PlainFake) -> None:
    dear.hangs, dear.costs = True, "0.02"
    async with working(shared) as engine:
        media_id = await submit(engine, model="fine", n=2)
        job = await running(engine, media_id)
        assert job.reserved == Decimal("0.20")
        assert await spent(engine) == (0, Decimal("0.20"))
        dear.finish()
        assert (await ended(engine, media_id)).status is Status.COMPLETED
        assert await spent(engine) == (Decimal("0.02"), 0)


async def test_a_failure_gives_the_money_back(shared: Settings, dear: PlainFake) -> None:
    dear.outcome = "failed"
    async with working(shared) as engine:
        media = await made(engine, max_tries=2)
        assert media.status is Status.ERROR
        assert media.cost is None
        assert await spent(engine) == (0, 0)


async def test_what_is_set_aside_follows_the_route(settings: Settings, dear: PlainFake, cheap: PlainFake) -> None:
    dear.outcome, cheap.hangs = "failed", True
    async with working(settings) as engine:
        media_id = await submit(engine, model="either")

        async def moved_on() -> bool:
            return bool(cheap.created)

        await until(moved_on)
        await running(engine, media_id)
        assert await spent(engine) == (0, Decimal("0.01"))
        cheap.finish()
        assert (await ended(engine, media_id)).cost == Decimal("0.01")
        assert await spent(engine) == (Decimal("0.01"), 0)


async def test_cancelling_gives_the_money_back(shared: Settings, dear: PlainFake) -> None:
    dear.hangs = True
    async with working(shared) as engine:
        media_id = await submit(engine, model="fine")
        await running(engine, media_id)
        await engine.lifecycle.cancel(media_id)
        assert (await ended(engine, media_id)).status is Status.CANCELLED
        assert await spent(engine) == (0, 0)


async def test_a_job_that_is_given_back_keeps_its_money_for_the_one_that_goes_on(
    shared: Settings, dear: PlainFake
) -> None:
    dear.hangs = True
    async with working(shared) as engine:
        media_id = await submit(engine, model="fine")
        await running(engine, media_id)
    async with open_engine(shared) as other:
        assert await spent(other) == (0, Decimal("0.10"))
        dear.finish()
        async with other.working():
            assert (await ended(other, media_id)).status is Status.COMPLETED
        assert await spent(other) == (Decimal("0.10"), 0)
        assert len(dear.created) == 1


async def test_a_lost_answer_keeps_the_money(shared: Settings, dear: PlainFake) -> None:
    dear.fail("create", "cut", handled=True)
    async with working(shared) as engine:
        media = await made(engine)
        assert media.error is not None
        assert media.error.code == "submission_uncertain"
        assert await spent(engine) == (Decimal("0.10"), 0)


async def test_what_cannot_be_stopped_keeps_the_money(settings: Settings, dear: PlainFake) -> None:
    dear.hangs = True
    dear.fail("cancel", status=500, times=10)
    async with working(settings, job_timeout=0.2) as engine:
        assert (await made(engine, max_tries=1)).status is Status.ERROR
        assert await spent(engine) == (Decimal("0.10"), 0)


async def test_what_is_deleted_while_it_is_made_counts_as_spent(shared: Settings, dear: PlainFake) -> None:
    dear.hangs = True
    async with working(shared) as engine:
        media_id = await submit(engine, model="fine")
        await running(engine, media_id)
        await engine.remove(media_id)
        assert await spent(engine) == (Decimal("0.10"), 0)

        async def is_stopped() -> bool:
            return bool(dear.cancelled)

        await until(is_stopped)


async def test_what_a_finished_media_cost_outlives_it(settings: Settings) -> None:
    async with working(settings) as engine:
        await engine.remove((await made(engine)).id)
        assert await spent(engine) == (Decimal("0.10"), 0)


# Budgets


async def test_what_a_budget_has_no_room_for_is_not_begun(shared: Settings, dear: PlainFake) -> None:
    async with open_engine(shared.model_copy(update={"budgets": [budget("0.15")]})) as engine:
        ids = [await submit(engine, model="fine") for _ in range(3)]
        async with engine.working():
            ended_ = [await ended(engine, media_id) for media_id in ids]
        assert sorted(media.status for media in ended_) == ["COMPLETED", "ERROR", "ERROR"]
        for media in ended_:
            if media.status is Status.ERROR:
                assert refused(media)
                assert media.error is not None
                assert "the budget of $0.15 a day for all has no room for this" in media.error.message
                assert await states(engine, media.id) == ["failed"]
        assert len(dear.created) == 1
        assert await spent(engine) == (Decimal("0.10"), 0)
        with pytest.raises(BudgetExhausted):
            await submit(engine, model="fine")


async def test_a_cheaper_route_is_taken_if_it_fits(settings: Settings, dear: PlainFake) -> None:
    async with working(settings, budgets=[budget("0.05")]) as engine:
        media = await ended(engine, await submit(engine, model="either"))
        assert media.cost == Decimal("0.01")
        assert await way(engine, media.id) == ["cheap"]
        assert dear.calls == []


async def test_each_owner_has_a_budget_of_its_own(settings: Settings) -> None:
    async with open_engine(settings.model_copy(update={"budgets": [budget("0.10", owner="*")]})) as engine:
        ids = [await order(engine, owner) for owner in ("ann", "ann", "bob")]
        async with engine.working():
            first, second, other = [await ended(engine, media_id) for media_id in ids]
        assert sorted([first.status, second.status]) == ["COMPLETED", "ERROR"]
        assert other.status is Status.COMPLETED


async def test_a_budget_of_one_owner_is_no_other_owners(settings: Settings) -> None:
    async with open_engine(settings.model_copy(update={"budgets": [budget("0.05", owner="ann")]})) as engine:
        with pytest.raises(BudgetExhausted, match="owner 'ann'"):
            await order(engine, "ann")
        media_id = await order(engine, "bob")
        async with engine.working():
            assert (await ended(engine, media_id)).status is Status.COMPLETED


async def test_a_budget_of_a_model_is_no_other_models(settings: Settings) -> None:
    async with open_engine(settings.model_copy(update={"budgets": [budget("0.10", model="fine")]})) as engine:
        fine = [await submit(engine, model="fine") for _ in range(2)]
        plain = [await submit(engine, model="plain") for _ in range(2)]
        async with engine.working():
            assert sum([refused(await ended(engine, media_id)) for media_id in fine]) == 1
            assert [(await ended(engine, media_id)).status for media_id in plain] == [Status.COMPLETED] * 2


async def test_the_next_day_in_utc_there_is_money_again(shared: Settings) -> None:
    async with open_engine(shared.model_copy(update={"budgets": [budget("0.10")]})) as engine:
        clock, now = Clock(engine), engine.lifecycle.now()
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        ids = [await submit(engine, model="fine") for _ in range(2)]
        async with engine.working():
            media = [await ended(engine, media_id) for media_id in ids]
            assert sum(map(refused, media)) == 1
            clock.forward((midnight - engine.lifecycle.now()).total_seconds() - 30)
            with pytest.raises(BudgetExhausted):
                await submit(engine, model="fine")
            clock.forward(31)
            assert (await made(engine)).status is Status.COMPLETED
        days = sorted(row.day for row in await rows(engine, tables.spending))
        assert days == [now.date(), midnight.date()]


async def test_what_is_set_aside_is_settled_on_the_day_on_which_it_was(settings: Settings, dear: PlainFake) -> None:
    dear.hangs = True
    async with working(settings, lease=200_000) as engine:
        clock, today = Clock(engine), engine.lifecycle.now().date()
        media_id = await submit(engine, model="fine")
        await running(engine, media_id)
        clock.forward(24 * 3600)
        dear.finish()
        assert (await ended(engine, media_id)).status is Status.COMPLETED
        (row,) = await rows(engine, tables.spending)
        assert (row.day, row.spent, row.reserved) == (today, Decimal("0.10"), 0)


async def test_many_workers_together_do_not_overspend(shared: Settings, dear: PlainFake, cheap: PlainFake) -> None:
    """Two engines, two accounts, one budget: whatever they look at, there is one of it."""
    dear.seconds = cheap.seconds = 0.02
    limit = Decimal("0.25")
    shared = shared.model_copy(update={"budgets": [budget("0.25")]})
    async with open_engine(shared) as engine, open_engine(shared) as other:
        ids = [await submit(engine, model=name) for name in ("fine", "plain") for _ in range(15)]
        most = Decimal(0)
        async with engine.working(), other.working():
            while not all([(await media_of(engine, media_id)).status in ENDED for media_id in ids]):
                most = max(most, sum(await spent(engine), Decimal(0)))
                await asyncio.sleep(0.01)
        total, reserved = await spent(engine)
        assert most <= limit
        assert total <= limit
        assert reserved == 0
        assert total == len(dear.created) * Decimal("0.10") + len(cheap.created) * Decimal("0.01")
        assert total > limit - Decimal("0.10")
        ends = [await media_of(engine, media_id) for media_id in ids]
        assert sum(map(refused, ends)) == len(ids) - len(dear.created) - len(cheap.created) > 0


async def test_a_budget_is_looked_at_by_one_worker_at_a_time(settings: Settings, postgres_url: str) -> None:
    """Accounts are locked one by one, and jobs of several may fall under the same budget."""
    one = settings.model_copy(update={"database_url": postgres_url, "budgets": [budget("0.10")]})
    connections = create_async_engine(make_url(postgres_url).set(drivername="postgresql+asyncpg"))
    async with open_engine(one) as engine:
        for name in ("fine", "plain"):
            await submit(engine, model=name)
        first, second = [begin_of(task) for task in await engine.lifecycle.claim("default", 2, worker="w")]
        async with connections.begin() as connection:
            await connection.run_sync(lambda it: beginning.begin(it, [first]))
            begins = asyncio.create_task(engine.lifecycle.begin(second))
            await until(lambda: someone_waits(connections))
        begun = await begins
        assert begun.label is None
        assert [hindrance.spent for hindrance in begun.hindrances] == [True]
    await connections.dispose()


def begin_of(task: Task) -> beginning.Begin:
    """A job that is about to be sent by an account of its own, for all that there is to spend."""
    access = Access(task.media.model, guarded=True)
    candidate = beginning.Candidate(access.name, access, Decimal("0.10"))
    return beginning.Begin(task.job.id, task.job.created_at, "m", (candidate,), (Limit(Decimal("0.10")),))


async def someone_waits(connections: AsyncEngine) -> bool:
    """Whether a transaction waits for a lock."""
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with connections.connect() as connection:
        return (await connection.execute(text(waiting))).first() is not None
