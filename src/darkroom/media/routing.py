"""Which way a media goes next: its routes, what became of them so far, and the accounts behind them."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Account:
    """Access to a backend, shared by all workers. `name` is what jobs say for their provider.

    `failures`: in a row, after which it is left alone for `cool_down` seconds. `settle`: seconds after which the
    backend's list is believed not to have what it does not show. `guarded`: whether any of this is looked at.
    """

    name: str
    paid: bool = False
    guarded: bool = False
    concurrency: int | None = None
    per_minute: int | None = None
    failures: int = 5
    cool_down: float = 30.0
    settle: float = 30.0


@dataclass(frozen=True, slots=True)
class Routing:
    """What a media has tried, since it was submitted or a person retried it. Routes are named by their labels.

    `spent`: routes that cannot do it. `failed`: those that failed in this round, in which each gets its chance.
    `since`: when the first of its jobs failed.
    """

    spent: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    since: datetime | None = None

    def left(self, routes: Sequence[str]) -> list[str]:
        """Those of `routes` that have not been tried in this round, in their order."""
        return [label for label in routes if label not in self.spent and label not in self.failed]

    def after(self, route: str | None, at: datetime, *, for_good: bool) -> Self:
        """The same once `route` has failed: for this round, or for good."""
        since = self.since or at
        if route is None:
            return replace(self, since=since)
        if for_good:
            return replace(self, spent=(*self.spent, route), since=since)
        return replace(self, failed=(*self.failed, route), since=since)

    def next_round(self) -> Self:
        """The same with every route that can do it allowed again."""
        return replace(self, failed=())

    def as_json(self) -> dict[str, Any] | None:
        """What the database keeps; None: nothing has failed yet."""
        if self == Routing():
            return None
        since = self.since.isoformat() if self.since else None
        return {"spent": list(self.spent), "failed": list(self.failed), "since": since}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any] | None) -> Self:
        """What the database kept."""
        if not kept:
            return cls()
        since = kept.get("since")
        return cls(tuple(kept["spent"]), tuple(kept["failed"]), datetime.fromisoformat(since) if since else None)


def in_order(weights: Mapping[str, float | None], media_id: UUID) -> list[str]:
    """The routes of a model (by label) in the order in which a media tries them.

    As they are given or, where they have weights, drawn by weight: the same for a media wherever it is asked.
    Each is drawn with the key u^(1/w), the largest first (Efraimidis and Spirakis, 2006).
    """
    if any(weight is None for weight in weights.values()):
        return list(weights)
    draw = random.Random(media_id.int)  # noqa: S311 - to spread load, no secret
    keys = {label: draw.random() ** (1 / (weight or 1)) for label, weight in weights.items()}
    return sorted(weights, key=lambda label: keys[label], reverse=True)
