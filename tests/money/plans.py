"""What is to happen to one media: the same for the same seed."""

import random
import signal
from dataclasses import dataclass
from typing import Literal

from money.steps import GAP, AtBackend, Sometime, Step
from money.vendors import Vendor

SHORT = 0.1
"""Seconds that a picture takes."""
AT_LEISURE = 0.6
"""Where the worker is to look at it several times."""
LONG = 30.0
"""Where it is to be cancelled on its way."""
LONGEST_JOB = 0.5
"""Seconds that a job lasts, about."""

EARLY = GAP | frozenset(
    {
        "claimed", "before the request is noted", "after the id is saved",
        "poll 1: unanswered", "poll 3: unanswered", "status 1: unanswered", "status 3: unanswered",
        "queue 1: unanswered", "queue 3: unanswered",
    }
)  # fmt: skip
"""The steps that come before the picture is made."""

Sign = Literal["killed", "stopped", "cut off"]


@dataclass(frozen=True, slots=True)
class Blow:
    """At a step a worker is killed or asked to stop (SIGTERM), or it is just cut off from the backend."""

    step: Step
    sign: Sign = "killed"

    @property
    def signal(self) -> int | None:
        return {"killed": signal.SIGKILL, "stopped": signal.SIGTERM, "cut off": None}[self.sign]

    def __str__(self) -> str:
        return f"{self.sign} at {self.step.name!r}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens to the worker of a media, and to the next ones.

    `cancel`: when its caller cancels it. `seconds`: how long the backend works on a picture.
    """

    seed: int
    blows: tuple[Blow, ...]
    cancel: Literal["with the first blow", "after the first blow"] | None = None
    seconds: float = SHORT
    resubmit: bool = False

    def __str__(self) -> str:
        words = [*map(str, self.blows)]
        words += [f"cancelled {self.cancel}"] if self.cancel else []
        words += ["resubmit = true"] if self.resubmit else []
        return f"seed {self.seed}: {', '.join(words)}"


def plan(vendor: Vendor, seed: int, *, resubmit: bool = False) -> Plan:
    """The plan of a seed."""
    chance = random.Random(f"{vendor.name} {seed}")
    blows = [_blow(chance, vendor.steps)]
    while len(blows) < 3 and chance.random() < 0.3:
        blows.append(_blow(chance, vendor.later))
    cancel = chance.choice(("with the first blow", "after the first blow")) if chance.random() < 0.2 else None
    seconds = LONG if cancel and blows[0].step.name in EARLY else _seconds(blows[0].step)
    if cancel and vendor.stops and chance.random() < 0.3:
        blows[1:] = [Blow(vendor.stops)]
    return Plan(seed, tuple(blows), cancel, seconds, resubmit)


def _blow(chance: random.Random, steps: tuple[Step, ...]) -> Blow:
    if chance.random() < 0.15:
        seconds = chance.uniform(0, LONGEST_JOB)
        return Blow(Sometime(f"after {seconds:.3f} s", seconds), chance.choice(("killed", "stopped")))
    step = chance.choice(steps)
    signs: tuple[Sign, ...] = ("killed", "stopped")
    if isinstance(step, AtBackend) and step.endpoint == "create":
        signs = ("killed", "stopped", "cut off")
    return Blow(step, chance.choices(signs, [8, 1.5, 1][: len(signs)])[0])


def each_step(vendor: Vendor) -> list[Plan]:
    """Every step once, the worker killed there; every step of a worker that goes on after such a kill, or cancels."""
    found, saved = Blow(_gap(vendor)), Blow(_saved(vendor))
    chains = [(Blow(step),) for step in vendor.steps]
    chains += [(found, Blow(step)) for step in vendor.later if step not in vendor.steps or step.name == "claimed"]
    plans = [Plan(n, blows, seconds=_seconds(blows[0].step)) for n, blows in enumerate(chains)]
    cancelled = [(saved,), (saved, Blow(vendor.stops))] if vendor.stops else []
    return plans + [Plan(len(plans) + n, blows, "after the first blow", LONG) for n, blows in enumerate(cancelled)]


def _seconds(step: Step) -> float:
    """How long a picture takes, so that the step comes: some calls are made again and again while it does."""
    return AT_LEISURE if isinstance(step, AtBackend) and step.skip else SHORT


def _gap(vendor: Vendor) -> Step:
    """Between the request and its id, if the next worker can go on there; else once that is saved."""
    return _named(vendor, "create: unanswered") if vendor.finds else _saved(vendor)


def _saved(vendor: Vendor) -> Step:
    """Once something was begun, and its id is saved, if there is one."""
    return _named(vendor, "create: unanswered" if vendor.ours or vendor.synchronous else "after the id is saved")


def _named(vendor: Vendor, name: str) -> Step:
    return next(step for step in vendor.steps if step.name == name)


def name_of(step: Step) -> str:
    """What is counted together."""
    return "sometime" if isinstance(step, Sometime) else step.name
