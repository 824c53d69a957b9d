"""A store or a database that is down is waited for, with the pictures at hand."""

import asyncio
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import httpx2
import pytest

from darkroom.engine.core import Engine
from darkroom.media.states import Status
from darkroom.settings import Lane, Retry, Settings
from services.engines import (
    clean,
    dummy,
    ended,
    events,
    media_of,
    running,
    states,
    stored,
    story,
    submit,
    until,
    working,
)
from services.proxy import Proxy
from services.server import MakeServer, eventually

pytestmark = pytest.mark.anyio

# A store that is down


@dataclass
class Store:
    """A folder for pictures that can be broken and mended."""

    path: Path
    ruin: Callable[[], None]
    mend: Callable[[], None]

    @property
    def url(self) -> str:
        return self.path.as_uri()


def mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"this user may not mount: {done.stderr.strip()}")


@pytest.fixture(params=["full disk", "read-only disk", "file in its place"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store for each way of not taking pictures; all work again once mended."""
    path = tmp_path / "store"
    path.mkdir()
    if request.param == "file in its place":
        yield _replaceable(path)
        return
    mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path))
    try:
        yield _fillable(path) if request.param == "full disk" else _lockable(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def _replaceable(path: Path) -> Store:
    aside = path.with_name("aside")

    def ruin() -> None:
        path.rename(aside)
        path.write_text("in the way")

    def mend() -> None:
        path.unlink()
        aside.rename(path)

    return Store(path, ruin, mend)


def _fillable(path: Path) -> Store:
    filler = path / ".filler"

    def ruin() -> None:
        with filler.open("wb", buffering=0) as file:
            while True:
                try:
                    file.write(bytes(4096))
                except OSError:
                    return

    return Store(path, ruin, filler.unlink)


def _lockable(path: Path) -> Store:
    return Store(path, lambda: mount("-o", "remount,ro", str(path)), lambda: mount("-o", "remount,rw", str(path)))


def test_while_the_store_is_down_nothing_is_lost(make_server: MakeServer, store: Store) -> None:
    server = make_server(storage_url=store.url, lease=1, poll_interval=0.05, max_tries=1, stop_grace=0.1).start()
    store.ruin()
    with server.client() as client:
        made = [order(client) for _ in range(4)]
        wait_until_all_wait(client, made)
        check_that_it_says_so(client)
        client.post(f"/media/{made[0]}/cancel").raise_for_status()
        eventually(lambda: status(client, made[0]) == "CANCELLED")
        time.sleep(1.2)  # longer than a lease: it is kept
        assert [states_of(client, one) for one in made[1:]] == [["running"]] * 3

    began = time.monotonic()
    assert server.terminate() == 0
    assert time.monotonic() - began < 10
    server.start()

    with server.client() as client:
        wait_until_all_wait(client, made[1:], times=2)
        store.mend()
        eventually(lambda: {status(client, one) for one in made[1:]} == {"COMPLETED"})
        for one in made[1:]:
            assert states_of(client, one) == ["released", "succeeded"]
            assert client.get(f"/media/{one}").json()["number_of_tries"] == 1
            assert client.get(f"/media/{one}/files/0").status_code == 200
        problem = client.get("/readyz").json()["checks"][1]["problem"]
        assert problem is None or "of disk are left" in problem  # the disk of this test is a small one


def order(client: httpx2.Client) -> str:
    wish = {"prompt": "a test", "model": "dummy", "parameters": {"resumable": True, "width": 64}}
    answer = client.post("/media/generate", json=wish)
    assert answer.status_code == 202
    return str(answer.json()["id"])


def status(client: httpx2.Client, media_id: str) -> str:
    return str(client.get(f"/media/{media_id}").json()["status"])


def states_of(client: httpx2.Client, media_id: str) -> list[str]:
    return [job["state"] for job in client.get(f"/media/{media_id}/jobs").json()["items"]]


def wait_until_all_wait(client: httpx2.Client, made: list[str], *, times: int = 1) -> None:
    def told(media_id: str) -> int:
        lines = client.get(f"/media/{media_id}/logs").json()["items"]
        return sum(line["event"] == "waiting" for line in lines)

    eventually(lambda: all(told(one) == times for one in made))


def check_that_it_says_so(client: httpx2.Client) -> None:
    assert client.get("/healthz").status_code == 200
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert "Retry-After" in ready.headers
    assert {check["name"]: check["ok"] for check in ready.json()["checks"]} == {"database": True, "storage": False}
    assert ready.json()["checks"][1]["problem"].startswith("pictures cannot be kept: ")


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        lease=1.0,
        poll_interval=0.05,
        retry=Retry(base=0.01, cap=0.05),
        stop_grace=0,
        lanes={"default": Lane(concurrency=64)},
    )


async def test_a_picture_is_not_made_again_because_the_store_is_down(settings: Settings, tmp_path: Path) -> None:
    store = _replaceable(tmp_path / "data" / "files")
    store.path.mkdir(parents=True)
    async with working(settings) as engine:
        store.ruin()
        made = [await submit(engine, n=2) for _ in range(5)]

        async def all_wait() -> bool:
            return all(["waiting" in await events(engine, one) for one in made])

        await until(all_wait)
        store.mend()
        for one in made:
            assert (await ended(engine, one)).status is Status.COMPLETED
            assert await states(engine, one) == ["succeeded"]
            told = await story(engine, one)
            assert told[2].startswith("waiting: pictures cannot be kept: ")
        assert dummy(engine).created == len(made)


# A database that is down


@dataclass
class Ticker:
    """Measures how long the event loop was not free."""

    longest: float = 0.0
    task: "asyncio.Task[None] | None" = field(default=None)

    async def __aenter__(self) -> "Ticker":
        self.task = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.task is not None
        self.task.cancel()

    async def _tick(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            self.longest = max(self.longest, time.monotonic() - before)


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Another program writes to the SQLite file meanwhile, and takes its time."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


async def all_done_once(engine: Engine, made: list[UUID]) -> None:
    """Every media COMPLETED, by its only job."""
    for one in made:
        assert (await ended(engine, one, within=40)).status is Status.COMPLETED
    assert {one: await states(engine, one) for one in made} == {one: ["succeeded"] for one in made}
    for one in made:
        media = await media_of(engine, one)
        assert media.number_of_tries == 1
        assert (await events(engine, one)).count("completed") == 1
    assert dummy(engine).created == len(made)
    await clean(engine)
    keys = {
        key for one in made for file in (await media_of(engine, one)).files for key in (file.key, file.thumbnail_key)
    }
    assert await stored(engine) == keys


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("seconds", [2.5, 6.5])
async def test_a_locked_database_costs_no_try(settings: Settings, database_url: str, seconds: float) -> None:
    """Longer than a lease, and longer than a write is waited for."""
    async with working(settings) as engine, Ticker() as ticker:
        made = [await submit(engine, delay=0.01 * number) for number in range(50)]
        with locked(database_url):
            await asyncio.sleep(seconds)
        await all_done_once(engine, made)
    assert ticker.longest < 1.5


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_no_lease_is_judged_before_its_worker_could_extend_it(settings: Settings, database_url: str) -> None:
    """Reading goes on while the file is locked: the janitor sees leases run out, and must not believe it."""
    async with working(settings) as engine:
        made = [await submit(engine, resumable=True, delay=4.5) for _ in range(10)]
        for one in made:
            await running(engine, one)
        with locked(database_url):
            await asyncio.sleep(2.5)
        for one in made:
            media = await ended(engine, one, within=40)
            assert (media.status, media.number_of_tries) == (Status.COMPLETED, 1)
            assert "lost" not in await states(engine, one), "their own worker may give them back, nobody may take them"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_cut_connections_cost_no_try(settings: Settings, database_url: str) -> None:
    async with working(settings, lease=30.0) as engine:  # so that only the cuts are seen, not a slow machine
        made = [await submit(engine, delay=0.02 * number) for number in range(50)]
        for _ in range(10):
            await asyncio.sleep(0.15)
            await cut_connections(database_url)
        await all_done_once(engine, made)


async def cut_connections(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    finally:
        await connection.close()


@contextmanager
def proxied(url: str) -> Iterator[tuple[Proxy, str]]:
    """A PostgreSQL that can be cut off, and the address of it."""
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    with Proxy((parts.hostname or "127.0.0.1", parts.port or 5432)) as proxy:
        yield proxy, parts._replace(netloc=f"{user}@127.0.0.1:{proxy.port}").geturl()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_what_is_made_while_the_database_is_down_is_kept(settings: Settings, database_url: str) -> None:
    """Jobs end, and are longer than a lease without an answer: each is recorded once it is back."""
    with proxied(database_url) as (proxy, address):
        async with working(settings, database_url=address) as engine:
            made = [await submit(engine, resumable=True, delay=0.6) for _ in range(20)]
            for one in made:
                await running(engine, one)
            with proxy.away():
                await asyncio.sleep(2.5)
            await all_done_once(engine, made)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_what_cannot_be_made_without_the_database_goes_on_at_its_backend(
    settings: Settings, database_url: str
) -> None:
    """Nobody knows whose job it is: the call is given up, the backend goes on, no try is counted."""
    with proxied(database_url) as (proxy, address):
        async with working(settings, database_url=address) as engine:
            one = await submit(engine, resumable=True, delay=4)
            await running(engine, one)
            with proxy.away():
                await asyncio.sleep(2.5)
            media = await ended(engine, one)
            assert media.status is Status.COMPLETED
            assert media.number_of_tries == 1
            assert await states(engine, one) == ["released", "succeeded"]
            assert dummy(engine).created == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_database_that_takes_nothing_is_said_to_the_caller(make_server: MakeServer, database_url: str) -> None:
    server = make_server(database_url=database_url, stop_grace=0.5, lease=1).start()
    with server.client() as client:
        wish = {"prompt": "a test", "model": "dummy", "parameters": {"delay": 60}}
        media_id = client.post("/media/generate", json=wish).raise_for_status().json()["id"]
        eventually(lambda: status(client, media_id) == "PROCESSING")
        with locked(database_url):
            answers: list[httpx2.Response] = []
            asking = threading.Thread(target=lambda: answers.append(client.post("/media/generate", json=wish)))
            asking.start()
            began = time.monotonic()
            assert status(client, media_id) == "PROCESSING"
            assert client.get("/healthz").status_code == 200
            assert time.monotonic() - began < 2
            asking.join(20)
            assert answers[0].status_code == 503
            assert answers[0].headers["Retry-After"]
            assert answers[0].json()["code"] == "database_unavailable"
            began = time.monotonic()
            assert server.terminate(within=40) == 0
            assert time.monotonic() - began < 25
        server.start()
        eventually(lambda: states_of(client, media_id)[-1] == "running")
        assert len(client.get("/media").json()["items"]) == 1


@pytest.mark.parametrize(("processes", "number"), [(1, signal.SIGINT), (2, signal.SIGTERM)])
def test_a_signal_stops_it_whole(make_server: MakeServer, processes: int, number: signal.Signals) -> None:
    """Whoever waits is answered at once, what runs is released, and the exit code says that all is well."""
    server = make_server(processes=processes, stop_grace=0.2).start()
    with server.client() as client:
        wish = {"prompt": "a test", "model": "dummy", "parameters": {"delay": 60, "steps": 60}}
        media_id = client.post("/media/generate", json=wish).raise_for_status().json()["id"]
        eventually(lambda: states_of(client, media_id) == ["running"])
    answers: list[httpx2.Response] = []

    def wait() -> None:
        with server.client() as client:
            answers.append(client.post("/media/generate", json=wish, headers={"Prefer": "wait=50"}))

    waiting = threading.Thread(target=wait)
    waiting.start()
    with server.client() as client:
        eventually(lambda: len(client.get("/media").json()["items"]) == 2)
    began = time.monotonic()
    server.process.send_signal(number)
    eventually(lambda: server.exit_code is not None)
    assert server.exit_code == 0
    assert time.monotonic() - began < 10
    waiting.join(10)
    assert answers[0].status_code == 202
    server.start()
    with server.client() as client:
        for one in (media_id, answers[0].json()["id"]):
            assert states_of(client, one)[0] == "released"
