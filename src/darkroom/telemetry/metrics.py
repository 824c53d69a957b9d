"""Metrics, as Prometheus reads them. Each is described here and nowhere else: the reference is made from these.

Labels take only names of ours: lanes, and the providers and models of the settings. Times are in seconds.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.process_collector import ProcessCollector

from darkroom import __version__

QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Buckets for requests, statements, objects."""

LONG = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
"""Buckets for jobs."""

LAG_EVERY = 0.5

MetricT = TypeVar("MetricT", bound=MetricWrapperBase)


@dataclass(frozen=True, slots=True)
class Described:
    """A metric as the reference shows it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str


DESCRIBED: list[Described] = []
disable_created_metrics()  # type: ignore[no-untyped-call]  # a time beside each counter, which nobody asks for
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)


def _metric(kind: type[MetricT], name: str, text: str, labels: Sequence[str] = (), **options: Any) -> MetricT:
    ending = "_total" if kind is Counter else ""
    DESCRIBED.append(Described(f"darkroom_{name}{ending}", kind.__name__.lower(), tuple(labels), text))
    return kind(f"darkroom_{name}", text, labels, registry=REGISTRY, **options)


# Media and jobs: counted by the process that wrote it down

MEDIA_SUBMITTED = _metric(Counter, "media_submitted", "Media that were accepted.", ["model"])
MEDIA_ENDED = _metric(
    Counter,
    "media_ended",
    "Media that became COMPLETED, ERROR or CANCELLED; one that a person has retried ends again.",
    ["model", "status"],
)
JOBS_ENDED = _metric(
    Counter,
    "jobs_ended",
    "Jobs that ended, by the state they ended in; `lost`: the worker's lease ran out. "
    "Of one that nobody had claimed or no backend accepted, the provider is empty.",
    ["lane", "provider", "state"],
)
TRIES = _metric(Counter, "tries_counted", "Jobs that counted as a try at their media.", ["lane", "provider"])
QUEUE_SECONDS = _metric(
    Histogram,
    "job_queue_seconds",
    "From the time that a job was due to the time that a worker claimed it.",
    ["lane"],
    buckets=LONG,
)
RUN_SECONDS = _metric(
    Histogram, "job_run_seconds", "From a job's claim to its end.", ["lane", "provider"], buckets=LONG
)
REPORTS_REFUSED = _metric(
    Counter, "reports_refused", "What a worker said of a job after it had lost its lease. Nothing of it was written."
)

# Money: counted by the process that wrote it down

COST = _metric(
    Counter,
    "cost_dollars",
    "US dollars that jobs cost; what may have to be paid for a job whose answer got lost counts.",
    ["model", "provider"],
)
BUDGET_REFUSED = _metric(
    Counter,
    "budget_refused",
    "Media that a budget had no room for: refused at once, or ended as ERROR when their turn came.",
    ["model"],
)

# Webhooks: counted by the process that sent them

WEBHOOKS = _metric(
    Counter,
    "webhooks",
    "What came of telling webhooks. `delivered`: the target took it. `retried`: it did not, and is told again later. "
    "`failed`: its tries are spent. `gone`: it answered 410.",
    ["outcome"],
)
WEBHOOK_SECONDS = _metric(Histogram, "webhook_seconds", "From sending to a webhook to its answer.", buckets=QUICK)

# Tickets: wake-ups sent through the broker

TICKETS = _metric(
    Counter,
    "tickets",
    "Tickets by their fate. `sent`: a job became due. `resent`: fewer were under way than jobs were due. "
    "`dropped`: the broker did not take it.",
    ["lane", "fate"],
)

# What it stands on

REQUESTS = _metric(
    Histogram,
    "request_seconds",
    "From a request to the first byte of its answer, by the template of its path; "
    "empty where there is nothing at the path. Status 499: the caller went away first.",
    ["method", "route", "status"],
    buckets=QUICK,
)
STORAGE_SECONDS = _metric(
    Histogram,
    "storage_seconds",
    "Operations on the store of pictures; `outcome` is ok or unavailable.",
    ["operation", "outcome"],
    buckets=QUICK,
)
DATABASE_SECONDS = _metric(
    Histogram,
    "database_seconds",
    "Use of the database. `read`: queries. `write`: a write, from asking to its commit. `transaction`: a transaction; "
    "most commit a group of writes, so the rate of `write` by that of `transaction` is about the size of the groups.",
    ["kind", "outcome"],
    buckets=QUICK,
)

# The process

LOOP_LAG = _metric(
    Histogram, "loop_lag_seconds", "How late the event loop was, looked at twice a second.", buckets=QUICK
)
WATCHERS = _metric(Gauge, "watchers", "Requests that wait for news of a media.", multiprocess_mode="livesum")
BUILD = _metric(Gauge, "build", "1; which version runs.", ["version"], multiprocess_mode="max")
BUILD.labels(__version__).set(1)


# What the database says, the same whichever process is asked

COUNTED_TO = 10_000
"""Where counting rows ends."""


def _known(name: str, text: str, *labels: str) -> Callable[[], GaugeMetricFamily]:
    DESCRIBED.append(Described(f"darkroom_{name}", "gauge", labels, text))
    return lambda: GaugeMetricFamily(f"darkroom_{name}", text, labels=labels)


DATABASE_UP = _known("database_up", "1 if the database answered this scrape; if 0, those below are missing.")
DUE_JOBS = _known("due_jobs", f"Jobs whose time has come; counted to {COUNTED_TO:,} a lane.", "lane")
WAITING_JOBS = _known(
    "waiting_jobs", f"Jobs that are to run later, such as retries; counted to {COUNTED_TO:,} a lane.", "lane"
)
RUNNING_JOBS = _known("running_jobs", "Jobs under a lease.", "lane")
OLDEST_DUE = _known(
    "oldest_due_seconds", "How long the oldest due job has been due, of those that are counted; 0: none is.", "lane"
)
LANE_PAUSED = _known("lane_paused", "1 while the lane is paused: what is due is not claimed.", "lane")
ACCOUNT_BLOCKED = _known(
    "account_blocked",
    "1 while nothing is sent to an account, as its backend failed or refused it; one that was never used is missing.",
    "provider",
)
WEBHOOKS_PENDING = _known(
    "webhooks_pending", f"What webhooks are still to be told, failed tries included; counted to {COUNTED_TO:,}."
)
TRASH = _known("trash_prefixes", f"Places in the store that wait to be cleared; counted to {COUNTED_TO:,}.")


class Timing:
    """Observes how long the context was open, and whether a `failure` left it. What was cancelled is not observed."""

    __slots__ = ("_began", "_failure", "_histogram", "_what")

    def __init__(self, histogram: Histogram, failure: type[Exception], what: str) -> None:
        self._histogram = histogram
        self._failure = failure
        self._what = what

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, kind: type[BaseException] | None, error: object, where: TracebackType | None) -> None:
        if kind is None or issubclass(kind, Exception):
            outcome = "ok" if kind is None or not issubclass(kind, self._failure) else "unavailable"
            self._histogram.labels(self._what, outcome).observe(time.perf_counter() - self._began)


def count_tickets(lane: str, fate: str, number: int) -> None:
    """Count tickets."""
    TICKETS.labels(lane, fate).inc(number)


async def watch_loop() -> None:
    """Observe how late the event loop is, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_EVERY
        await asyncio.sleep(LAG_EVERY)
        LOOP_LAG.observe(max(0.0, loop.time() - due))
