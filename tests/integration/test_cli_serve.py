"""`darkroom serve`, the real process: how it starts, refuses to, and ends."""

import os
import signal
import socket

import httpx2
import psutil
import pytest

from services.app import App
from services.command import Command
from services.server import MakeServer, eventually

NOISE = ("Traceback", "Exception", "ERROR")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("processes", [1, 2])
def test_a_signal_ends_it_quietly(make_server: MakeServer, number: int, processes: int) -> None:
    server = make_server(processes=processes).start()
    family = [server.process, *server.process.children(recursive=True)]
    assert len(family) >= processes
    server.process.send_signal(number)
    eventually(lambda: server.exit_code is not None, within=30)
    assert server.exit_code == 0
    eventually(lambda: not any(process.is_running() for process in family))
    assert not any(word in server.log for word in NOISE), server.log


def test_ctrl_c_reaches_all_processes_and_ends_them_quietly(darkroom: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = darkroom.start("serve", "--port", port, "--processes", 2)
    eventually(lambda: answers(port), within=60)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "")
    assert not any(word in err for word in NOISE), err


def answers(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False


def test_two_processes_serve_one_address(make_server: MakeServer) -> None:
    server = make_server(processes=2).start()
    with server.client() as client:
        media = client.post(
            "/media/generate", json={"prompt": "a fox", "model": "dummy"}, headers={"Prefer": "wait=20"}
        ).json()
    assert media["status"] == "COMPLETED"
    workers = [p for p in server.process.children() if "spawn_main" in " ".join(p.cmdline())]
    assert len(workers) == 2
    assert server.terminate() == 0
    assert not any(psutil.pid_exists(worker.pid) for worker in workers)


def test_an_address_in_use_is_told_in_one_line(darkroom: Command, sqlite_app: App) -> None:
    ended = darkroom("serve", "--port", sqlite_app.port)
    assert ended.code == 1
    assert str(sqlite_app.port) in ended.complaint
    assert list(darkroom.folder.iterdir()) == [], "nothing was made before the address was had"


@pytest.mark.parametrize(
    ("settings", "code", "named"),
    [
        ({"DARKROOM_HOST": "0.0.0.0"}, 2, "DARKROOM_ALLOW_UNAUTHENTICATED"),
        ({"DARKROOM_PORT": "many"}, 2, "DARKROOM_PORT"),
        ({"DARKROOM_DATA_DIR": "/proc/nothing"}, 2, "DARKROOM_DATA_DIR"),
        ({"DARKROOM_DATABASE_URL": "postgresql://x:hidden@127.0.0.1:9/x"}, 3, "database"),
    ],
)
def test_a_start_that_cannot_be_is_told_in_one_line(
    darkroom: Command, settings: dict[str, str], code: int, named: str
) -> None:
    ended = darkroom.using(**{"DARKROOM_PORT": "0"} | settings)("serve")
    assert ended.code == code
    assert named in ended.complaint
    assert "hidden" not in ended.err


def test_options_override_the_settings(darkroom: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = darkroom.using(DARKROOM_PORT="1").start("serve", "--port", port, "--data-dir", "elsewhere")
    eventually(lambda: answers(port), within=60)
    process.terminate()
    _, err = process.communicate(timeout=30)
    assert (darkroom.folder / "elsewhere" / "darkroom.db").is_file()
    assert f"http://127.0.0.1:{port}" in err


def test_server_processes_do_not_outlive_the_one_that_started_them(make_server: MakeServer) -> None:
    server = make_server(processes=2).start()
    children = server.process.children(recursive=True)
    assert len(children) >= 2

    server.process.kill()

    eventually(lambda: not any(child.is_running() for child in children), within=20)
