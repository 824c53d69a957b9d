"""The service itself as operators see it: lanes, accounts, costs, health."""

from datetime import date
from typing import Literal

from pydantic import AwareDatetime, BaseModel, Field

from darkroom.api.native.schemas import Cost
from darkroom.engine.costs import By


class Lane(BaseModel):
    """A queue that workers serve."""

    name: str
    paused: bool = Field(description="Whether its jobs are held back.")
    queued: int = Field(description="Jobs that wait, counted up to 10,000.")
    running: int = Field(description="Jobs that are being done, counted up to 10,000.")
    concurrency: int | None = Field(
        description="Jobs at once in a process with this one's settings; null: the lane is not in them."
    )
    max_queued: int | None = Field(description="Jobs that may wait; null: the lane is not in this one's settings.")


class LaneList(BaseModel):
    """The lanes."""

    items: list[Lane]


class Account(BaseModel):
    """Access to a backend, shared by all workers."""

    name: str
    failures: int = Field(description="In a row, until now.")
    blocked_until: AwareDatetime | None = Field(description="Nothing is sent there before; null: jobs are.")
    reason: str | None = Field(description="Why it is left alone.")
    running: int = Field(description="Jobs that are being done there.")
    concurrency: int | None = Field(description="Jobs at once, over all workers; null: any number.")
    requests_per_minute: int | None = Field(description="Jobs begun a minute, over all workers; null: any number.")
    problem: str | None = Field(description="Why it cannot be used here, such as a key that is missing.")


class AccountList(BaseModel):
    """The accounts."""

    items: list[Account]


class Spending(BaseModel):
    """What was spent."""

    jobs: int = Field(description="Jobs that ended, of those that cost money or might have.")
    pictures: int
    spent: Cost
    reserved: Cost = Field(description="Set aside for jobs that have not ended.")


class SpendingItem(Spending):
    """What was spent under one key."""

    key: str = Field(description="The model, provider, owner or day; an empty owner is nobody.")


class Budget(BaseModel):
    """What may be spent today, and what of it is left."""

    what: str = Field(description="What it is for, in words.")
    model: str | None = Field(description="For this model alone; null: for all.")
    owner: str | None = Field(
        description="Whose it is; null: all share it; empty: nobody's; `*`: each owner's, none of whom has spent any."
    )
    per_day: Cost
    spent: Cost
    reserved: Cost = Field(description="Set aside for jobs that have not ended.")
    left: Cost


class Costs(BaseModel):
    """What was spent in some days (UTC), and the budgets of today."""

    by: By
    since: date = Field(description="The first day.")
    until: date = Field(description="The last day.")
    items: list[SpendingItem] = Field(description="Those that cost most first; days in their order.")
    total: Spending
    budgets: list[Budget]


class Health(BaseModel):
    """The process is alive."""

    status: Literal["ok"] = "ok"


class Check(BaseModel):
    """One part that the service stands on."""

    name: str
    ok: bool
    problem: str | None


class Readiness(BaseModel):
    """Whether the service can serve."""

    ready: bool
    checks: list[Check]
