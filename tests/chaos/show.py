"""One run: the cluster, the load and the faults together; then the audit, and what to say of it."""

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chaos import evidence as proof
from chaos.audit import audit
from chaos.cluster import Cluster
from chaos.evidence import Evidence
from chaos.faults import FAULTS, LONGER
from chaos.load import Load, Told, wishes
from chaos.schedule import Round, carry_out, plan
from chaos.timeline import Timeline

COMING_BACK = 1.5
"""How much longer faults take than they last, as what broke is to come back."""
PATIENCE = 180.0
"""Seconds after which everything must have ended once all is well again."""


@dataclass(frozen=True, slots=True)
class Form:
    """How much happens."""

    name: str
    media: int
    times: int
    """How often each fault comes."""
    together: int
    """How many there are at once, at most."""
    overlapping: float
    """How often one comes together with others."""
    lasting: Mapping[str, tuple[float, float]]
    """How long those last that differ from the table of faults."""
    without: Mapping[str, str] = field(default_factory=dict)
    """By broker: a fault that is left out."""

    def plan(self, broker: str, seed: int) -> list[Round]:
        """The faults of this seed."""
        faults = [fault for fault in FAULTS if fault.name != self.without.get(broker)]
        return plan(
            seed, faults, times=self.times, together=self.together, overlapping=self.overlapping, lasting=self.lasting
        )


SHORT = Form("short", 50, 1, 3, 1.0, {}, without={"rabbitmq": "broker stopped"})
"""What every test run does: each fault once, three at a time. RabbitMQ takes long to start, and is killed only."""
LONG = Form("long", 1000, 2, 2, 0.4, LONGER)
"""What is done by command."""


@dataclass
class Outcome:
    """What a run found."""

    violations: list[str] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=dict)


def run(folder: Path, broker: str, seed: int, form: Form, say: Callable[[str], object] = print) -> Outcome:
    """Have everything happen that the seed says, and look at what is left."""
    rounds = form.plan(broker, seed)
    asked = wishes(form.media, random.Random(seed))
    seconds = sum(each.seconds for each in rounds) * COMING_BACK
    timeline = Timeline(say)
    say(f"seed {seed}, {broker}, {form.name} form: {form.media} media, {sum(len(r.strikes) for r in rounds)} faults")
    with Cluster(folder, broker).running() as cluster:
        timeline.tell("everything is up")
        load = Load([api.url for api in cluster.apis], asked, seconds=seconds, give_up=seconds * 5 + PATIENCE)
        with load.running():
            carry_out(rounds, cluster, timeline)
            timeline.tell("the last fault is over")
        timeline.tell("every request is answered")
        outcome = Outcome()
        outcome.violations += _settle(cluster, timeline)
        found = proof.collect(cluster)
        outcome.violations += audit(found, load.told, asked, cluster.frozen)
        outcome.violations += cluster.left_badly + _fallen(cluster)
        _count(outcome, found, load.told)
        timeline.tell("looked at everything")
    return outcome


def _settle(cluster: Cluster, timeline: Timeline) -> list[str]:
    """Wait until all media have ended, and until what nobody needs is cleared."""
    late = [
        *_wait_for("media not ended", lambda: proof.unfinished(cluster)),
        *_wait_for("prefixes not cleared", lambda: proof.uncleared(cluster)),
    ]
    timeline.tell("everything has ended")
    return late


def _wait_for(what: str, left: Callable[[], int]) -> list[str]:
    deadline = time.monotonic() + PATIENCE
    while number := left():
        if time.monotonic() > deadline:
            return [f"{number} {what} after {PATIENCE:g} s"]
        time.sleep(0.3)
    return []


def _fallen(cluster: Cluster) -> list[str]:
    """Processes that ended although nobody asked them to."""
    return [
        f"{process.name} ended by itself, with {process.exit_code}"
        for process in cluster.processes
        if not process.alive
    ]


def _count(outcome: Outcome, found: Evidence, told: Told) -> None:
    jobs = [job for each in found.jobs.values() for job in each]
    outcome.counts = {
        "answers": told.answers,
        "media": Counter(row.status.value for row in found.media),
        "jobs": Counter(job.state.value for job in jobs),
        "tries a media": Counter(str(row.number_of_tries) for row in found.media),
        "objects": Counter({"stored": len(found.store)}),
        "calls of the model": Counter({"started": sum(line["what"] == "started" for line in found.journal)}),
    }


def report(outcome: Outcome) -> Sequence[str]:
    """What it found, in lines."""
    table = [
        f"{what:20} " + ", ".join(f"{name} {times}" for name, times in sorted(counts.items()))
        for what, counts in outcome.counts.items()
    ]
    verdict = f"{len(outcome.violations)} violations" if outcome.violations else "nothing is wrong"
    return [*table, *(f"VIOLATION {line}" for line in outcome.violations), verdict]
