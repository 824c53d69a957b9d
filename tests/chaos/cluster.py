"""The distributed service as it is run: each part a process of its own, with bad weather between them."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from darkroom.stack.brokers import RabbitMQ, Redis
from darkroom.stack.objects import ObjectStore
from darkroom.stack.postgres import Postgres
from darkroom.stack.process import Process
from darkroom.stack.service import free_port
from services.proxy import Proxy
from services.server import keep

Broker = RabbitMQ | Redis
BROKERS: dict[str, Callable[[Path], Broker]] = {"rabbitmq": RabbitMQ, "redis": Redis}

LEASE = 3.0
START_SECONDS = 60.0
LEAVING = 30.0
"""Seconds in which a process that is asked to stop must be gone."""

SETTINGS: dict[str, object] = {
    "LEASE": LEASE,
    "POLL_INTERVAL": 0.3,
    "STOP_GRACE": 1,
    "RETRY": {"base": 0.2, "cap": 1},
    "LANES": {"default": {"concurrency": 8}, "gpu": {"concurrency": 2}},
    "MODELS": {"gpu-dummy": {"lane": "gpu", "routes": [{"provider": "dummy", "model": "dummy"}]}},
    "LOG_FORMAT": "json",
    "SECRET": "0123456789abcdef",
}


class Api(Process):
    """A `darkroom serve`."""

    def __init__(self, name: str, folder: Path, environment: dict[str, str]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "darkroom", "serve", "--port", str(self.port)]
        super().__init__(name, command, folder, environment=environment)

    def is_up(self) -> bool:
        """Whether it answers."""
        try:
            return httpx2.get(f"{self.url}/healthz", timeout=5, trust_env=False).status_code == 200
        except httpx2.TransportError:
            return False


class Worker(Process):
    """A `darkroom worker`."""

    def __init__(self, name: str, folder: Path, environment: dict[str, str]) -> None:
        super().__init__(name, [sys.executable, "-m", "darkroom", "worker"], folder, environment=environment)
        self._read = 0

    def start(self) -> None:
        if not self.alive:
            self._read = self.log.stat().st_size if self.log.exists() else 0
        super().start()

    def is_up(self) -> bool:
        """Whether it has said so since its last start."""
        return b"worker_started" in self.log.read_bytes()[self._read :]


def bring_up(process: Api | Worker) -> None:
    """Start it and wait until it is up; as often as it ends before, as what keeps services running does."""
    deadline = time.monotonic() + START_SECONDS
    process.start()
    while not process.is_up():
        assert time.monotonic() < deadline, f"{process.name} does not come up: {last_words(process)}"
        time.sleep(0.05)
        process.start()


@dataclass(frozen=True, slots=True)
class Frozen:
    """A process was frozen from one moment to another, in seconds since 1970."""

    pid: int
    since: float
    until: float


class Cluster:
    """Two API processes, three workers, PostgreSQL, a broker and an S3 server.

    Between each kind of process and each service is a link.

    `settings`: variables without their prefix, in the place of those of `SETTINGS`.
    """

    def __init__(self, folder: Path, broker: str, *, apis: int = 2, workers: int = 3, **settings: object) -> None:
        self.folder = folder
        self.journal = folder / "journal.jsonl"
        self.database = Postgres(folder / "postgres")
        self.broker = BROKERS[broker](folder / "broker")
        self.store = ObjectStore(folder / "store")
        self.links: dict[str, Proxy] = {}
        self.apis: list[Api] = []
        self.workers: list[Worker] = []
        self.frozen: list[Frozen] = []
        self.left_badly: list[str] = []
        self._sizes = apis, workers
        self._settings = SETTINGS | {"PROVIDERS__DUMMY__JOURNAL": self.journal} | settings

    @contextmanager
    def running(self) -> Iterator["Cluster"]:
        """Start everything; kill it at the end."""
        with ExitStack() as stack:
            services = (self.database, self.broker, self.store)
            for service in services:
                stack.callback(service.kill)
            with ThreadPoolExecutor() as pool:
                list(pool.map(lambda service: service.start(), services))
            self.database_url = self.database.url()
            self.bucket = self.store.new_bucket()
            self._start(stack)
            yield self

    def _start(self, stack: ExitStack) -> None:
        apis, workers = self._sizes
        around = {group: self._environment(group, stack) for group in ("api", "worker")}
        self.apis = [Api(f"api{n}", self.folder, around["api"]) for n in range(apis)]
        self.workers = [Worker(f"worker{n}", self.folder, around["worker"]) for n in range(workers)]
        for process in self.processes:
            stack.callback(process.kill)
        with ThreadPoolExecutor() as pool:
            list(pool.map(bring_up, self.apis))
            list(pool.map(bring_up, self.workers))

    @property
    def processes(self) -> list[Api | Worker]:
        """Those of the service itself."""
        return [*self.apis, *self.workers]

    def leave(self, process: Process) -> None:
        """Ask a process to stop, and note it if that was not an orderly leave."""
        process.stop(LEAVING)
        if process.exit_code != 0:
            self.left_badly.append(f"{process.name} was asked to stop and ended with {process.exit_code}")

    def heal(self) -> None:
        """Good weather everywhere."""
        for link in self.links.values():
            link.heal()

    def _environment(self, group: str, stack: ExitStack) -> dict[str, str]:
        """What the processes of `group` get: settings with the addresses of its own links."""
        addresses = {
            "DATABASE_URL": self._link(f"{group}-database", self.database_url, stack),
            "BROKER_URL": self._link(f"{group}-broker", self.broker.url, stack),
            "STORAGE_URL": f"s3://{self.bucket}",
            "STORAGE_OPTIONS": {
                "endpoint": self._link(f"{group}-store", self.store.endpoint, stack),
                "access_key_id": self.store.access_key_id,
                "secret_access_key": self.store.secret_access_key,
                "region": "us-east-1",
                "allow_http": True,
            },
            "DATA_DIR": self.folder / "data",
        }  # fmt: skip
        inherited = {name: value for name, value in os.environ.items() if keep(name)}
        return inherited | {f"DARKROOM_{name}": as_text(value) for name, value in (self._settings | addresses).items()}

    def _link(self, name: str, url: str, stack: ExitStack) -> str:
        """`url` through a proxy of that name."""
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        link = self.links[name] = stack.enter_context(Proxy((parts.hostname, parts.port)))
        return parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{link.port}")).geturl()


def as_text(value: object) -> str:
    """A setting as a variable: tables are JSON."""
    return json.dumps(value) if isinstance(value, dict) else str(value)


def last_words(process: Process) -> str:
    """The end of what a process wrote."""
    return process.log.read_text(errors="replace")[-2000:]
