"""A job is about to be sent to a backend: by which route, with whose leave, and with what money set aside."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from darkroom.db import accounts, jobs, spending
from darkroom.engine.transitions.base import Answer, Done, Report, lease_lost, with_jobs
from darkroom.media.model import Job
from darkroom.media.money import Budget
from darkroom.media.routing import Account


@dataclass(frozen=True, slots=True)
class Candidate:
    """A route that a job could take: its label, its account, what it will cost (None: not known)."""

    label: str
    account: Account
    estimate: Decimal | None = None

    @property
    def may_cost(self) -> bool:
        """Whether budgets have a say: it has a price, or its backend sends bills."""
        return self.estimate is not None or self.account.paid


@dataclass(frozen=True, slots=True)
class Begin(Report):
    """A worker wants to send a job on by the first of `candidates` that may be taken now.

    `is_resent`: an earlier request for it got lost, and may yet have to be paid for.
    """

    model: str
    candidates: tuple[Candidate, ...]
    budgets: tuple[Budget, ...] = ()
    is_resent: bool = False


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Why a route may not be taken now, and until when (None: nobody knows). `spent`: a budget has no room."""

    label: str
    reason: str
    until: datetime | None = None
    spent: bool = False


@dataclass(frozen=True, slots=True)
class Begun:
    """The route that was taken; None: each has its hindrance."""

    label: str | None
    hindrances: tuple[Hindrance, ...] = ()


def begin(connection: Connection, items: Sequence[Begin]) -> list[Answer[Begun]]:
    """Let jobs go on: what they take of their accounts' limits and of budgets is taken at once.

    Accounts are locked before jobs, by everyone who locks both; budgets, which many accounts may share, before these.
    """
    if any(item.budgets for item in items):
        spending.lock(connection)
    names = {candidate.account.name for item in items for candidate in item.candidates}
    known = accounts.hold(connection, names)
    answers: list[Answer[Begun]] = []
    for item, job in with_jobs(connection, items):
        if job is None:
            answers.append(lease_lost(item.job_id))
        else:
            answers.append(Done(_begin(connection, item, _without_lost(connection, item, job), known)))
    return answers


def _without_lost(connection: Connection, item: Begin, job: Job) -> Job:
    """A job without the earlier request for it that got lost, and without what was set aside for that."""
    if job.sent_at is None:
        return job
    if job.reserved is not None:
        spent = job.reserved if item.is_resent else Decimal(0)
        key = (job.sent_at.date(), job.owner, item.model, job.provider or "")
        spending.add(connection, [spending.Entry(*key, spent=spent, reserved=-job.reserved)])
    jobs.unsend(connection, job.id)
    return replace(job, sent_at=None, reserved=None)


def _begin(connection: Connection, item: Begin, job: Job, known: dict[str, accounts.Account]) -> Begun:
    hindrances: list[Hindrance] = []
    for candidate in item.candidates:
        hindrance = _hindrance(connection, item, job, candidate, known[candidate.account.name])
        if hindrance is None:
            known[candidate.account.name] = _taken(candidate.account, known[candidate.account.name], item.at)
            accounts.save(connection, [known[candidate.account.name]])
            _send(connection, item, job, candidate)
            return Begun(candidate.label, tuple(hindrances))
        hindrances.append(hindrance)
    return Begun(None, tuple(hindrances))


def _hindrance(
    connection: Connection, item: Begin, job: Job, candidate: Candidate, state: accounts.Account
) -> Hindrance | None:
    account, at = candidate.account, item.at
    if state.blocked_until is not None and state.blocked_until > at:
        return Hindrance(candidate.label, f"{account.name} is left alone: {state.reason}", state.blocked_until)
    if account.per_minute is not None and state.next_at is not None and state.next_at > at:
        reason = f"{account.name} is at its limit of {account.per_minute} requests a minute"
        return Hindrance(candidate.label, reason, state.next_at)
    if _is_full(connection, account, job):
        return Hindrance(candidate.label, f"{account.name} is at its limit of {account.concurrency} jobs at once")
    full = first_full(connection, item, job.owner, candidate.estimate) if candidate.may_cost else None
    if full is not None:
        return Hindrance(candidate.label, full, spent=True)
    return None


def _is_full(connection: Connection, account: Account, job: Job) -> bool:
    """Whether as many others run at an account as may."""
    if account.concurrency is None:
        return False
    return accounts.count_running(connection, account.name, besides=job.id) >= account.concurrency


def first_full(connection: Connection, item: Begin, owner: str, estimate: Decimal | None) -> str | None:
    """Why the first budget that has no room for a job that will cost `estimate` refuses it."""
    for budget in item.budgets:
        if budget.covers(item.model, owner):
            used = spending.used(connection, budget, item.at.date(), owner)
            if not budget.has_room(used, estimate):
                return budget.refusal(used, estimate, item.at)
    return None


def _taken(account: Account, state: accounts.Account, at: datetime) -> accounts.Account:
    """The state once another request goes there: the next has to wait its turn. One alone tries a troubled account."""
    if account.per_minute is not None:
        state = replace(state, next_at=max(at, state.next_at or at) + timedelta(minutes=1) / account.per_minute)
    if state.failures >= account.failures:
        state = replace(state, blocked_until=at + timedelta(seconds=account.cool_down))
    return state


def _send(connection: Connection, item: Begin, job: Job, candidate: Candidate) -> None:
    row: dict[str, Any] = {
        "the_id": job.id, "the_provider": candidate.account.name, "the_route": candidate.label,
        "the_time": item.at, "the_money": candidate.estimate,
    }  # fmt: skip
    jobs.begin(connection, row)
    if candidate.estimate is not None:
        key = (item.at.date(), job.owner, item.model, candidate.account.name)
        spending.add(connection, [spending.Entry(*key, reserved=candidate.estimate)])
