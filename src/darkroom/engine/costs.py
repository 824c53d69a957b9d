"""Money, as callers and operators see it: what was spent, what the budgets leave, and what they refuse."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import Connection

from darkroom.db import spending
from darkroom.db.session import Database
from darkroom.db.spending import By, Total
from darkroom.engine.catalogue import Model, Route
from darkroom.errors import BudgetExhausted
from darkroom.media.model import Submission
from darkroom.media.money import EACH_OWNER, Budget

__all__ = ["By", "Costs", "Report", "Share", "Total"]

MOST_OWNERS = 100
"""Of a budget for each owner, so many are shown: those who used most of it."""
NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Share:
    """What of a budget is used today. `owner`: whose budget it is (None: it is for all, `*`: for each)."""

    budget: Budget
    owner: str | None
    spent: Decimal = NOTHING
    reserved: Decimal = NOTHING

    @property
    def what(self) -> str:
        """What it is for, in words."""
        return replace(self.budget, owner=self.owner).what

    @property
    def left(self) -> Decimal:
        """What there is still to spend."""
        return max(NOTHING, self.budget.per_day - self.spent - self.reserved)


@dataclass(frozen=True, slots=True)
class Report:
    """What was spent from the day `since` to `until`, both included, and the budgets today."""

    by: By
    since: date
    until: date
    items: Sequence[Total]
    budgets: Sequence[Share]

    @property
    def total(self) -> Total:
        """All items together."""
        return Total(
            key="total",
            jobs=sum(item.jobs for item in self.items),
            pictures=sum(item.pictures for item in self.items),
            spent=sum((item.spent for item in self.items), NOTHING),
            reserved=sum((item.reserved for item in self.items), NOTHING),
        )


class Costs:
    """Reads what all processes spent. `budgets`: those that all spending falls under."""

    def __init__(self, database: Database, now: Callable[[], datetime], budgets: Sequence[Budget]) -> None:
        self._database = database
        self._now = now
        self._budgets = tuple(budgets)

    async def report(self, by: By, *, since: date, until: date) -> Report:
        """What was spent on these days (UTC). Raises `DatabaseUnavailable`."""

        def read(connection: Connection) -> Report:
            today = self._now().date()
            shares = [share for budget in self._budgets for share in _shares(connection, budget, today)]
            return Report(by, since, until, spending.totals(connection, by, since=since, until=until), shares)

        return await self._database.read(read)

    async def refusal(self, model: Model, wanted: Submission) -> BudgetExhausted | None:
        """Why no route of `model` could serve this today; None: one could. Reads only where there are budgets.

        What is accepted may be refused all the same when its turn comes: then others may have spent what was left.
        """
        owner = wanted.owner or ""
        budgets = [budget for budget in self._budgets if budget.covers(model.name, owner)]
        routes = model.capable(wanted.parameters) if budgets else []
        if not routes or not all(_may_cost(route) for route in routes):
            return None
        now = self._now()
        used = await self._database.read(_used, budgets, now.date(), owner)
        estimates = [route.estimate(wanted.parameters, model.declared) for route in routes]
        reasons = [_reason(estimate, list(zip(budgets, used, strict=True)), now) for estimate in estimates]
        found = [reason for reason in reasons if reason is not None]
        return BudgetExhausted(found[0]) if len(found) == len(routes) else None


def _may_cost(route: Route) -> bool:
    """Whether budgets have a say in what goes by this route: it has a price, or its backend sends bills."""
    return route.account.guarded and (route.price is not None or route.account.paid)


def _reason(estimate: Decimal | None, budgets: Sequence[tuple[Budget, Decimal]], now: datetime) -> str | None:
    """Why a budget refuses what will cost `estimate`."""
    full = ((budget, used) for budget, used in budgets if not budget.has_room(used, estimate))
    return next((budget.refusal(used, estimate, now) for budget, used in full), None)


def _used(connection: Connection, budgets: Sequence[Budget], day: date, owner: str) -> list[Decimal]:
    return [spending.used(connection, budget, day, owner) for budget in budgets]


def _shares(connection: Connection, budget: Budget, day: date) -> list[Share]:
    totals = spending.of_budget(connection, budget, day, most=MOST_OWNERS)
    is_each = budget.owner == EACH_OWNER
    shares = [Share(budget, total.key if is_each else budget.owner, total.spent, total.reserved) for total in totals]
    return shares or [Share(budget, budget.owner)]
