"""What a scrape is answered with: one text for all server processes that share an address."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from darkroom.settings import metrics_folder
from darkroom.telemetry.metrics import REGISTRY

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(known: Iterable[Metric]) -> bytes:
    """Every metric of this process, or of all that share a folder, and what is `known` besides."""
    folder = metrics_folder()
    return generate_latest(REGISTRY if folder is None else _shared(folder)) + generate_latest(_Given(known))


def _shared(folder: Path) -> MultiProcessCollector:
    """The metrics of all processes that write to `folder`, without what holds only while a process lives."""
    for file in folder.glob("gauge_live*.db"):
        pid = int(file.stem.rpartition("_")[2])
        if not _lives(pid):
            mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]
    return MultiProcessCollector(None, folder)  # type: ignore[no-untyped-call]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class _Given:
    """A registry of what is there already."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics
