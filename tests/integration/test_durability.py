"""Nothing accepted is lost: 200 media over HTTP, the server killed and stopped over and over meanwhile."""

import asyncio
import hashlib
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from darkroom.db.session import open_database
from darkroom.db.tables import files, jobs, logs, media, trash
from services.server import MakeServer, Server, eventually

MEDIA = 200
CALLERS = 8
KILLS = 5
BROKEN = (httpx2.TransportError, httpx2.RemoteProtocolError)


def wish(number: int) -> dict[str, Any]:
    """What the request of this number asks for: dummy pictures, some in pairs, and a few small sketches."""
    if number % 20 == 19:
        return {
            "prompt": f"a lighthouse at dusk, {number}",
            "model": "sketch",
            "parameters": {"width": 64, "height": 64, "seed": number},
        }
    pair = number % 4 == 3
    return {
        "prompt": f"number {number}",
        "model": "dummy",
        "parameters": {"delay": (number % 5) * 0.05, "steps": number % 3, "n": 2 if pair else 1, "width": 40},
    }


def pictures_of(number: int) -> int:
    return int(wish(number)["parameters"].get("n", 1))


@dataclass
class Callers:
    """Submit every wish once, over and over until it is answered, each under a key of its own."""

    server: Server
    answers: dict[int, dict[str, Any]] = field(default_factory=dict)
    repeats: int = 0
    pause: float = 0.05
    give_up_at: float = field(default_factory=lambda: time.monotonic() + 150)

    def submit(self, client: httpx2.Client, number: int) -> None:
        while number not in self.answers:
            assert time.monotonic() < self.give_up_at
            try:
                answer = client.post(
                    "/media/generate", json=wish(number), headers={"Idempotency-Key": f"wish-{number}"}
                )
            except BROKEN:
                self.repeats += 1
                time.sleep(0.2)
                continue
            assert answer.status_code in (202, 503), answer.text
            if answer.status_code == 202:
                self.answers[number] = answer.json()

    def submit_share(self, first: int) -> None:
        with self.server.client() as client:
            for number in range(first, MEDIA, CALLERS):
                self.submit(client, number)
                time.sleep(self.pause)

    @contextmanager
    def submitting(self) -> Iterator[None]:
        with ThreadPoolExecutor(CALLERS) as pool:
            shares = [pool.submit(self.submit_share, first) for first in range(CALLERS)]
            yield
            for share in shares:
                share.result()


@pytest.fixture
def chance() -> random.Random:
    """A source of random moments; what it was seeded with is shown when a test fails."""
    seed = int(os.environ.get("DARKROOM_TEST_SEED", random.SystemRandom().randrange(10**6)))
    print(f"DARKROOM_TEST_SEED={seed}")
    return random.Random(seed)


def test_every_media_survives_five_kills(make_server: MakeServer, database_url: str, chance: random.Random) -> None:
    server = make_server(
        database_url=database_url, lease=1, poll_interval=0.05, retry__base=0.05, max_tries=50, stop_grace=1
    ).start()
    callers = Callers(server)
    with callers.submitting():
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.05, 0.9))
            server.kill()
            server.start()
    print(f"{callers.repeats} requests were cut and repeated")
    ended = completed(server)
    assert {one["id"] for one in callers.answers.values()} == set(ended)
    for number, answer in callers.answers.items():
        assert len(ended[answer["id"]]["files"]) == pictures_of(number)
    check_files(server, ended)
    check_history(database_url)
    check_that_nothing_is_left(server, database_url)


def test_stopping_over_and_over_costs_no_try(make_server: MakeServer, database_url: str, chance: random.Random) -> None:
    server = make_server(database_url=database_url, lease=60, poll_interval=0.05, stop_grace=0.1, max_tries=1).start()
    callers = Callers(server)
    cut: list[str] = []
    with callers.submitting(), waiting_callers(server, cut):
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.05, 0.9))
            began = time.monotonic()
            assert server.terminate() == 0, server.log
            assert time.monotonic() - began < 10
            server.start()
    assert cut == []
    ended = completed(server)
    assert {one["id"] for one in callers.answers.values()} <= set(ended)
    check_files(server, ended)
    tables = read(database_url)
    assert Counter(row.number_of_tries for row in tables["media"]) == {1: len(ended)}
    states = Counter(row.state.value for row in tables["jobs"])
    assert states.pop("released") > 0
    assert states == {"succeeded": len(ended)}
    assert "released" in {row.event for row in tables["logs"]}
    check_history(database_url)
    check_that_nothing_is_left(server, database_url)


@contextmanager
def waiting_callers(server: Server, cut: list[str]) -> Iterator[None]:
    """Meanwhile someone waits for a slow picture, always: when the server stops, with an answer, not a cut."""
    done = False

    def wait() -> None:
        slow = {"prompt": "slow", "model": "dummy", "parameters": {"delay": 0.7}}
        while not done:
            with server.client() as client:
                eventually(lambda: answers(client), every=0.2)
                began = time.monotonic()
                try:
                    answer = client.post("/media/generate", json=slow, headers={"Prefer": "wait=20"})
                    assert answer.status_code in (200, 202), answer.text
                except BROKEN as error:
                    if time.monotonic() - began > 0.1:  # else it came to a door that was closing
                        cut.append(repr(error))

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait)
        try:
            yield
        finally:
            done = True
        waiting.result()


def answers(client: httpx2.Client) -> bool:
    try:
        return bool(client.get("/healthz").status_code == 200)
    except BROKEN:
        return False


def completed(server: Server) -> dict[str, dict[str, Any]]:
    """Every media, by id, once all are COMPLETED."""
    found: dict[str, dict[str, Any]] = {}
    with server.client() as client:

        def all_completed() -> bool:
            found.update({one["id"]: one for one in listed(client)})
            statuses = Counter(one["status"] for one in found.values())
            assert not statuses.keys() & {"ERROR", "CANCELLED"}, statuses
            return len(found) >= MEDIA and statuses.keys() == {"COMPLETED"}

        eventually(all_completed, within=90, every=0.2)
    return found


def listed(client: httpx2.Client) -> Iterator[dict[str, Any]]:
    cursor: dict[str, str] = {}
    while True:
        page = client.get("/media", params={"limit": 100, **cursor}).json()
        yield from page["items"]
        if page["next_cursor"] is None:
            return
        cursor = {"cursor": page["next_cursor"]}


def check_files(server: Server, ended: dict[str, dict[str, Any]]) -> None:
    """Every picture can be read, and is the one that the row tells of; every thumbnail can be read."""

    async def check() -> None:
        async with httpx2.AsyncClient(base_url=server.url, timeout=30) as client:
            for one in ended.values():
                assert [file["index"] for file in one["files"]] == list(range(len(one["files"])))
                for file in one["files"]:
                    address = f"/media/{one['id']}/files/{file['index']}"
                    content = (await client.get(address)).raise_for_status().content
                    assert hashlib.sha256(content).hexdigest() == file["sha256"]
                    small = (await client.get(address, params={"thumbnail": True})).raise_for_status()
                    assert small.headers["content-type"] == "image/webp"

    asyncio.run(check())


def check_history(database_url: str) -> None:
    """Each media has one job that succeeded, its last; it was completed once; its tries are those that count."""
    tables = read(database_url)
    completions = Counter(row.media_id for row in tables["logs"] if row.event == "completed")
    for one in tables["media"]:
        tries = sorted((job for job in tables["jobs"] if job.media_id == one.id), key=lambda job: job.number)
        states = [job.state.value for job in tries]
        assert states[-1] == "succeeded"
        assert tries[-1].id == one.job_id
        assert set(states[:-1]) <= {"lost", "released"}
        assert [job.number for job in tries] == list(range(1, len(tries) + 1))
        assert one.number_of_tries == 1 + states.count("lost")
        assert completions[one.id] == 1


def check_that_nothing_is_left(server: Server, database_url: str) -> None:
    """The store holds what the files table names and nothing else, and nothing is to be cleared."""
    store = server.folder / "data" / "files"
    eventually(lambda: not read(database_url)["trash"], within=10)
    rows = read(database_url)["files"]
    assert stored(store) == {row.key for row in rows} | {row.thumbnail_key for row in rows}
    make_old(store / ".tmp")
    server.kill()
    server.start()
    with server.client() as client:
        assert client.get("/readyz").status_code == 200
    assert list((store / ".tmp").iterdir()) == []


def stored(store: Path) -> set[str]:
    found = (path.relative_to(store) for path in store.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if path.parts[0] != ".tmp"}


def make_old(folder: Path) -> None:
    """What a kill left half-written is cleared away after an hour: have it be two."""
    for path in folder.iterdir():
        os.utime(path, (time.time() - 7200, time.time() - 7200))


def read(database_url: str) -> dict[str, list[Any]]:
    """Every row of every table."""

    async def rows() -> dict[str, list[Any]]:
        async with open_database(database_url).running() as database:
            return {
                table.name: await database.read(lambda c, table=table: list(c.execute(select(table))))
                for table in (media, jobs, files, logs, trash)
            }

    return asyncio.run(rows())
