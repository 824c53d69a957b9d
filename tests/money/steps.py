"""The steps of a paid job at which its worker may end: on our side, and as the backend sees them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from darkroom.engine.lifecycle import Lifecycle
from darkroom.imaging import Developer
from darkroom.storage.timed import TimedStorage

Moment = Literal["lost", "late", "unanswered", "half answered"]

LATE = 2.0
"""Seconds after which a backend carries out a request whose sender has gone: another looks for it before that."""


@dataclass(frozen=True, slots=True)
class InWorker:
    """Right before or after the worker calls one of its parts for the `nth` time."""

    name: str
    owner: type
    method: str
    when: Literal["before", "after"]
    nth: int = 1


@dataclass(frozen=True, slots=True)
class AtBackend:
    """A call of an endpoint, after `skip` others.

    `lost`: it is never carried out; `late`: only after a while; `unanswered`: it is, and its answer gets lost;
    `half answered`: that breaks off.
    """

    name: str
    endpoint: str
    moment: Moment
    skip: int = 0


@dataclass(frozen=True, slots=True)
class Sometime:
    """So many seconds after the job was claimed."""

    name: str
    seconds: float


Step = InWorker | AtBackend | Sometime

CLAIMED = InWorker("claimed", Lifecycle, "claim", "after")
IN_WORKER = (
    CLAIMED,
    InWorker("before the request is noted", Lifecycle, "begin", "before"),
    InWorker("before the call", Lifecycle, "begin", "after"),
    InWorker("before the id is saved", Lifecycle, "accept", "before"),
    InWorker("after the id is saved", Lifecycle, "accept", "after"),
    InWorker("before the picture is looked at", Developer, "develop", "before"),
    InWorker("before the picture is stored", TimedStorage, "put", "before"),
    InWorker("after the picture is stored", TimedStorage, "put", "after"),
    InWorker("before the end is saved", Lifecycle, "report", "before"),
    InWorker("after the end is saved", Lifecycle, "report", "after"),
)
SYNCHRONOUS = tuple(step for step in IN_WORKER if step.method != "accept")
"""Those where the backend has no ids."""
GAP = frozenset(
    {
        "before the call", "create: lost", "create: late", "create: unanswered", "create: half answered",
        "before the id is saved",
    }
)  # fmt: skip
"""The steps between sending a request and saving its id, where the backend chooses that."""
AGAIN = tuple(step for step in IN_WORKER if step.method not in ("begin", "accept"))
"""Those of a worker that goes on where another was."""
LOOKING = InWorker("before what was found is compared", Lifecycle, "is_taken", "before")
"""Only where an earlier worker ended between sending a request and saving its id."""


def creating(endpoint: str = "create") -> tuple[AtBackend, ...]:
    """The steps of the call that costs money."""
    return tuple(
        AtBackend(f"{endpoint}: {moment}", endpoint, moment)
        for moment in ("lost", "late", "unanswered", "half answered")
    )


def looking(*endpoints: str, times: Iterable[int] = (0, 2)) -> tuple[AtBackend, ...]:
    """Steps of calls that are made again and again."""
    return tuple(
        AtBackend(f"{endpoint} {skip + 1}: unanswered", endpoint, "unanswered", skip)
        for endpoint in endpoints
        for skip in times
    )


def fetching(*endpoints: str) -> tuple[AtBackend, ...]:
    """Steps of calls whose answer matters."""
    moments: tuple[Moment, ...] = ("lost", "half answered")
    return tuple(AtBackend(f"{each}: {moment}", each, moment) for each in endpoints for moment in moments)


def arm(step: InWorker, strike: Callable[[], object]) -> None:
    """Have this process do `strike` once it is at `step`."""
    original, left = getattr(step.owner, step.method), step.nth

    async def struck(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        if step.when == "before":
            left -= 1
            if left == 0:
                strike()
            return await original(*args, **kwargs)
        result = await original(*args, **kwargs)
        left -= step is not CLAIMED or bool(result)
        if left == 0:
            left = -1
            strike()
        return result

    setattr(step.owner, step.method, struck)
