"""What can befall the service: a table, and a function for each."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from chaos import tickets
from chaos.cluster import LEASE, Api, Cluster, Frozen, Worker, bring_up
from services.proxy import Proxy

LATENCY, JITTER = 0.05, 0.1
MOST_LINKS = 3


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happens to one part of a cluster and is over when `strike` returns what it did."""

    name: str
    part: str
    """Two faults of one part do not overlap."""
    lasting: tuple[float, float]
    """Shortest and longest, in seconds."""
    strike: Callable[[Cluster, random.Random, float], str]


def worker_killed(cluster: Cluster, chance: random.Random, seconds: float) -> str:
    return _killed(chance.choice(cluster.workers), seconds)


def api_killed(cluster: Cluster, chance: random.Random, seconds: float) -> str:
    return _killed(chance.choice(cluster.apis), seconds)


def worker_restarted(cluster: Cluster, chance: random.Random, seconds: float) -> str:
    return _restarted(cluster, chance.choice(cluster.workers), seconds)


def api_restarted(cluster: Cluster, chance: random.Random, seconds: float) -> str:
    return _restarted(cluster, chance.choice(cluster.apis), seconds)


def worker_frozen(cluster: Cluster, chance: random.Random, seconds: float) -> str:
    worker = chance.choice(cluster.workers)
    since = time.time()
    worker.freeze()
    time.sleep(seconds)
    worker.thaw()
    assert worker.pid is not None
    cluster.frozen.append(Frozen(worker.pid, since, time.time()))
    return worker.name


def broker_stopped(cluster: Cluster, chance: random.Random, seconds: float) -> str:
    cluster.broker.stop()
    time.sleep(seconds)
    cluster.broker.start()
    return cluster.broker.name


def broker_emptied(cluster: Cluster, chance: random.Random, seconds: float) -> str:
    """It is killed, and has forgotten everything when it comes back."""
    cluster.broker.kill()
    time.sleep(seconds)
    cluster.broker.start()
    cluster.broker.empty()
    return cluster.broker.name


def database_restarted(cluster: Cluster, chance: random.Random, seconds: float) -> str:
    cluster.database.stop()
    time.sleep(seconds)
    cluster.database.start()
    return "fast shutdown"


def database_crashed(cluster: Cluster, chance: random.Random, seconds: float) -> str:
    cluster.database.kill()
    time.sleep(seconds)
    cluster.database.start()
    return "with recovery"


def store_down(cluster: Cluster, chance: random.Random, seconds: float) -> str:
    cluster.store.kill()
    time.sleep(seconds)
    cluster.store.start()
    return cluster.store.name


def links_cut(cluster: Cluster, chance: random.Random, seconds: float) -> str:
    with _weather(cluster, chance) as links:
        for link in links.values():
            link.cut()
        time.sleep(seconds)
    return " and ".join(links)


def links_stalled(cluster: Cluster, chance: random.Random, seconds: float) -> str:
    with _weather(cluster, chance) as links:
        for link in links.values():
            link.stall()
        time.sleep(seconds)
    return " and ".join(links)


def links_delayed(cluster: Cluster, chance: random.Random, seconds: float) -> str:
    for link in cluster.links.values():
        link.delay(LATENCY, JITTER)
    time.sleep(seconds)
    cluster.heal()
    return "all of them"


def tickets_doubled(cluster: Cluster, chance: random.Random, seconds: float) -> str:
    return f"{tickets.add(cluster.broker.url, chance.randint(20, 60))} too many"


def tickets_reordered(cluster: Cluster, chance: random.Random, seconds: float) -> str:
    return f"{tickets.shuffle(cluster.broker.url, chance)} put back in another order"


FAULTS = (
    Fault("worker killed", "worker", (0.2, 1.0), worker_killed),
    Fault("API killed", "api", (0.2, 1.0), api_killed),
    Fault("worker restarted", "worker", (0.0, 0.5), worker_restarted),
    Fault("API restarted", "api", (0.0, 0.5), api_restarted),
    Fault("worker frozen", "worker", (LEASE + 1, LEASE + 2), worker_frozen),
    Fault("broker stopped", "broker", (0.5, 2.0), broker_stopped),
    Fault("broker killed and emptied", "broker", (0.2, 1.0), broker_emptied),
    Fault("database restarted", "database", (0.0, 1.0), database_restarted),
    Fault("database crashed", "database", (0.0, 1.0), database_crashed),
    Fault("store down", "store", (3.0, 4.0), store_down),
    Fault("links cut", "links", (0.3, 2.0), links_cut),
    Fault("links stalled", "links", (LEASE, LEASE + 2), links_stalled),
    Fault("links delayed", "links", (2.0, 3.0), links_delayed),
    Fault("tickets doubled", "broker", (0.0, 0.0), tickets_doubled),
    Fault("tickets reordered", "broker", (0.0, 0.0), tickets_reordered),
)
LONGER = {
    "store down": (30.0, 30.0),
    "links delayed": (8.0, 12.0),
    "links stalled": (LEASE, 15.0),
    "links cut": (0.3, 6.0),
}
"""How long some last in the long form."""


def _killed(process: Api | Worker, seconds: float) -> str:
    process.kill()
    time.sleep(seconds)
    bring_up(process)
    return process.name


def _restarted(cluster: Cluster, process: Api | Worker, seconds: float) -> str:
    cluster.leave(process)
    time.sleep(seconds)
    bring_up(process)
    return process.name


@contextmanager
def _weather(cluster: Cluster, chance: random.Random) -> Iterator[dict[str, Proxy]]:
    """Some of the links, by name; they heal at the end."""
    names = chance.sample(sorted(cluster.links), chance.randint(1, MOST_LINKS))
    links = {name: cluster.links[name] for name in names}
    try:
        yield links
    finally:
        for link in links.values():
            link.heal()
