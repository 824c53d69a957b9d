"""The statuses of a media, the states of a job, and the moves between them that are legal."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar


class Status(StrEnum):
    """Where a media is."""

    IN_QUEUE = "IN_QUEUE"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    ERROR = "ERROR"
    CANCELLED = "CANCELLED"


class JobState(StrEnum):
    """Where a job, one try at making a media, is."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LOST = "lost"
    RELEASED = "released"
    CANCELLED = "cancelled"


class DeliveryState(StrEnum):
    """Where the telling of an event to a webhook is."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    """Its tries are spent."""
    GONE = "gone"
    """The target answered 410: nothing more is sent there of this media."""


State = TypeVar("State", Status, JobState)
Moves = Mapping[State, frozenset[State]]

LEGAL: Moves[Status] = {
    Status.IN_QUEUE: frozenset({Status.PROCESSING, Status.CANCELLED}),
    Status.PROCESSING: frozenset({Status.IN_QUEUE, Status.COMPLETED, Status.ERROR, Status.CANCELLED}),
    Status.COMPLETED: frozenset(),
    Status.ERROR: frozenset({Status.IN_QUEUE}),
    Status.CANCELLED: frozenset({Status.IN_QUEUE}),
}

# What the conditions of the writes on `jobs` come to; the state machine's test holds every move against it.
LEGAL_JOB: Moves[JobState] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELLED}),
    JobState.RUNNING: frozenset(
        {JobState.SUCCEEDED, JobState.FAILED, JobState.LOST, JobState.RELEASED, JobState.CANCELLED}
    ),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.LOST: frozenset(),
    JobState.RELEASED: frozenset(),
    JobState.CANCELLED: frozenset(),
}

ENDED = frozenset({Status.COMPLETED, Status.ERROR, Status.CANCELLED})
"""A media in one of these moves only when a person retries it, or not at all."""

RETRYABLE = frozenset({Status.ERROR, Status.CANCELLED})
"""A person may have these tried again."""


class IllegalMove(RuntimeError):
    """A media or job was not where the table of legal moves has it: a mistake of ours, and nothing is written."""


def sources(legal: Moves[State], to: State) -> frozenset[State]:
    """The states from which `to` may be reached: the condition of the write that makes the move."""
    return frozenset(now for now, targets in legal.items() if to in targets)
