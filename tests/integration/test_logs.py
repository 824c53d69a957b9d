"""Lines of the log: JSON, with the ids of what they are about, and without what is nobody's business."""

import json
import re
from typing import Any
from uuid import uuid4

import httpx2

from services.brokers import Broker
from services.proxy import Proxy
from services.server import MakeServer, Server, eventually
from services.workers import MakeWorker


def lines(text: str) -> list[dict[str, Any]]:
    """Every line, which is JSON, but for the greeting of a person who starts it."""
    written = [line for line in text.splitlines() if line.startswith("{")]
    return [json.loads(line) for line in written]


def strays(server: Server) -> list[str]:
    """The lines that are no JSON, after the greeting."""
    text = server.log
    return [line for line in text[text.index("-o out/") :].splitlines()[1:] if line and not line.startswith("{")]


def generate(server: Server, **request: Any) -> dict[str, Any]:
    asked = {"prompt": "a fox", "model": "dummy", **request}
    media: dict[str, Any] = httpx2.post(f"{server.url}/media/generate", json=asked, timeout=30).json()
    return media


def status(server: Server, media: dict[str, Any]) -> str:
    found: str = httpx2.get(f"{server.url}/media/{media['id']}", timeout=30).json()["status"]
    return found


def test_every_line_of_a_job_says_which_job_it_is(make_server: MakeServer) -> None:
    server = make_server().start()
    media = [generate(server, parameters={"error_rate": 1, "error": error}, max_tries=1) for error in ("crash", "html")]
    for one in media:
        eventually(lambda one=one: status(server, one) == "ERROR")
    failed = [line for line in lines(server.log) if line["event"] == "job_failed"]
    assert {(line["media_id"], line["job_id"]) for line in failed} == {(one["id"], one["job_id"]) for one in media}
    assert all(line["lane"] == "default" and line["worker"] for line in failed)
    server.terminate()
    assert strays(server) == []


def test_lines_of_a_request_have_its_id_which_the_caller_may_choose(make_server: MakeServer) -> None:
    server = make_server(log_level="debug").start()
    mine, nobody = f"mine-{uuid4()}", uuid4()
    response = httpx2.get(f"{server.url}/media/{nobody}", headers={"X-Request-ID": mine})
    assert response.headers["X-Request-ID"] == mine
    eventually(lambda: mine in server.log)
    [line] = [line for line in lines(server.log) if line.get("request_id") == mine]
    assert (line["event"], line["method"], line["status"]) == ("request", "GET", 404)
    assert line["media_id"] == str(nobody)


def test_an_id_that_is_long_or_strange_is_replaced(make_server: MakeServer) -> None:
    server = make_server().start()
    made = set()
    for given in ("x" * 101, "two words", "{}", ""):
        response = httpx2.get(f"{server.url}/healthz", headers={"X-Request-ID": given})
        made.add(response.headers["X-Request-ID"])
    assert len(made) == 4
    assert all(re.fullmatch(r"[0-9a-f]{16}", one) for one in made)


def test_no_line_holds_a_prompt(make_server: MakeServer) -> None:
    server = make_server(log_level="debug", poll_interval=0.1).start()
    prompt = f"secret{uuid4().hex}"
    for error in ("crash", "garbage", "rejected", "bomb", "truncated"):
        media = generate(server, prompt=prompt, max_tries=1, parameters={"error_rate": 1, "error": error})
        eventually(lambda media=media: status(server, media) == "ERROR")
    httpx2.get(f"{server.url}/media", params={"q": prompt}).raise_for_status()
    assert httpx2.post(f"{server.url}/media/generate", json={"prompt": prompt, "nope": prompt}).status_code == 422
    server.terminate()
    assert lines(server.log)
    assert prompt not in server.log


def test_lines_of_libraries_are_json_too_and_hold_no_password(
    make_server: MakeServer, make_worker: MakeWorker, rabbitmq: Broker, postgres_url: str
) -> None:
    with Proxy(rabbitmq.address) as proxy:
        settings = {**rabbitmq.settings, "broker_url": rabbitmq.through(proxy.port), "database_url": postgres_url}
        worker = make_worker(**settings, log_level="debug")
        server = make_server(**settings).start()
        worker.start()
        with proxy.away():
            eventually(lambda: "kombu" in worker.text or "celery" in worker.text, within=40)
            generate(server)
            eventually(lambda: "broker_does_not_answer" in server.log, within=40)
    password = rabbitmq.url.partition("@")[0].rpartition(":")[2]
    for text in (worker.text, server.log):
        assert f":{password}@" not in text
    assert [line for line in worker.text.splitlines() if not line.startswith("{")] == []
    assert any("logger" in line for line in lines(worker.text))
