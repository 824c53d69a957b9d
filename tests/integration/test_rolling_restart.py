"""Processes that are replaced one after the other, under load: nobody notices."""

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from services.app import RunApp
from services.brokers import Broker
from services.server import MakeServer, Server, eventually
from services.workers import MakeWorker

BODY = {"prompt": "a lighthouse at dusk", "model": "dummy"}


class Balancer:
    """What stands before two servers: it sends each request once, to one that is ready.

    A server whose connection is refused, or that says that it is not ready, gets none until it is.
    """

    def __init__(self, servers: list[Server]) -> None:
        self._clients = {server.url: server.client() for server in servers}
        self._ready: dict[str, bool] = dict.fromkeys(self._clients, True)
        self._turn = 0
        self._closing = threading.Event()
        self.failures: list[str] = []
        self.answered = 0

    @contextmanager
    def under_load(self, callers: int = 4) -> Iterator[None]:
        """Have `callers` ask one request after the other while the context is open."""
        with ThreadPoolExecutor(callers + 1) as threads:
            threads.submit(self._probe)
            calls = [threads.submit(self._call) for _ in range(callers)]
            try:
                yield
            finally:
                self._closing.set()
        for call in calls:
            call.result()
        for client in self._clients.values():
            client.close()

    def _probe(self) -> None:
        while not self._closing.wait(0.1):
            for url in self._clients:
                try:
                    self._ready[url] = httpx2.get(f"{url}/readyz", timeout=10).status_code == 200
                except httpx2.TransportError:
                    self._ready[url] = False

    def _call(self) -> None:
        while not self._closing.is_set():
            url = self._next()
            try:
                answer = self._clients[url].post("/media/generate", json=BODY)
            except httpx2.ConnectError:
                self._ready[url] = False
                continue
            except httpx2.TransportError as error:
                self.failures.append(repr(error))
                continue
            self.answered += 1
            if answer.status_code != 202:
                self.failures.append(answer.text)
            time.sleep(0.01)

    def _next(self) -> str:
        self._turn += 1
        ready = [url for url, is_ready in self._ready.items() if is_ready] or list(self._ready)
        return ready[self._turn % len(ready)]


def test_api_processes_are_replaced_without_a_failed_request(
    make_server: MakeServer, postgres_url: str, rabbitmq: Broker
) -> None:
    settings = rabbitmq.settings | {"database_url": postgres_url, "drain": 3}
    servers = [make_server(**settings).start() for _ in range(2)]
    balancer = Balancer(servers)
    with balancer.under_load():
        for server in servers:
            before = balancer.answered
            assert server.terminate() == 0
            server.start()
            eventually(lambda seen=before: balancer.answered > seen + 20)  # type: ignore[misc]
    assert balancer.failures == []


def test_workers_are_replaced_without_a_counted_try(
    run_app: RunApp, make_worker: MakeWorker, postgres_url: str, broker: Broker
) -> None:
    settings = broker.settings | {"database_url": postgres_url, "stop_grace": 0.1}
    with run_app(**settings) as app, app.client() as client:
        workers = [make_worker(**settings) for _ in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            made = [client.generate(parameters={"delay": 3 if n % 2 else 0}) for n in range(10)]
            eventually(lambda: client.listed(status="PROCESSING"))
            worker.signal(signal.SIGTERM)
            assert worker.ends() == 0, worker.text
            worker.start()
        media = [client.until(one["id"], "COMPLETED", within=60) for one in client.listed()]
    assert len(media) == 2 * len(made)
    assert {one["number_of_tries"] for one in media} == {1}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_has_a_server_give_its_jobs_back_at_once(
    make_server: MakeServer, run_app: RunApp, postgres_url: str, number: signal.Signals
) -> None:
    server = make_server(database_url=postgres_url, stop_grace=100).start()
    with server.client() as client:
        media = client.post("/media/generate", json=BODY | {"parameters": {"delay": 100}}).json()
        eventually(lambda: status(client, media) == "PROCESSING")
    server.process.send_signal(number)
    eventually(lambda: refuses(server))
    server.process.send_signal(number)
    eventually(lambda: server.exit_code == 0)
    with run_app(database_url=postgres_url, working=False) as app, app.client() as client:
        assert [job["state"] for job in client.get(f"/media/{media['id']}/jobs").json()["items"]] == [
            "released",
            "queued",
        ]


def status(client: httpx2.Client, media: dict[str, Any]) -> str:
    found: str = client.get(f"/media/{media['id']}").json()["status"]
    return found


def refuses(server: Server) -> bool:
    try:
        httpx2.get(f"{server.url}/healthz", timeout=5)
    except httpx2.TransportError:
        return True
    return False


def test_a_server_that_drains_says_so_and_answers_on(make_server: MakeServer, sqlite_url: str) -> None:
    server = make_server(database_url=sqlite_url, drain=100).start()
    server.process.send_signal(signal.SIGTERM)
    with server.client() as client:
        eventually(lambda: client.get("/readyz").status_code == 503)
        answer = client.post("/media/generate", json=BODY)
        assert answer.status_code == 202
        assert answer.headers["connection"] == "close"
    assert server.exit_code is None
    assert server.terminate() == 0
