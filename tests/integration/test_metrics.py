"""What the service counts, as a scrape shows it."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import psutil
import pytest
from sqlalchemy import make_url

from darkroom.asgi import application
from darkroom.telemetry.metrics import DESCRIBED
from services.app import App, Client, RunApp
from services.brokers import Broker
from services.command import Command
from services.proxy import Proxy
from services.scraped import scrape
from services.server import MakeServer, Server, eventually
from services.workers import MakeWorker


@pytest.fixture
def name() -> str:
    """A name for a lane and a model that no other test has: all services in this process count together."""
    return f"t{uuid4().hex[:12]}"


def only(name: str, **lane: Any) -> dict[str, Any]:
    """Settings with a lane and a model of that name."""
    return {"lanes": {name: lane}, "models": {name: {"lane": name, "routes": [{"provider": "dummy"}]}}}


@pytest.fixture
def app(run_app: RunApp, database_url: str, name: str) -> Iterator[App]:
    with run_app(database_url=database_url, **only(name)) as app:
        yield app


def test_what_becomes_of_media_and_jobs_is_counted(app: App, client: Client, name: str) -> None:
    client.completed(model=name)
    failing = client.generate(model=name, parameters={"error_rate": 1}, max_tries=2)
    rejected = client.generate(model=name, parameters={"error_rate": 1, "error": "rejected"})
    for media in (failing, rejected):
        client.until(media["id"], "ERROR")
    slow = client.generate(model=name, parameters={"delay": 600})
    client.until(slow["id"], "PROCESSING")
    client.post(f"/media/{slow['id']}/cancel").raise_for_status()
    client.until(slow["id"], "CANCELLED")

    told = scrape(app.url)
    assert told.value("darkroom_media_submitted_total", model=name) == 4
    for status, number in {"COMPLETED": 1, "ERROR": 2, "CANCELLED": 1}.items():
        assert told.value("darkroom_media_ended_total", model=name, status=status) == number
    for state, number in {"succeeded": 1, "failed": 3, "cancelled": 1}.items():
        assert told.value("darkroom_jobs_ended_total", lane=name, state=state) == number
    assert told.value("darkroom_jobs_ended_total", lane=name, provider="dummy") >= 4
    assert told.value("darkroom_tries_counted_total", lane=name) == 4
    assert told.value("darkroom_job_queue_seconds_count", lane=name) == 5
    assert told.value("darkroom_job_run_seconds_count", lane=name) == 5
    assert told.value("darkroom_job_run_seconds_sum", lane=name) > 0


def test_a_try_that_does_not_count_is_not_counted(app: App, client: Client, name: str) -> None:
    media = client.generate(model=name, parameters={"error": "throttled", "error_rate": 1})
    eventually(lambda: scrape(app.url).value("darkroom_jobs_ended_total", lane=name, state="failed") >= 2)
    assert scrape(app.url).value("darkroom_tries_counted_total", lane=name) == 0
    client.delete(f"/media/{media['id']}").raise_for_status()


def test_what_waits_is_read_from_the_database(run_app: RunApp, database_url: str, name: str) -> None:
    with run_app(database_url=database_url, working=False, **only(name)) as app, app.client() as client:
        for _ in range(3):
            client.generate(model=name)
        eventually(lambda: scrape(app.url).value("darkroom_due_jobs", lane=name) == 3)
        told = scrape(app.url)
        assert told.value("darkroom_database_up") == 1
        assert told.value("darkroom_due_jobs", lane="default") == 0
        assert told.value("darkroom_oldest_due_seconds", lane=name) > 0
        assert told.value("darkroom_oldest_due_seconds", lane="default") == 0
        assert told.value("darkroom_waiting_jobs", lane=name) == 0


def test_what_runs_and_what_is_to_be_tried_later_are_told_apart(run_app: RunApp, database_url: str, name: str) -> None:
    later = {"retry": {"base": 3600, "cap": 3600}}
    with run_app(database_url=database_url, **only(name), **later) as app, app.client() as client:
        client.generate(model=name, parameters={"delay": 600})
        client.generate(model=name, parameters={"error_rate": 1, "retry_after": 3600})
        eventually(lambda: scrape(app.url).value("darkroom_waiting_jobs", lane=name) == 1)
        eventually(lambda: scrape(app.url).value("darkroom_running_jobs", lane=name) == 1)
        assert scrape(app.url).value("darkroom_due_jobs", lane=name) == 0


def test_a_job_whose_worker_is_gone_is_counted_as_lost(
    run_app: RunApp, make_server: MakeServer, postgres_url: str, name: str
) -> None:
    server = make_server(database_url=postgres_url, lease=1, **in_toml(name)).start()
    with server.client() as client:
        client.post("/media/generate", json={"prompt": "a", "model": name, "parameters": {"delay": 600}})
        eventually(lambda: scrape(server.url).value("darkroom_running_jobs", lane=name) == 1)
    server.kill()
    with run_app(database_url=postgres_url, **only(name)) as app:
        eventually(lambda: scrape(app.url).value("darkroom_jobs_ended_total", lane=name, state="lost") == 1)
        assert scrape(app.url).value("darkroom_tries_counted_total", lane=name) == 1


def in_toml(name: str) -> dict[str, str]:
    """`only`, as variables."""
    lanes = f'{{"{name}": {{}}}}'
    return {"lanes": lanes, "models": f'{{"{name}": {{"lane": "{name}", "routes": [{{"provider": "dummy"}}]}}}}'}


# Requests


def test_requests_are_counted_by_the_template_of_their_path(app: App, client: Client, name: str) -> None:
    media = client.completed(model=name)
    client.get(f"/media/{media['id']}/files/0").raise_for_status()
    assert client.get(f"/media/{uuid4()}").status_code == 404
    assert client.get("/no/such/place").status_code == 404
    assert client.request("PROPFIND", "/media").status_code == 405
    assert client.get("/media", headers={"Host": "evil.example"}).status_code == 403
    told = scrape(app.url)
    requests = "darkroom_request_seconds_count"
    assert told.value(requests, method="GET", route="/media/{media_id}", status="200") >= 1
    assert told.value(requests, method="GET", route="/media/{media_id}", status="404") >= 1
    assert told.value(requests, method="GET", route="/media/{media_id}/files/{index}", status="200") >= 1
    assert told.value(requests, method="POST", route="/media/generate", status="202") >= 1
    assert told.value(requests, method="GET", route="", status="404") >= 1
    assert told.value(requests, method="GET", route="", status="403") >= 1
    assert told.value(requests, method="other", status="405") >= 1
    known = {getattr(route, "path", "") for route in application(app.settings, working=False).routes} | {""}
    assert {labels["route"] for labels in told.labels(requests)} <= known
    assert media["id"] not in told.text


def test_no_caller_can_add_a_label(app: App, client: Client, name: str) -> None:
    stranger = f"x{uuid4().hex}"
    assert client.post("/media/generate", json={"prompt": stranger, "model": stranger}).status_code == 404
    client.completed(stranger, model=name, tags=[stranger], metadata={stranger: stranger})
    client.get(f"/{stranger}")
    client.get("/media", params={"q": stranger}, headers={"X-Request-ID": stranger})
    assert stranger not in scrape(app.url).text


def test_use_of_store_and_database_is_timed(app: App, client: Client, name: str) -> None:
    before = scrape(app.url)
    media = client.completed(model=name)
    client.get(f"/media/{media['id']}/files/0").raise_for_status()
    after = scrape(app.url)
    for metric, labels in (
        ("storage", {"operation": "put"}),
        ("storage", {"operation": "read"}),
        ("database", {"kind": "read"}),
        ("database", {"kind": "write"}),
        ("database", {"kind": "transaction"}),
    ):
        count = f"darkroom_{metric}_seconds_count"
        assert after.value(count, outcome="ok", **labels) > before.value(count, outcome="ok", **labels), labels


def test_a_scrape_goes_on_without_the_database(run_app: RunApp, postgres_url: str) -> None:
    address = make_url(postgres_url)
    with Proxy((address.host or "127.0.0.1", address.port or 5432)) as proxy:
        proxied = address.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
        with run_app(database_url=proxied) as app:
            with proxy.away():
                eventually(lambda: not scrape(app.url).value("darkroom_database_up"), within=40)
                told = scrape(app.url)
                assert not told.labels("darkroom_due_jobs")
                assert told.value("darkroom_request_seconds_count") > 0
            eventually(lambda: scrape(app.url).value("darkroom_database_up"), within=40)


def test_those_who_wait_are_counted_while_they_do(app: App, client: Client, name: str) -> None:
    before = scrape(app.url).value("darkroom_watchers")
    media = client.generate(model=name, parameters={"delay": 600})
    with client.stream("GET", f"/media/{media['id']}/events"):
        eventually(lambda: scrape(app.url).value("darkroom_watchers") == before + 1)
    eventually(lambda: scrape(app.url).value("darkroom_watchers") == before)


# Several processes


def test_one_scrape_tells_of_all_server_processes(make_server: MakeServer, name: str) -> None:
    server = make_server(processes=2, **in_toml(name)).start()
    for _ in range(12):  # each on a connection of its own: the processes take turns at accepting them
        with server.client() as client:
            client.post("/media/generate", json={"prompt": "a fox", "model": name}).raise_for_status()
    eventually(lambda: scrape(server.url).value("darkroom_media_ended_total", model=name) == 12)
    for _ in range(4):
        assert scrape(server.url).value("darkroom_media_submitted_total", model=name) == 12
    assert scrape(server.url).value("darkroom_build") == 1
    assert server.terminate() == 0


def test_what_a_dead_process_counted_stays_and_who_watched_there_is_gone(make_server: MakeServer, name: str) -> None:
    server = make_server(processes=2, **in_toml(name)).start()
    with server.client() as client:
        media = client.post("/media/generate", json={"prompt": "a", "model": name, "parameters": {"delay": 600}}).json()
    with server.client() as watching, watching.stream("GET", f"/media/{media['id']}/events"):
        eventually(lambda: scrape(server.url).value("darkroom_watchers") == 1)
        for process in processes(server):
            os.kill(process.pid, signal.SIGKILL)
            process.wait(10)
    eventually(lambda: answers(server.url) and scrape(server.url).value("darkroom_watchers") == 0, within=60)
    assert scrape(server.url).value("darkroom_media_submitted_total", model=name) == 1


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def processes(server: Server) -> list[psutil.Process]:
    return [child for child in server.process.children() if "spawn_main" in " ".join(child.cmdline())]


def answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/healthz", timeout=5).status_code == 200
    except httpx2.TransportError:
        return False


# The reference


def test_every_metric_is_described_and_every_one_described_is_there(app: App, client: Client, name: str) -> None:
    client.completed(model=name)
    text = scrape(app.url).text
    told = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE darkroom_")}
    assert told == {metric.name for metric in DESCRIBED}
    assert all(metric.text.endswith(".") for metric in DESCRIBED)


def test_the_reference_lists_every_metric(darkroom: Command) -> None:
    reference = darkroom.good("reference", "metrics").out
    assert all(f"| `{metric.name}` | {metric.kind} |" in reference for metric in DESCRIBED)


# Workers


def test_a_worker_answers_probes_and_tells_what_it_did(
    make_server: MakeServer, make_worker: MakeWorker, broker: Broker, postgres_url: str, tmp_path: Path
) -> None:
    together = {"database_url": postgres_url, "data_dir": tmp_path / "shared", **broker.settings}
    server = make_server(**together).start()
    worker = make_worker(**together, worker_port=(port := free_port()))
    worker.start()
    url = f"http://127.0.0.1:{port}"
    eventually(lambda: answers(url))
    assert httpx2.get(f"{url}/readyz").json()["ready"]
    assert httpx2.get(f"{url}/media").status_code == 404
    with server.client() as client:
        for _ in range(3):
            client.post("/media/generate", json={"prompt": "a fox", "model": "dummy"}).raise_for_status()
    eventually(lambda: scrape(url).value("darkroom_media_ended_total", status="COMPLETED") == 3)
    assert scrape(url).value("darkroom_jobs_ended_total", provider="dummy", state="succeeded") == 3
    assert scrape(url).value("darkroom_job_queue_seconds_count") == 3
    told = scrape(server.url)
    assert told.value("darkroom_media_submitted_total", model="dummy") == 3
    assert told.value("darkroom_media_ended_total") == 0
    eventually(lambda: scrape(server.url).value("darkroom_tickets_total", lane="default") >= 3, within=40)


def test_tickets_that_the_broker_does_not_take_are_counted(
    make_server: MakeServer, rabbitmq: Broker, postgres_url: str
) -> None:
    with Proxy(rabbitmq.address) as proxy:
        settings = {**rabbitmq.settings, "broker_url": rabbitmq.through(proxy.port), "database_url": postgres_url}
        server = make_server(**settings).start()
        with proxy.away(), server.client() as client:
            client.post("/media/generate", json={"prompt": "a fox", "model": "dummy"}).raise_for_status()
            eventually(lambda: scrape(server.url).value("darkroom_tickets_total", fate="dropped") >= 1, within=40)
        eventually(lambda: scrape(server.url).value("darkroom_tickets_total", fate="resent") >= 1, within=60)
