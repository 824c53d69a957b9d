"""Group commit: one transaction for all the writes that came while the last one ran.

A lone write starts at once and pays nothing for it; under load the cost of a commit is shared.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection

from darkroom.errors import DarkroomError, DatabaseUnavailable

log = structlog.get_logger(__name__)

T = TypeVar("T")
R = TypeVar("R")

Operation = Callable[[Connection, Sequence[T]], Sequence[R | DarkroomError]]
"""Writes items and answers for each, in their order: a result, or the error that it is refused with."""

Transact = Callable[[Callable[[Connection], Any]], Awaitable[Any]]

LARGEST_GROUP = 256
RACES = 5
"""How often a write that another transaction thwarted is tried."""
_THWARTED = ("23505", "40001", "40P01")
"""SQLSTATE: somebody else was first (with an idempotency key, for one), serialization failure, deadlock."""
PATIENCE = 5.0
BUSY = 4
"""A group of so many means that more are about to come:"""
LINGER = 0.002
"""wait for them so many seconds, as a commit costs about as much."""


@dataclass(eq=False, slots=True)
class _Entry:
    operation: Operation[Any, Any]
    item: Any
    answer: asyncio.Future[Any]


class Writer:
    """A queue of writes, and the task that commits them in groups. One at a time: several would make small groups."""

    def __init__(self, transact: Transact) -> None:
        self._transact = transact
        self._waiting: deque[_Entry] = deque()
        self._arrived = asyncio.Event()
        self._closing = False

    async def write(self, operation: Operation[T, R], item: T) -> R:
        """The answer of `operation` for `item`, once it is committed.

        A write that waited 5 s for its turn is withdrawn, and `DatabaseUnavailable` raised; one whose
        transaction has begun is waited for, so that an error means "not written" wherever that can be known.
        """
        entry = _Entry(operation, item, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        self._arrived.set()
        withdrawal = asyncio.get_running_loop().call_later(PATIENCE, self._withdraw, entry)
        try:
            result: R = await entry.answer
        finally:
            withdrawal.cancel()
        return result

    def _withdraw(self, entry: _Entry) -> None:
        if entry in self._waiting:
            self._waiting.remove(entry)
            if not entry.answer.done():
                entry.answer.set_exception(
                    DatabaseUnavailable("the database is too slow to take this now", retry_after=PATIENCE)
                )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Commit what is written while the context is open, and what is still waiting at its end."""
        task = asyncio.create_task(self._work(), name="writer")
        try:
            yield
        finally:
            self._closing = True
            self._arrived.set()
            await task

    async def _work(self) -> None:
        busy = False
        while self._waiting or not self._closing:
            await self._arrived.wait()
            if busy:
                await asyncio.sleep(LINGER)
            group = self._take()
            busy = len(group) >= BUSY
            if group:
                await self._commit(group)

    def _take(self) -> list[_Entry]:
        """The next group. Those whose callers have given up are left out."""
        waiting = [entry for entry in self._waiting if not entry.answer.done()]
        group = waiting[:LARGEST_GROUP]
        self._waiting = deque(waiting[LARGEST_GROUP:])
        if not self._waiting:
            self._arrived.clear()
        return group

    async def _commit(self, group: list[_Entry], *, tries: int = 1) -> None:
        """Commit `group` together; if one spoils it for the others, each on its own."""
        try:
            answers = await self._transact(lambda connection: _apply(connection, group))
        except DatabaseUnavailable as error:
            _answer(group, [error] * len(group))
        except asyncio.CancelledError:
            _answer(group, [DatabaseUnavailable("the service stops", retry_after=PATIENCE)] * len(group))
            raise
        except Exception as error:  # noqa: BLE001 - answered to each caller, who raises it
            if len(group) == 1 and not (_was_thwarted(error) and tries < RACES):
                _answer(group, [error])
                return
            log.warning("writes_repeated", writes=len(group), error=repr(error))
            for entry in group:
                await self._commit([entry], tries=tries + 1)
        else:
            _answer(group, answers)


def _was_thwarted(error: Exception) -> bool:
    return getattr(getattr(error, "orig", None), "sqlstate", None) in _THWARTED


def _apply(connection: Connection, group: list[_Entry]) -> list[Any]:
    """Run each operation once, over all its items; return the answers in the order of `group`."""
    by_operation: dict[Operation[Any, Any], list[_Entry]] = {}
    for entry in group:
        by_operation.setdefault(entry.operation, []).append(entry)
    answers: dict[_Entry, Any] = {}
    for operation, entries in by_operation.items():
        results = operation(connection, [entry.item for entry in entries])
        answers.update(zip(entries, results, strict=True))
    return [answers[entry] for entry in group]


def _answer(group: list[_Entry], answers: Sequence[Any]) -> None:
    for entry, answer in zip(group, answers, strict=True):
        if entry.answer.done():
            continue
        if isinstance(answer, Exception):
            entry.answer.set_exception(answer)
        else:
            entry.answer.set_result(answer)
