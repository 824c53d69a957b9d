"""The services of the stack, as real processes: each starts, answers, and goes on after a crash."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import asyncpg
import kombu
import psutil
import pytest

from darkroom.errors import NotInstalled, Unavailable
from darkroom.stack.brokers import RabbitMQ, Redis
from darkroom.stack.objects import ObjectStore
from darkroom.stack.postgres import Postgres
from darkroom.stack.process import Process, program
from darkroom.stack.service import Service
from darkroom.storage.registry import open_storage
from services.needs import missing
from services.server import eventually

KEY = "a/b/0.png"
S = TypeVar("S", bound=Service)


@pytest.fixture(params=[RabbitMQ, Redis])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RabbitMQ | Redis]:
    yield from running(request.param, tmp_path)


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Postgres]:
    yield from running(Postgres, tmp_path)


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[ObjectStore]:
    yield from running(ObjectStore, tmp_path)


def running(kind: type[S], folder: Path) -> Iterator[S]:
    try:
        service = kind(folder / "a service")
    except NotInstalled as error:
        missing(error.message)
    with service:
        yield service


def fetch(url: str, statement: str) -> object:
    async def run() -> object:
        connection = await asyncpg.connect(url, timeout=20)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(run())


def gone(process: psutil.Process) -> bool:
    """Whether it has ended, if nobody has noticed yet."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_database_keeps_what_was_committed_when_it_is_killed(postgres: Postgres) -> None:
    url = postgres.url()
    fetch(url, "CREATE TABLE kept AS SELECT 7 AS number")

    postgres.kill()
    assert not postgres.answers()
    postgres.start()

    assert postgres.url() == url, "asked for again, it is the same"
    assert fetch(url, "SELECT number FROM kept") == 7
    assert fetch(url, "SHOW fsync") == "on"


def test_a_database_wants_its_password(postgres: Postgres) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        fetch(postgres.url().replace(postgres.password, "wrong"), "SELECT 1")


def test_killing_a_database_ends_the_processes_of_its_connections_too(postgres: Postgres) -> None:
    url = postgres.url()

    async def run() -> list[psutil.Process]:
        connection = await asyncpg.connect(url, timeout=20)
        children = psutil.Process(postgres.pid).children(recursive=True)
        postgres.kill()
        connection.terminate()
        return children

    children = asyncio.run(run())
    assert len(children) > 1
    assert all(gone(child) for child in children)


def test_a_store_keeps_its_objects_when_it_is_killed(objects: ObjectStore) -> None:
    storage = open_storage(f"s3://{objects.bucket('pictures')}", options=objects.options)
    asyncio.run(storage.put(KEY, b"a picture", content_type="image/png"))

    objects.kill()
    objects.start()

    assert objects.bucket("pictures") == "pictures", "it is there, and is left alone"

    async def stored() -> bytes:
        return b"".join([chunk async for chunk in storage.read(KEY)])

    assert asyncio.run(stored()) == b"a picture"


def put(broker: RabbitMQ | Redis, message: str) -> None:
    with kombu.Connection(broker.url, transport_options={"confirm_publish": True}) as connection:
        connection.SimpleQueue("things").put(message)


def taken(broker: RabbitMQ | Redis) -> str | None:
    """The next message, or None."""
    with kombu.Connection(broker.url) as connection:
        queue = connection.SimpleQueue("things")
        try:
            message = queue.get(block=False)
        except queue.Empty:
            return None
        message.ack()
        return message.payload


def test_a_broker_keeps_its_messages_when_it_is_killed_and_is_emptied_on_demand(broker: RabbitMQ | Redis) -> None:
    put(broker, "one")
    put(broker, "two")

    broker.kill()
    assert not broker.answers()
    broker.start()

    assert taken(broker) == "one"
    broker.empty()
    assert taken(broker) is None


def test_a_frozen_service_is_silent_until_it_thaws(tmp_path: Path) -> None:
    with ObjectStore(tmp_path) as service:
        service.freeze()
        eventually(lambda: psutil.Process(service.pid).status() == psutil.STATUS_STOPPED)
        assert service.alive
        service.thaw()
        assert service.answers()


def test_a_service_goes_on_in_its_folder_with_its_port_and_password(tmp_path: Path) -> None:
    first, second = ObjectStore(tmp_path), ObjectStore(tmp_path)
    assert (first.endpoint, first.options) == (second.endpoint, second.options)
    assert (tmp_path / "password").stat().st_mode & 0o077 == 0


def test_a_service_whose_port_is_taken_does_not_take_the_other_for_itself(tmp_path: Path) -> None:
    with ObjectStore(tmp_path / "one") as first:
        second = ObjectStore(tmp_path / "two", port=first.port)
        with pytest.raises(Unavailable, match=f"port {first.port}"):
            second.start()
    assert not second.alive


def test_a_service_that_does_not_start_says_what_it_said(tmp_path: Path) -> None:
    service = ObjectStore(tmp_path)
    service.command.append("--no-such-option")
    with pytest.raises(Unavailable, match=r"--no-such-option.*rclone\.log"):
        service.start()
    assert not service.alive


def test_a_program_that_is_not_installed_is_named_with_what_to_do() -> None:
    with pytest.raises(NotInstalled, match="no-such-thing is not installed here: apt install it"):
        program("no-such-thing", "apt install it")


def test_a_process_that_ignores_sigterm_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    script = "trap '' TERM; (trap '' TERM; setsid sleep 100 & echo $! > grandchild; wait) & wait"
    process = Process("stubborn", ["sh", "-c", script], tmp_path)
    process.start()
    eventually(lambda: (tmp_path / "grandchild").exists() and (tmp_path / "grandchild").read_text().strip())
    grandchild = int((tmp_path / "grandchild").read_text())
    process.stop(patience=0.1)
    assert not process.alive
    assert not psutil.pid_exists(grandchild) or gone(psutil.Process(grandchild))


def test_a_process_gets_no_environment_but_its_own_and_writes_into_its_log(tmp_path: Path) -> None:
    process = Process("speaker", ["/usr/bin/env"], tmp_path, environment={"WORD": "fox"})
    process.start()
    eventually(lambda: not process.alive)
    assert (process.exit_code, process.log.read_text()) == (0, "WORD=fox\n")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be asked to do so")
def test_processes_do_not_outlive_the_one_that_started_them_in_a_thread_of_its_own(tmp_path: Path) -> None:
    script = """
import sys, threading, time
from pathlib import Path
from darkroom.stack.process import Process

process = Process("sleeper", ["sleep", "100"], Path(sys.argv[1]))
thread = threading.Thread(target=process.start)
thread.start()
thread.join()
time.sleep(0.2)
print(process.pid, process.alive, flush=True)
time.sleep(100)
"""
    starter = subprocess.Popen([sys.executable, "-c", script, tmp_path], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    pid, alive = starter.stdout.readline().split()
    assert alive == "True", "the thread that started it is gone, and it lives"
    sleeper = psutil.Process(int(pid))
    starter.kill()
    starter.communicate()
    eventually(lambda: gone(sleeper))
