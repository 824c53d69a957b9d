"""A database that cannot take a new media: 503 with Retry-After, nothing stored twice, and nobody else waits."""

import sqlite3
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import httpx2
import pytest
from sqlalchemy import make_url

from services.app import App, Client, RunApp
from services.proxy import Proxy
from services.server import eventually

REQUEST = {"prompt": "a lighthouse", "model": "dummy"}
PATIENCE = 2.0


def post(app: App, key: str | None = None, **headers: str) -> httpx2.Response:
    given = headers | ({"Idempotency-Key": key} if key else {})
    return httpx2.post(f"{app.url}/media/generate", json=REQUEST, headers=given, timeout=60)


def refused(response: httpx2.Response) -> None:
    assert response.status_code == 503, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "database_unavailable"
    assert int(response.headers["Retry-After"]) >= 1


def answers_meanwhile(app: App, waiting: "list[Future[httpx2.Response]]") -> list[float]:
    """How long each `GET /healthz` took until all of `waiting` were answered, in seconds."""
    took = []
    with app.client() as client:
        while not all(call.done() for call in waiting):
            started = time.perf_counter()
            client.get("/healthz").raise_for_status()
            took.append(time.perf_counter() - started)
            time.sleep(0.005)
    return took


@contextmanager
def locked(database_url: str) -> Iterator[None]:
    """Another process holds SQLite's write lock."""
    path = make_url(database_url).database
    assert path is not None
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
    finally:
        other.close()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that waits for its database 2 s instead of 5."""
    monkeypatch.setattr("darkroom.db.session.BUSY_TIMEOUT_MS", PATIENCE * 1000)
    monkeypatch.setattr("darkroom.db.writer.PATIENCE", PATIENCE)


@pytest.mark.usefixtures("hasty")
def test_a_locked_database_refuses_new_media_and_blocks_nothing_else(run_app: RunApp, sqlite_url: str) -> None:
    with run_app(database_url=sqlite_url) as app, app.client() as client, ThreadPoolExecutor(8) as callers:
        before = client.completed()
        with locked(sqlite_url):
            waiting = [callers.submit(post, app, f"key-{number}") for number in range(8)]
            took = answers_meanwhile(app, waiting)
            for call in waiting:
                refused(call.result())
            assert client.media(before["id"]) == before
            assert client.get(before["files"][0]["url"]).status_code == 200
        assert statistics.median(took) < 0.05
        assert max(took) < PATIENCE / 2
        assert len(client.listed()) == 1
        for number in range(8):
            assert post(app, f"key-{number}").status_code == 202
        eventually(lambda: len(client.listed(status="COMPLETED")) == 9)


@contextmanager
def behind_proxy(run_app: RunApp, url: str) -> Iterator[tuple[App, Client, Proxy]]:
    address = make_url(url)
    with Proxy((address.host or "127.0.0.1", address.port or 5432)) as proxy:
        proxied = address.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
        with run_app(database_url=proxied) as app, app.client() as client:
            yield app, client, proxy


def test_an_unreachable_database_refuses_new_media_until_it_is_back(run_app: RunApp, postgres_url: str) -> None:
    with behind_proxy(run_app, postgres_url) as (app, client, proxy), ThreadPoolExecutor(8) as callers:
        done = client.completed()
        with proxy.away():
            waiting = [callers.submit(post, app, f"key-{number}") for number in range(8)]
            took = answers_meanwhile(app, waiting)
            for call in waiting:
                refused(call.result())
            refused(client.get(f"/media/{done['id']}"))
            refused(client.get("/media"))
            assert client.get("/healthz").status_code == 200
        assert max(took, default=0) < 1
        eventually(lambda: client.get("/readyz").status_code == 200)
        for number in range(8):
            eventually(lambda key=f"key-{number}": post(app, key).status_code == 202)
        eventually(lambda: len(client.listed(status="COMPLETED")) == 9)
        assert len(client.listed()) == 9


def test_what_runs_when_the_database_goes_away_is_completed_once_it_is_back(run_app: RunApp, postgres_url: str) -> None:
    with behind_proxy(run_app, postgres_url) as (app, client, proxy):
        media = client.until(client.generate(parameters={"delay": 0.5})["id"], "PROCESSING")
        with proxy.away():
            pictures = app.settings.data_dir / "files"
            eventually(lambda: any(pictures.rglob("*.png")))  # it is made, and cannot be reported
        eventually(lambda: client.get("/readyz").status_code == 200)
        done = client.until(media["id"], "COMPLETED")
        assert done["number_of_tries"] == 1
        assert len(client.get(f"/media/{media['id']}/jobs").json()["items"]) == 1


def test_who_waits_for_an_accepted_media_is_not_told_that_it_was_refused(run_app: RunApp, postgres_url: str) -> None:
    with behind_proxy(run_app, postgres_url) as (app, client, proxy), ThreadPoolExecutor(1) as caller:
        body = {**REQUEST, "parameters": {"delay": 60}}
        call = caller.submit(client.post, "/media/generate", json=body, headers={"Prefer": "wait=8"})
        with app.client() as watcher:
            eventually(lambda: watcher.listed(status="PROCESSING"))
            with proxy.away():
                accepted = call.result(timeout=30)
        assert accepted.status_code == 202
        eventually(lambda: client.get(f"/media/{accepted.json()['id']}").status_code == 200)
