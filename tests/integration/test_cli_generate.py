"""`darkroom generate`, the real process: without a server, and against one."""

import hashlib
import io
import os
import pty
import signal
import socket
import sqlite3
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image

from services.app import App, Client, RunApp
from services.command import Command
from services.server import MakeServer, eventually

SMALL = ("--width", 64, "--height", 64)


def pixels(path: Path) -> bytes:
    with Image.open(path) as picture:
        picture.load()
        return picture.tobytes()


@pytest.fixture
def idle(run_app: RunApp, sqlite_url: str) -> Iterator[App]:
    """A service that makes nothing."""
    with run_app(working=False, database_url=sqlite_url) as running:
        yield running


def listed(url: str) -> list[dict[str, Any]]:
    with Client(base_url=url, timeout=30) as client:
        return client.listed()


# Without a server


def test_pictures_are_made_without_a_server(darkroom: Command) -> None:
    ended = darkroom.good("generate", "a lighthouse at dusk", "-n", 2, "--seed", 7, "-o", "out", *SMALL)
    assert ended.out.splitlines() == ["out/a-lighthouse-at-dusk-7-0.png", "out/a-lighthouse-at-dusk-8-1.png"]
    assert ended.err == ""
    for line in ended.out.splitlines():
        with Image.open(darkroom.folder / line) as picture:
            assert (picture.format, picture.size) == ("PNG", (64, 64))
            assert picture.text["prompt"] == "a lighthouse at dusk"  # type: ignore[attr-defined]


def test_a_seed_makes_the_same_pixels_and_no_file_is_overwritten(darkroom: Command) -> None:
    words = ("generate", "a fox", "--seed", 7, *SMALL)
    first = darkroom.folder / darkroom.good(*words).out.strip()
    before = first.read_bytes()
    second = darkroom.folder / darkroom.good(*words).out.strip()
    other = darkroom.folder / darkroom.good("generate", "a fox", "--seed", 8, *SMALL).out.strip()
    assert (first.name, second.name) == ("a-fox-7-0.png", "a-fox-7-0_2.png")
    assert first.read_bytes() == before
    assert pixels(first) == pixels(second) != pixels(other)


def test_the_answer_can_be_had_as_json(darkroom: Command) -> None:
    words = ("-p", "style=paper", "--format", "webp", "--tag", "one", "--tag", "two", "--json", *SMALL)
    media = darkroom.good("generate", "-", *words, stdin="a fox\n").json
    assert (media["status"], media["prompt"], media["tags"]) == ("COMPLETED", "a fox", ["one", "two"])
    assert media["parameters"]["style"] == "paper"
    [path] = media["paths"]
    with Image.open(darkroom.folder / path) as picture:
        assert picture.format == "WEBP"


def test_a_failed_try_is_followed_by_another(darkroom: Command) -> None:
    patient = darkroom.using(DARKROOM_RETRY__BASE="0.05")
    media = patient.good("generate", "a fox", "-m", "dummy", "-p", "fail_first=1", "--json").json
    assert media["number_of_tries"] == 2


def test_it_works_on_postgresql(darkroom: Command, postgres_url: str) -> None:
    ended = darkroom.using(DARKROOM_DATABASE_URL=postgres_url).good("generate", "a fox", *SMALL)
    assert pixels(darkroom.folder / ended.out.strip())


def test_what_has_no_time_to_be_made_stays_in_the_queue(darkroom: Command) -> None:
    ended = darkroom("generate", "a fox", "-m", "dummy", "-p", "delay=60", "--timeout", 0.5)
    assert (ended.code, ended.out) == (4, "")
    [media] = darkroom.good("media", "list", "--json").json
    assert media["id"] in ended.complaint
    assert (media["status"], media["number_of_tries"]) == ("IN_QUEUE", 0)


def test_ctrl_c_cancels_what_is_being_made(darkroom: Command) -> None:
    process = darkroom.start("generate", "a fox", "-m", "dummy", "-p", "delay=60", "-p", "steps=100")
    database = darkroom.folder / "darkroom-data" / "darkroom.db"
    eventually(lambda: database.is_file() and statuses(database) == ["PROCESSING"], within=60)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert "CANCELLED" in err
    assert statuses(database) == ["CANCELLED"]


def statuses(database: Path) -> list[str]:
    connection = sqlite3.connect(database)
    try:
        return [status for (status,) in connection.execute("SELECT status FROM media")]
    except sqlite3.OperationalError:  # not migrated yet
        return []
    finally:
        connection.close()


# Against a server


def test_a_server_makes_the_pictures(darkroom: Command, run_app: RunApp, sqlite_url: str) -> None:
    with run_app(database_url=sqlite_url) as app:
        ended = darkroom.good("generate", "a fox", "--seed", 7, "--server", app.url, *SMALL)
        [media] = listed(app.url)
    assert media["status"] == "COMPLETED"
    content = (darkroom.folder / ended.out.strip()).read_bytes()
    assert hashlib.sha256(content).hexdigest() == media["files"][0]["sha256"]
    assert [path.name for path in darkroom.folder.iterdir()] == ["a-fox-7-0.png"], "nothing else is made here"


def test_the_server_may_be_named_by_the_environment(darkroom: Command, sqlite_app: App) -> None:
    ended = darkroom.using(DARKROOM_URL=sqlite_app.url).good("generate", "a fox", "-m", "dummy")
    assert Image.open(io.BytesIO((darkroom.folder / ended.out.strip()).read_bytes())).format == "PNG"


def test_a_server_that_takes_too_long_goes_on(darkroom: Command, idle: App) -> None:
    ended = darkroom("generate", "a fox", "--server", idle.url, "--timeout", 0.3)
    [media] = listed(idle.url)
    assert (ended.code, ended.out) == (4, "")
    assert media["id"] in ended.complaint
    assert media["status"] == "IN_QUEUE"


def test_ctrl_c_cancels_on_the_server(darkroom: Command, idle: App) -> None:
    process = darkroom.start("generate", "a fox", "--server", idle.url)
    eventually(lambda: listed(idle.url))
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert [media["status"] for media in listed(idle.url)] == ["CANCELLED"]


def test_a_second_ctrl_c_leaves_at_once(darkroom: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = darkroom.start("generate", "a fox", "--server", f"http://127.0.0.1:{silent.getsockname()[1]}")
        silent.settimeout(60)
        connection, _ = silent.accept()
        with connection:
            connection.recv(10)
            os.killpg(process.pid, signal.SIGINT)
            with pytest.raises(Exception, match="timed out"):
                process.wait(0.5)  # the first one waits for the answer, so that it can cancel
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(5) == 130
        process.communicate()


def test_a_server_that_is_killed_and_started_again_loses_nothing(darkroom: Command, make_server: MakeServer) -> None:
    server = make_server(lease=1).start()
    process = darkroom.start("generate", "a fox", "-m", "dummy", "-p", "delay=2", "--server", server.url)
    eventually(lambda: listed(server.url), within=60)
    server.kill()
    server.start()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert (darkroom.folder / out.strip()).is_file()


def test_a_terminal_shows_a_bar_and_standard_output_only_paths(darkroom: Command, sqlite_app: App) -> None:
    shown, terminal = pty.openpty()
    words = ("generate", "a fox", "-m", "dummy", "-p", "delay=1", "-p", "steps=4", "--server", sqlite_app.url)
    process = darkroom.using(TERM="xterm").start(*words, stderr=terminal)
    os.close(terminal)
    written = read_all(shown)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, written
    assert "PROCESSING" in written
    assert "/4" in written
    assert len(out.splitlines()) == 1


def read_all(terminal: int) -> str:
    chunks: list[bytes] = []
    try:
        while chunk := os.read(terminal, 65536):
            chunks.append(chunk)
    except OSError:  # its other side is closed
        os.close(terminal)
    return b"".join(chunks).decode(errors="replace")


# Refused, failed, unreachable


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["", "--seed", 7], "prompt"),
        (["a fox", "-m", "nonsense"], "nonsense"),
        (["a fox", "--width", 1], "parameters.width"),
        (["a fox", "-p", "colour=red"], "parameters.colour"),
        (["a fox", "-p", "colour"], "-p colour"),
        (["a fox", "-o", "fox.png"], "-o fox.png"),
        (["a fox", "-o", "/proc/nothing"], "-o /proc/nothing"),
        (["a fox", "--server", "ftp://example.org"], "ftp://example.org"),
    ],
)
def test_what_is_refused_is_named_and_nothing_is_stored(
    darkroom: Command, idle: App, words: list[object], named: str
) -> None:
    ended = darkroom.using(DARKROOM_URL=idle.url)("generate", *words)
    assert (ended.code, ended.out) == (2, "")
    assert named in ended.complaint
    assert listed(idle.url) == []
    assert list(darkroom.folder.iterdir()) == []


def test_a_wrong_setting_is_refused(darkroom: Command) -> None:
    ended = darkroom.using(DARKROOM_MAX_TRIES="many")("generate", "a fox")
    assert ended.code == 2
    assert "DARKROOM_MAX_TRIES" in ended.complaint


def test_a_request_is_refused_without_a_server_just_so(darkroom: Command) -> None:
    ended = darkroom("generate", "a fox", "--width", 1)
    assert ended.code == 2
    assert "parameters.width" in ended.complaint


def test_a_media_that_fails_ends_the_command_with_its_error(darkroom: Command, sqlite_app: App) -> None:
    words = ("generate", "a fox", "-m", "dummy", "-p", "error=rejected", "-p", "error_rate=1", "--json")
    ended = darkroom("generate", *words[1:], "--server", sqlite_app.url)
    assert ended.code == 1
    assert ended.json["status"] == "ERROR"
    assert ended.json["paths"] == []
    assert "prompt_rejected" in ended.complaint


def test_a_server_that_does_not_answer_is_told_from_a_refusal(darkroom: Command) -> None:
    ended = darkroom("generate", "a fox", "--server", "http://127.0.0.1:9")
    assert ended.code == 3
    assert "http://127.0.0.1:9" in ended.complaint


def test_what_is_no_darkroom_is_told(darkroom: Command) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<h1>Hello</h1>")

    with HTTPServer(("127.0.0.1", 0), Page) as other:
        threading.Thread(target=other.handle_request).start()
        ended = darkroom("generate", "a fox", "--server", f"http://127.0.0.1:{other.server_port}")
    assert ended.code == 3
    assert "is no Darkroom" in ended.complaint


def test_a_database_that_does_not_answer_is_told(darkroom: Command) -> None:
    silent = darkroom.using(DARKROOM_DATABASE_URL="postgresql://darkroom:hidden@127.0.0.1:9/darkroom")
    ended = silent("generate", "a fox")
    assert ended.code == 3
    assert "database" in ended.complaint
    assert "hidden" not in ended.err


def test_an_answer_that_got_lost_is_asked_for_again_under_the_same_key() -> None:
    import asyncio

    from darkroom.cli.connection import Api
    from darkroom.cli.generate import submit

    keys: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        keys.append(request.headers["Idempotency-Key"])
        if len(keys) == 1:
            raise httpx2.ReadError("the connection broke")
        return httpx2.Response(202, json={"id": "1"})

    async def ask() -> object:
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer), base_url="http://x") as client:
            return await submit(Api(client, location="x"), {"prompt": "a fox"})

    assert asyncio.run(ask()) == {"id": "1"}
    assert len(keys) == 2
    assert len(set(keys)) == 1
