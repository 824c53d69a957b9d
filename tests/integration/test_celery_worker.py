"""`darkroom worker`, the real process, at work for a real service on PostgreSQL, with real brokers between them."""

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from darkroom.dispatch.queues import celery_of
from services.app import App, Client, RunApp
from services.brokers import Broker, dispatcher_on
from services.command import Command
from services.proxy import Proxy
from services.server import eventually
from services.workers import MakeWorker, WorkerProcess

MODELS = {"slow": {"lane": "gpu", "routes": [{"provider": "dummy"}]}}
LANES = {"default": {"concurrency": 4}, "gpu": {"concurrency": 1}}
SHARED = {"models": MODELS, "lanes": LANES, "lease": 2.0, "retry": {"base": 0.01, "cap": 0.01}, "poll_interval": 0.1}


@dataclass
class Site:
    """A service that only serves, and what its workers need to know."""

    app: App
    client: Client
    broker: Broker
    settings: dict[str, Any]


@pytest.fixture
def site(run_app: RunApp, postgres_url: str, broker: Broker) -> Iterator[Site]:
    settings = SHARED | {"database_url": postgres_url, **broker.settings}
    with run_app(**settings) as app, app.client() as client:
        yield Site(app, client, broker, settings)


def jobs(client: Client, media_id: str) -> list[str]:
    """The states of all jobs of a media, in order."""
    items: list[dict[str, Any]] = client.get(f"/media/{media_id}/jobs").raise_for_status().json()["items"]
    return [job["state"] for job in items]


def most_at_once(client: Client, expected: int) -> int:
    """The largest number of media that were seen in work, until `expected` are COMPLETED."""
    most = 0
    deadline = time.monotonic() + 60
    while len(client.listed(status="COMPLETED")) < expected:
        assert time.monotonic() < deadline, client.listed()
        most = max(most, len(client.listed(status="PROCESSING")))
    return most


def test_jobs_run_in_the_lanes_that_a_worker_serves(site: Site, make_worker: MakeWorker) -> None:
    ours, others = site.client.generate(model="slow"), site.client.generate()
    make_worker("--lanes", "gpu", **site.settings).start()
    site.client.until(ours["id"], "COMPLETED")
    assert site.client.media(others["id"])["status"] == "IN_QUEUE"
    make_worker(**site.settings).start()
    site.client.until(others["id"], "COMPLETED")


def test_no_more_jobs_run_at_once_than_the_worker_may(site: Site, make_worker: MakeWorker) -> None:
    for _ in range(9):
        site.client.generate(parameters={"delay": 0.3})
    make_worker("--concurrency", 3, **site.settings).start()
    assert most_at_once(site.client, expected=9) == 3


def test_a_full_lane_holds_up_no_other_and_goes_on(site: Site, make_worker: MakeWorker) -> None:
    slow = [site.client.generate(model="slow", parameters={"delay": 0.5}) for _ in range(6)]
    make_worker(**site.settings).start()
    quick = site.client.generate()
    site.client.until(quick["id"], "COMPLETED")
    assert site.client.media(slow[-1]["id"])["status"] == "IN_QUEUE"
    assert most_at_once(site.client, expected=7) == 1


async def test_tickets_too_many_change_nothing(site: Site, make_worker: MakeWorker) -> None:
    dispatcher = dispatcher_on(site.broker)
    dispatcher.wake("default", 40)
    await dispatcher.aclose()
    media = site.client.generate()
    make_worker(**site.settings).start()
    assert jobs(site.client, site.client.until(media["id"], "COMPLETED")["id"]) == ["succeeded"]
    eventually(lambda: site.broker.depth() == 0)


def test_lost_tickets_are_sent_again(site: Site, make_worker: MakeWorker) -> None:
    made = [site.client.generate()["id"] for _ in range(5)]
    eventually(lambda: site.broker.depth() >= 5)
    make_worker(**site.settings).launch()
    site.broker.delete()
    for media_id in made:
        site.client.until(media_id, "COMPLETED")


def test_what_is_accepted_while_the_broker_is_down_runs_when_it_is_back(
    run_app: RunApp, postgres_url: str, broker: Broker, make_worker: MakeWorker
) -> None:
    with Proxy(broker.address) as proxy:
        settings = SHARED | broker.settings | {"database_url": postgres_url, "broker_url": broker.through(proxy.port)}
        with run_app(**settings) as app, app.client() as client:
            make_worker(**settings).start()
            client.completed()
            with proxy.away():
                media = client.generate()
                eventually(lambda: broken_parts(client) == ["broker"])
                assert client.get("/readyz").status_code == 200
            client.until(media["id"], "COMPLETED", within=40)
            eventually(lambda: broken_parts(client) == [])


def broken_parts(client: Client) -> list[str]:
    return [check["name"] for check in client.get("/readyz").json()["checks"] if not check["ok"]]


def test_a_killed_workers_job_is_made_by_another(site: Site, make_worker: MakeWorker) -> None:
    media = site.client.generate(parameters={"delay": 1.5})
    first = make_worker(**site.settings)
    first.start()
    site.client.until(media["id"], "PROCESSING")
    first.kill()
    make_worker(**site.settings).start()
    media = site.client.until(media["id"], "COMPLETED", within=40)
    assert jobs(site.client, media["id"]) == ["lost", "succeeded"]
    assert media["number_of_tries"] == 2


def celery_worker(make_worker: MakeWorker, site: Site, *words: object, **settings: object) -> WorkerProcess:
    """A worker that Celery's own command starts."""
    command = ("celery", "-A", "darkroom.celery_app", "worker")
    return make_worker(*words, command=command, **site.settings | settings)


@pytest.mark.parametrize("plain", [False, True], ids=["darkroom", "celery"])
def test_a_worker_that_is_stopped_gives_back_what_does_not_end_in_time(
    site: Site, make_worker: MakeWorker, plain: bool
) -> None:
    short, long = site.client.generate(parameters={"delay": 1.5}), site.client.generate(parameters={"delay": 20})
    settings = site.settings | {"stop_grace": 3}
    first = celery_worker(make_worker, site, stop_grace=3) if plain else make_worker(**settings)
    first.start()
    for media in (short, long):
        site.client.until(media["id"], "PROCESSING")
    first.signal(signal.SIGTERM)
    assert first.ends() == 0, first.text
    assert jobs(site.client, short["id"]) == ["succeeded"]
    assert jobs(site.client, long["id"]) == ["released", "queued"]
    assert site.client.media(long["id"])["number_of_tries"] == 0
    assert "Traceback" not in first.text


def test_what_was_given_back_goes_to_another_worker_at_once(
    run_app: RunApp, postgres_url: str, broker: Broker, make_worker: MakeWorker
) -> None:
    settings = SHARED | broker.settings | {"database_url": postgres_url, "stop_grace": 0.1, "poll_interval": 60}
    with run_app(**settings) as app, app.client() as client:
        first, second = make_worker(**settings), make_worker(**settings)
        first.start()
        media = client.generate(parameters={"delay": 100})
        client.until(media["id"], "PROCESSING")
        second.start()
        first.signal(signal.SIGTERM)
        eventually(lambda: jobs(client, media["id"]) == ["released", "running"])
        assert client.media(media["id"])["number_of_tries"] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_cuts_the_grace_short(site: Site, make_worker: MakeWorker, number: signal.Signals) -> None:
    media = site.client.generate(parameters={"delay": 100})
    worker = make_worker(**site.settings, stop_grace=100)
    worker.start()
    site.client.until(media["id"], "PROCESSING")
    worker.signal(number)
    eventually(lambda: worker.events("worker_stopping"))
    assert jobs(site.client, media["id"]) == ["running"]
    worker.signal(number)
    assert worker.ends(within=20) == 0, worker.text
    assert jobs(site.client, media["id"]) == ["released", "queued"]


def test_an_idle_worker_ends_at_once_even_without_a_broker(site: Site, make_worker: MakeWorker) -> None:
    with Proxy(site.broker.address) as proxy:
        worker = make_worker(**site.settings | {"broker_url": site.broker.through(proxy.port)})
        worker.start()
        site.client.completed()
        proxy.cut()
        worker.signal(signal.SIGTERM)
        assert worker.ends(within=20) == 0, worker.text


def test_celery_shows_the_work(site: Site, make_worker: MakeWorker) -> None:
    site.client.generate(parameters={"delay": 60})
    worker = make_worker(**site.settings)
    worker.start()
    inspect = celery_of(site.broker.queues).control.inspect([worker.node], timeout=5)

    def running() -> list[str]:
        return [task["name"] for tasks in (inspect.active() or {}).values() for task in tasks]

    eventually(lambda: running() == ["darkroom.ticket"])


def test_quorum_queues_bring_work(run_app: RunApp, postgres_url: str, quorum: Broker, make_worker: MakeWorker) -> None:
    settings = SHARED | quorum.settings | {"database_url": postgres_url}
    with run_app(**settings) as app, app.client() as client:
        make_worker(**settings).start()
        client.completed()


# What it refuses


@pytest.fixture
def refused(darkroom: Command, rabbitmq: Broker, postgres_url: str) -> Command:
    """The command, with a broker and a database."""
    return darkroom.using(DARKROOM_BROKER_URL=rabbitmq.url, DARKROOM_DATABASE_URL=postgres_url)


def test_a_worker_needs_a_broker(darkroom: Command) -> None:
    ended = darkroom("worker")
    assert ended.code == 2
    assert "DARKROOM_BROKER_URL" in ended.complaint


def test_an_unknown_lane_is_named_with_those_there_are(refused: Command) -> None:
    ended = refused.using(DARKROOM_LANES='{"gpu": {}}')("worker", "--lanes", "gpu,cpu")
    assert ended.code == 2
    assert ended.complaint == "--lanes: there is no lane cpu; known: default, gpu"


def test_a_schema_that_is_not_ours_is_refused_with_the_command_to_run(
    refused: Command, empty_postgres_url: str
) -> None:
    ended = refused.using(DARKROOM_DATABASE_URL=empty_postgres_url)("worker")
    assert ended.code == 3
    assert "darkroom db upgrade" in ended.complaint


def test_a_database_that_does_not_answer_ends_it(refused: Command) -> None:
    ended = refused.using(DARKROOM_DATABASE_URL="postgresql://postgres@127.0.0.1:1/none")("worker")
    assert ended.code == 3
    assert ended.err.splitlines()[-1] == "darkroom: the database does not answer"


@pytest.mark.parametrize(
    ("words", "settings", "named"),
    [
        (["--pool", "solo"], {}, "--pool threads"),
        ([], {"DARKROOM_BROKER_URL": ""}, "DARKROOM_BROKER_URL"),
        ([], {"DARKROOM_LEASE": "long"}, "DARKROOM_LEASE"),
    ],
)
def test_celerys_own_command_refuses_in_one_line_too(
    make_worker: MakeWorker, rabbitmq: Broker, tmp_path: Path, words: list[str], settings: dict[str, str], named: str
) -> None:
    ours = {"broker_url": rabbitmq.url, "database_url": f"sqlite:///{tmp_path}/none.db"}
    ours |= {name.removeprefix("DARKROOM_").lower(): value for name, value in settings.items()}
    worker = make_worker(*words, command=("celery", "-A", "darkroom.celery_app", "worker"), **ours)
    worker.launch()
    assert worker.ends() == 2
    complaints = [line for line in worker.text.splitlines() if line.startswith("darkroom: ")]
    assert len(complaints) == 1
    assert named in complaints[0]
    assert "Traceback" not in worker.text
