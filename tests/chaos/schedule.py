"""Which faults, in which order, which of them together: the same for the same seed."""

import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from chaos.cluster import Cluster
from chaos.faults import Fault
from chaos.timeline import Timeline

REST = (0.2, 1.0)
"""Seconds of peace before a round."""


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault to come."""

    fault: Fault
    seconds: float
    seed: int


@dataclass(frozen=True, slots=True)
class Round:
    """Faults at the same time, after a while of peace."""

    rest: float
    strikes: tuple[Strike, ...]

    @property
    def seconds(self) -> float:
        """How long it lasts at least."""
        return self.rest + max(strike.seconds for strike in self.strikes)


def plan(
    seed: int,
    faults: Sequence[Fault],
    *,
    times: int,
    together: int,
    overlapping: float,
    lasting: Mapping[str, tuple[float, float]],
) -> list[Round]:
    """Each of `faults` so many times, in any order.

    `overlapping`: how often one comes together with others, `together` at most. `lasting`: how long those last
    that differ from the table.
    """
    chance = random.Random(seed)
    groups: list[list[Strike]] = []
    for fault in chance.sample([*faults] * times, len(faults) * times):
        strike = Strike(fault, chance.uniform(*lasting.get(fault.name, fault.lasting)), chance.randrange(2**32))
        fitting = [group for group in groups if len(group) < together and _fits(group, fault)]
        if fitting and chance.random() < overlapping:
            chance.choice(fitting).append(strike)
        else:
            groups.append([strike])
    return [Round(chance.uniform(*REST), tuple(group)) for group in groups]


def _fits(group: Sequence[Strike], fault: Fault) -> bool:
    return all(strike.fault.part != fault.part for strike in group)


def carry_out(rounds: Sequence[Round], cluster: Cluster, timeline: Timeline) -> None:
    """Have everything happen. What a fault function raises is raised."""
    with ThreadPoolExecutor(thread_name_prefix="fault") as pool:
        for each in rounds:
            timeline.rest(each.rest)
            list(pool.map(lambda strike: _carry_out(strike, cluster, timeline), each.strikes))


def _carry_out(strike: Strike, cluster: Cluster, timeline: Timeline) -> None:
    with timeline.telling(strike.fault.name) as told:
        told.append(strike.fault.strike(cluster, random.Random(strike.seed), strike.seconds))
