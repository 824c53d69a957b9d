"""The accounts at backends, as people see them: whether one is left alone, and why."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from darkroom.db import accounts as rows
from darkroom.db.session import Database
from darkroom.engine.catalogue import Catalogue, Route
from darkroom.engine.lifecycle import Lifecycle
from darkroom.errors import NotFound


@dataclass(frozen=True, slots=True)
class Account:
    """An account now. `failures`: in a row; `blocked_until`: nothing is sent there before, for `reason`.

    `problem`: why this process cannot use it as it is set up. The limits are those of this process's settings.
    """

    name: str
    failures: int
    blocked_until: datetime | None
    reason: str | None
    running: int
    concurrency: int | None = None
    requests_per_minute: int | None = None
    problem: str | None = None


class Accounts:
    """Every account that a route of this process names, or that a process has used."""

    def __init__(self, database: Database, lifecycle: Lifecycle, catalogue: Catalogue) -> None:
        self._database = database
        self._lifecycle = lifecycle
        self._here = {
            route.account.name: route for model in catalogue for route in model.routes if route.account.guarded
        }

    async def every(self) -> list[Account]:
        """All of them, by name."""
        return await self._database.read(self._read, self._lifecycle.now())

    async def reset(self, name: str) -> Account:
        """Forget what failed at an account, so that jobs are sent there again at once. Raises `NotFound`."""
        if name not in {account.name for account in await self.every()}:
            raise NotFound(f"there is no account {name!r}", field="name")
        await self._lifecycle.reset_account(name)
        return next(account for account in await self.every() if account.name == name)

    def _read(self, connection: Connection, now: datetime) -> list[Account]:
        known = {account.name: account for account in rows.every(connection)}
        running = rows.running(connection)
        return [
            _account(name, known.get(name), self._here.get(name), running.get(name, 0), now)
            for name in sorted(known.keys() | self._here.keys())
        ]


def _account(name: str, state: rows.Account | None, here: Route | None, running: int, now: datetime) -> Account:
    blocked = state is not None and state.is_blocked(now)
    return Account(
        name=name,
        failures=state.failures if state else 0,
        blocked_until=state.blocked_until if state and blocked else None,
        reason=state.reason if state and blocked else None,
        running=running,
        concurrency=here.account.concurrency if here else None,
        requests_per_minute=here.account.per_minute if here else None,
        problem=here.provider.problem() if here else None,
    )
