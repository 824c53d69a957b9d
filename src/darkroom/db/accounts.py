"""Statements on `accounts`: what all workers know of each account at a backend."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, case, func, null, select, update
from sqlalchemy.dialects import postgresql, sqlite

from darkroom.db.tables import RUNNING, accounts, jobs


@dataclass(frozen=True, slots=True)
class Account:
    """The state of an account. `failures`: in a row; `next_at`: when its rate allows the next request."""

    name: str
    failures: int
    blocked_until: datetime | None
    reason: str | None
    next_at: datetime | None

    def is_blocked(self, now: datetime) -> bool:
        """Whether nothing is sent there at present."""
        return self.blocked_until is not None and self.blocked_until > now


_COLUMNS = (accounts.c.name, accounts.c.failures, accounts.c.blocked_until, accounts.c.reason, accounts.c.next_at)


def hold(connection: Connection, names: Collection[str]) -> dict[str, Account]:
    """Lock these accounts, by name, until the transaction ends; one that nobody has used yet is made."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    new = [{"name": name, "failures": 0} for name in sorted(names)]
    if new:
        connection.execute(dialect.insert(accounts).on_conflict_do_nothing(), new)
    rows = select(*_COLUMNS).where(accounts.c.name.in_(names)).order_by(accounts.c.name).with_for_update()
    return {row.name: Account(*row) for row in connection.execute(rows)}


def every(connection: Connection) -> list[Account]:
    """All accounts that were ever used, by name."""
    return [Account(*row) for row in connection.execute(select(*_COLUMNS).order_by(accounts.c.name))]


def save(connection: Connection, changed: Iterable[Account]) -> None:
    """Write the state of accounts that the caller holds."""
    for account in changed:
        connection.execute(
            update(accounts)
            .where(accounts.c.name == account.name)
            .values(
                failures=account.failures,
                blocked_until=account.blocked_until,
                reason=account.reason,
                next_at=account.next_at,
            )
        )


def reset(connection: Connection, names: Collection[str]) -> None:
    """Forget what failed at these accounts; their rates stay as they are."""
    statement = update(accounts).where(accounts.c.name.in_(names))
    connection.execute(statement.values(failures=0, blocked_until=None, reason=None))


def succeed(connection: Connection, limits: Mapping[str, int]) -> None:
    """These accounts answered: what failed before is over. Nothing is written where nothing had failed.

    `limits`: after how many failures each is left alone. One that is for another reason still is.
    """
    for name, limit in sorted(limits.items()):
        troubled = (accounts.c.name == name) & (accounts.c.failures > 0)
        broke = accounts.c.failures >= limit
        kept = {column: case((broke, null()), else_=accounts.c[column]) for column in ("blocked_until", "reason")}
        connection.execute(update(accounts).where(troubled).values(failures=0, **kept))


def count_running(connection: Connection, name: str, *, besides: UUID) -> int:
    """How many jobs run at an account, over all workers; the job `besides` is left out."""
    statement = select(func.count()).select_from(jobs).where(RUNNING, jobs.c.provider == name, jobs.c.id != besides)
    return connection.execute(statement).scalar_one()


def running(connection: Connection) -> dict[str, int]:
    """How many jobs run at each account where some do, over all workers."""
    statement = select(jobs.c.provider, func.count()).where(RUNNING, jobs.c.provider.isnot(None))
    return {row[0]: row[1] for row in connection.execute(statement.group_by(jobs.c.provider))}
