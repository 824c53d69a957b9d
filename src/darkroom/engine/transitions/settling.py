"""A job has ended at a backend: what that says of the account there, and what it cost."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Connection

from darkroom.db import accounts, spending
from darkroom.media.events import Paid
from darkroom.media.model import Job
from darkroom.media.routing import Account

NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Trouble:
    """An account did not do what it was asked.

    `until`: it is to be left alone at once, until then; None: only once it has failed often enough.
    """

    account: Account
    reason: str
    until: datetime | None = None
    is_failure: bool = True


def note_trouble(connection: Connection, troubles: Sequence[tuple[Trouble, datetime]]) -> None:
    """Write down what went wrong with accounts, each at its time."""
    state: dict[str, accounts.Account] = accounts.hold(connection, {trouble.account.name for trouble, _ in troubles})
    for trouble, at in troubles:
        name = trouble.account.name
        state[name] = _troubled(state[name], trouble, at)
    accounts.save(connection, state.values())


def _troubled(state: accounts.Account, trouble: Trouble, at: datetime) -> accounts.Account:
    failures = state.failures + trouble.is_failure
    until = trouble.until
    if until is None and failures >= trouble.account.failures:
        until = at + timedelta(seconds=trouble.account.cool_down)
    if until is None:
        return replace(state, failures=failures)
    if state.blocked_until is not None and state.blocked_until > until:
        return replace(state, failures=failures)
    return replace(state, failures=failures, blocked_until=until, reason=trouble.reason)


@dataclass(frozen=True, slots=True)
class Bill:
    """What a job of `model` cost in the end (None: not known) for so many pictures.

    `provider`: the account it ended at. `is_open`: it may have to be paid for all the same, so what was set aside
    counts as spent.
    """

    job: Job
    model: str
    provider: str | None
    cost: Decimal | None = None
    pictures: int = 0
    is_open: bool = False

    @property
    def spent(self) -> Decimal:
        """What counts as spent."""
        if self.cost is None:
            return (self.job.reserved or NOTHING) if self.is_open else NOTHING
        return self.cost

    @property
    def paid(self) -> Paid | None:
        """The same, for those who count."""
        return Paid(self.model, self.provider or "", self.spent) if self.spent else None


def settle(connection: Connection, bills: Sequence[Bill]) -> None:
    """Count what jobs cost, instead of what was set aside for them, be it at another account."""
    spending.add(connection, [entry for bill in bills for entry in _entries(bill)])


def _entries(bill: Bill) -> Iterator[spending.Entry]:
    job, set_aside = bill.job, bill.job.reserved or NOTHING
    if not set_aside and bill.cost is None:
        return
    day = job.day or (job.started_at or job.created_at).date()
    ended_at = bill.provider or ""
    back = -set_aside if job.provider in (None, ended_at) else NOTHING
    yield spending.Entry(day, job.owner, bill.model, ended_at, bill.spent, back, jobs=1, pictures=bill.pictures)
    if back != -set_aside:
        yield spending.Entry(day, job.owner, bill.model, job.provider or "", reserved=-set_aside)
