"""`darkroom up`, the real command: it makes a picture, repairs itself, and leaves nothing but its data."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import psutil
import pytest

from services.app import Client
from services.command import Command
from services.needs import missing
from services.server import eventually

START_SECONDS = 90.0


class Stack:
    """A `darkroom up` on a free port."""

    def __init__(self, command: Command, *options: object) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.said = command.folder / f"said-{self.port}"
        with self.said.open("w") as output:
            words = ("up", "--port", self.port, "--api-processes", 1, "--workers", 1, *options)
            self.process = command.start(*words, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def ready(self) -> "Stack":
        """Wait until it says that it can be tried."""
        eventually(lambda: self.process.poll() is not None or "Try it" in self.said.read_text(), within=START_SECONDS)
        if self.process.poll() is not None and "is not installed" in self.said.read_text():
            missing(self.said.read_text())
        assert self.process.poll() is None, self.said.read_text()
        return self

    @property
    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def client(self) -> Client:
        return Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)

    def send(self, number: int) -> None:
        """What a terminal does: the signal goes to the process group."""
        os.killpg(self.process.pid, number)


Run = Callable[..., Stack]


@pytest.fixture
def run(darkroom: Command) -> Iterator[Run]:
    started: list[Stack] = []

    def start(*options: object, **settings: object) -> Stack:
        started.append(Stack(darkroom.using(**settings), *options))
        return started[-1]

    yield start
    for stack in started:
        stack.process.kill()
        stack.process.wait()


def gone(processes: list[psutil.Process]) -> bool:
    return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes)


def test_a_picture_is_made_and_ctrl_c_leaves_nothing_but_the_data(run: Run, darkroom: Command) -> None:
    stack = run("--broker", "redis").ready()
    with stack.client() as client:
        media = client.completed()
        assert client.get(media["files"][0]["url"]).content
    family = stack.family
    names = {one.name() for one in family}
    assert {"postgres", "redis-server", "rclone"} <= names

    stack.send(signal.SIGINT)
    assert stack.process.wait(60) == 0
    assert gone(family)
    assert "Traceback" not in stack.said.read_text()

    again = run("--broker", "redis").ready()
    with again.client() as client:
        assert client.media(media["id"])["status"] == "COMPLETED"
        assert client.get(media["files"][0]["url"]).content
    again.send(signal.SIGTERM)
    assert again.process.wait(60) == 0


def test_what_dies_starts_again_and_a_second_ctrl_c_ends_all_at_once(
    run: Run, darkroom: Command, postgres_url: str
) -> None:
    settings = {"DARKROOM_DATABASE_URL": postgres_url, "DARKROOM_STORAGE_URL": (darkroom.folder / "files").as_uri()}
    stack = run("--broker", "redis", **settings, DARKROOM_STOP_GRACE=600).ready()
    family = stack.family
    assert not {"postgres", "rclone"} & {one.name() for one in family}, "what the settings name is used instead"

    next(one for one in family if one.cmdline()[-1] == "worker").kill()
    eventually(lambda: "worker-1 ended with -9" in stack.said.read_text(), within=30)
    with stack.client() as client:
        client.until(client.generate()["id"], "COMPLETED", within=60)
        client.until(client.generate(parameters={"delay": 600})["id"], "PROCESSING")
    family = stack.family

    stack.send(signal.SIGINT)
    eventually(lambda: "stopping" in stack.said.read_text())
    assert stack.process.poll() is None
    stack.send(signal.SIGINT)
    assert stack.process.wait(30) == 130
    assert gone(family)


def test_two_in_one_folder_do_not_get_in_each_others_way(darkroom: Command) -> None:
    folder = darkroom.folder / "darkroom-stack"
    folder.mkdir()
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ended = darkroom("up")
    assert ended.code == 1
    assert "another `darkroom up`" in ended.complaint


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be asked to do so")
def test_what_is_not_installed_is_told_in_one_line(darkroom: Command) -> None:
    ended = darkroom.using(PATH="/nowhere", DARKROOM_DATABASE_URL="postgresql://x@127.0.0.1:9/x")(
        "up", "--broker", "redis"
    )
    assert ended.code == 2
    assert "apt install redis-server" in ended.complaint
    assert "DARKROOM_BROKER_URL" in ended.complaint


def test_a_database_that_does_not_answer_stops_what_was_started(darkroom: Command) -> None:
    url = "postgresql://x:hidden@127.0.0.1:9/x"
    ended = darkroom.using(DARKROOM_DATABASE_URL=url, DARKROOM_BROKER_URL="redis://127.0.0.1:9")("up")
    assert ended.code == 3
    assert "database" in ended.err.splitlines()[-1]
    assert "hidden" not in ended.err
