"""Each row of the table of faults in the performance notes, shown repaired on the distributed service.

That a prompt of 200 MB, a NUL, a lone surrogate and a blank prompt are refused is shown in test_api_bad_input.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import httpx2
import pytest

from chaos import audit, evidence
from chaos.cluster import Cluster, bring_up
from darkroom.errors import NotInstalled
from services.needs import missing
from services.server import eventually

pytestmark = pytest.mark.timeout(180)

NORMAL = 1.0
"""Seconds in which any request is answered, whatever is down behind it."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster for all rows."""
    try:
        folder, lanes = tmp_path_factory.mktemp("cluster"), {"default": {"concurrency": 20}}
        with Cluster(folder, "redis", apis=1, workers=2, LANES=lanes, MODELS={}).running() as cluster:
            yield cluster
    except NotInstalled as error:
        missing(error.message)


@pytest.fixture
def cluster(shared: Cluster) -> Iterator[Cluster]:
    """The cluster, whole again at the end."""
    yield shared
    for service in (shared.database, shared.broker, shared.store):
        service.start()
    shared.heal()
    for process in shared.processes:
        bring_up(process)


@pytest.fixture
def client(cluster: Cluster) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=cluster.apis[0].url, timeout=30, trust_env=False) as client:
        yield client


def ask(client: httpx2.Client, number: int = 1, **parameters: Any) -> list[str]:
    """Ask for so many pictures, one after the other; their ids."""
    body = {"prompt": "a lighthouse", "model": "dummy", "parameters": parameters, "max_tries": 3}
    return [client.post("/media/generate", json=body).raise_for_status().json()["id"] for _ in range(number)]


def show(client: httpx2.Client, media_id: str) -> dict[str, Any]:
    media: dict[str, Any] = client.get(f"/media/{media_id}").raise_for_status().json()
    return media


def are(client: httpx2.Client, media: Sequence[str], status: str) -> bool:
    return all(show(client, media_id)["status"] == status for media_id in media)


def reach(client: httpx2.Client, media: Sequence[str], status: str, *, within: float = 60.0) -> None:
    eventually(lambda: are(client, media, status), within=within, every=0.2)


def states(client: httpx2.Client, media: Sequence[str]) -> Counter[str]:
    """How many of their jobs are in which state."""
    jobs = [client.get(f"/media/{media_id}/jobs").raise_for_status().json()["items"] for media_id in media]
    return Counter(job["state"] for each in jobs for job in each)


def calls(cluster: Cluster, media: Sequence[str]) -> Counter[str]:
    """How often the model was run for each."""
    lines = evidence.read_journal(cluster.journal)
    return Counter(line["media_id"] for line in lines if line["what"] == "started" and line["media_id"] in media)


def check_store(cluster: Cluster) -> None:
    """The store holds the files of the rows, and soon nothing else."""
    eventually(lambda: not evidence.uncleared(cluster), within=30, every=0.3)
    found = evidence.collect(cluster)
    rows = [file for files in found.files.values() for file in files]
    assert found.store.keys() == {row.key for row in rows} | {row.thumbnail_key for row in rows}


def test_a_worker_killed_with_20_jobs_leaves_none_behind(cluster: Cluster, client: httpx2.Client) -> None:
    cluster.workers[1].kill()
    media = ask(client, 20, delay=2)
    reach(client, media[:10], "PROCESSING")
    cluster.workers[0].kill()
    bring_up(cluster.workers[1])
    reach(client, media, "COMPLETED")
    jobs = states(client, media)
    assert jobs["lost"] >= 10
    assert jobs == {"succeeded": 20, "lost": jobs["lost"]}


def test_a_broker_that_is_down_hinders_nobody_and_what_was_accepted_runs(
    cluster: Cluster, client: httpx2.Client
) -> None:
    cluster.broker.kill()
    began = time.monotonic()
    media = ask(client, 10)
    assert time.monotonic() - began < 10 * NORMAL
    assert client.get("/healthz", timeout=NORMAL).status_code == 200
    assert client.get("/readyz", timeout=10 * NORMAL).status_code == 200
    cluster.broker.start()
    reach(client, media, "COMPLETED")


def test_a_broker_that_forgets_100_tickets_holds_up_no_job_and_ends_no_worker(
    cluster: Cluster, client: httpx2.Client
) -> None:
    before = [worker.pid for worker in cluster.workers]
    media = ask(client, 100, delay=4)
    cluster.broker.kill()
    eventually(lambda: all("broker lost" in worker.log.read_text() for worker in cluster.workers))
    cluster.broker.start()
    cluster.broker.empty()
    assert states(client, media)["queued"] > 0
    reach(client, media, "COMPLETED")
    assert [worker.pid for worker in cluster.workers if worker.alive] == before


@pytest.mark.parametrize("crash", [False, True], ids=["restarted", "crashed"])
def test_a_database_that_was_away_leaves_nothing_stuck(cluster: Cluster, client: httpx2.Client, crash: bool) -> None:
    media = ask(client, 40, delay=0.5, steps=5)
    reach(client, media[:1], "COMPLETED")
    cluster.database.kill() if crash else cluster.database.stop()
    answer = client.get(f"/media/{media[0]}", timeout=10 * NORMAL)
    assert answer.status_code == 503
    assert "retry-after" in answer.headers
    assert client.get("/healthz", timeout=NORMAL).status_code == 200
    cluster.database.start()
    eventually(lambda: client.get("/readyz").status_code == 200)
    reach(client, media, "COMPLETED")
    check_store(cluster)


def test_a_store_that_is_down_does_not_have_the_model_run_again(cluster: Cluster, client: httpx2.Client) -> None:
    cluster.store.kill()
    media = ask(client, 20, delay=0.2)
    eventually(lambda: len(calls(cluster, media)) == 20)
    waited = "waiting"
    eventually(lambda: waited in {line["event"] for line in story(client, media[0])})
    assert client.get("/readyz").status_code == 503
    cluster.store.start()
    reach(client, media, "COMPLETED")
    assert calls(cluster, media) == dict.fromkeys(media, 1)
    check_store(cluster)


def story(client: httpx2.Client, media_id: str) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = client.get(f"/media/{media_id}/logs").raise_for_status().json()["items"]
    return lines


def test_workers_asked_to_stop_lose_no_long_job_and_count_no_try(cluster: Cluster, client: httpx2.Client) -> None:
    media = ask(client, 20, delay=5)
    reach(client, media, "PROCESSING")
    for worker in cluster.workers:
        assert worker.pid is not None
        os.killpg(worker.pid, signal.SIGTERM)
    eventually(lambda: not any(worker.alive for worker in cluster.workers), within=30)
    assert [worker.exit_code for worker in cluster.workers] == [0, 0]
    assert are(client, media, "IN_QUEUE")
    for worker in cluster.workers:
        bring_up(worker)
    reach(client, media, "COMPLETED")
    assert states(client, media) == {"released": 20, "succeeded": 20}
    assert {show(client, media_id)["number_of_tries"] for media_id in media} == {1}


def test_a_worker_that_hears_nothing_stops_when_its_lease_has_run_out(cluster: Cluster, client: httpx2.Client) -> None:
    media = ask(client, 1, delay=25)
    reach(client, media, "PROCESSING")
    cluster.links["worker-database"].stall()
    eventually(lambda: states(client, media)["lost"], within=30, every=0.1)
    lost = client.get(f"/media/{media[0]}/jobs").json()["items"][0]["id"]
    eventually(lambda: has_ended(cluster, lost), within=audit.HEARTBEAT + audit.SLACK)
    cluster.heal()
    client.post(f"/media/{media[0]}/cancel").raise_for_status()
    reach(client, media, "CANCELLED")


def has_ended(cluster: Cluster, job_id: str) -> bool:
    """Whether nothing of a job runs any more, by the word of the provider."""
    lines = evidence.read_journal(cluster.journal)
    return "ended" in [line["what"] for line in lines if line.get("job_id") == job_id]


def test_a_model_that_always_fails_says_why(client: httpx2.Client) -> None:
    media = ask(client, error_rate=1, error="transient")
    reach(client, media, "ERROR")
    ended = show(client, media[0])
    assert ended["error"]["message"] == "the dummy provider was asked for transient"
    assert ended["number_of_tries"] == 3
