"""Traces: one from the caller's request to the provider's answer, whichever processes had a part in it."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest

from services.app import RunApp
from services.brokers import Broker
from services.collector import Collector
from services.server import MakeServer, eventually, keep
from services.workers import MakeWorker

CALLER = "00-{trace}-00f067aa0ba902b7-{flags}"


def a_trace(*, sampled: bool = True) -> tuple[str, str]:
    """A trace's id, and the header of a caller who began it."""
    trace = uuid4().hex
    return trace, CALLER.format(trace=trace, flags="01" if sampled else "00")


def test_a_request_is_followed_to_the_providers_answer(
    run_app: RunApp, database_url: str, collector: Collector
) -> None:
    trace, header = a_trace()
    with run_app(database_url=database_url, traces_url=collector.url) as app, app.client() as client:
        asked = {"prompt": "a very secret prompt", "model": "dummy", "parameters": {"n": 2}}
        media = client.post("/media/generate", json=asked, headers={"traceparent": header}).json()
        client.until(media["id"], "COMPLETED")
    request = collector.one("POST /media/generate")
    job = collector.one("job", media_id=media["id"])
    generate, complete = collector.one("generate"), collector.one("complete")
    assert (request.trace, request.parent) == (trace, "00f067aa0ba902b7")
    assert request.attributes["http.route"] == "/media/generate"
    assert request.attributes["http.response.status_code"] == 202
    assert (job.trace, job.parent) == (trace, request.id)
    assert job.attributes["darkroom.job_id"] == media["job_id"]
    assert job.attributes["darkroom.number"] == 1
    assert (job.attributes["darkroom.lane"], job.attributes["darkroom.model"]) == ("default", "dummy")
    assert job.attributes["darkroom.provider"] == "dummy"
    assert job.attributes["darkroom.queue_seconds"] >= 0
    below = [generate, complete, *collector.named("develop"), *collector.named("store")]
    assert {(span.trace, span.parent) for span in below} == {(trace, job.id)}
    assert len(collector.named("develop")) == 2
    assert generate.attributes["darkroom.provider"] == "dummy"
    assert not any(span.failed for span in collector.spans)
    assert "secret" not in repr(collector.spans)


def test_each_try_is_a_span_that_says_why_it_failed(run_app: RunApp, sqlite_url: str, collector: Collector) -> None:
    with run_app(database_url=sqlite_url, traces_url=collector.url) as app, app.client() as client:
        media = client.completed(parameters={"fail_first": 1})
    first, second = (collector.one("job", media_id=media["id"], number=number) for number in (1, 2))
    assert first.failed == "provider_unavailable"
    assert second.failed is None
    assert first.trace == second.trace == collector.one("POST /media/generate").trace
    assert sorted(span.failed or "" for span in collector.named("generate")) == ["", "Transient"]


def test_what_the_caller_does_not_follow_is_not_sent(run_app: RunApp, sqlite_url: str, collector: Collector) -> None:
    _, unsampled = a_trace(sampled=False)
    with run_app(database_url=sqlite_url, traces_url=collector.url) as app, app.client() as client:
        client.headers["traceparent"] = unsampled
        client.completed()
    assert collector.spans == []


def test_none_but_followed_callers_are_sent_at_a_ratio_of_nothing(
    run_app: RunApp, sqlite_url: str, collector: Collector
) -> None:
    trace, header = a_trace()
    with run_app(database_url=sqlite_url, traces_url=collector.url, trace_ratio=0) as app, app.client() as client:
        client.completed()
        followed = client.post("/media/generate", json={"prompt": "a"}, headers={"traceparent": header}).json()
        client.until(followed["id"], "COMPLETED")
    assert {span.trace for span in collector.spans} == {trace}
    assert collector.one("job").attributes["darkroom.media_id"] == followed["id"]


def test_a_trace_does_not_change_what_a_key_stands_for(run_app: RunApp, sqlite_url: str, collector: Collector) -> None:
    with run_app(database_url=sqlite_url, traces_url=collector.url) as app, app.client() as client:
        first, again = (
            client.post(
                "/media/generate",
                json={"prompt": "a fox"},
                headers={"Idempotency-Key": "k", "traceparent": a_trace()[1]},
            )
            for _ in range(2)
        )
    assert again.headers["Idempotent-Replayed"] == "true"
    assert first.json()["id"] == again.json()["id"]


@pytest.mark.parametrize("header", ["nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "x" * 5000])
def test_a_header_that_is_no_trace_begins_a_new_one(
    run_app: RunApp, sqlite_url: str, collector: Collector, header: str
) -> None:
    with run_app(database_url=sqlite_url, traces_url=collector.url) as app, app.client() as client:
        assert client.get("/models", headers={"traceparent": header}).status_code == 200
    assert collector.one("GET /models").parent == ""


def test_a_collector_that_is_not_there_holds_nothing_up(make_server: MakeServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        nobody = f"http://127.0.0.1:{probe.getsockname()[1]}"
    server = make_server(traces_url=nobody).start()
    with server.client() as client:
        asked = {"prompt": "a fox", "model": "dummy"}
        media = client.post("/media/generate", json=asked, headers={"Prefer": "wait=20"}).json()
    assert media["status"] == "COMPLETED"
    began = time.monotonic()
    assert server.terminate() == 0
    assert time.monotonic() - began < 15
    assert server.log.count("spans_lost") == 1
    assert "Traceback" not in server.log


def test_one_trace_goes_through_service_broker_and_worker(
    make_server: MakeServer, make_worker: MakeWorker, rabbitmq: Broker, postgres_url: str, collector: Collector
) -> None:
    trace, header = a_trace()
    together = {"database_url": postgres_url, "traces_url": collector.url, **rabbitmq.settings}
    server = make_server(**together, data_dir="shared").start()
    worker = make_worker(**together, data_dir=server.folder / "shared")
    worker.start()
    with server.client() as client:
        asked = {"prompt": "a fox", "model": "dummy"}
        media = client.post("/media/generate", json=asked, headers={"traceparent": header}).json()
        eventually(lambda: client.get(f"/media/{media['id']}").json()["status"] == "COMPLETED", within=40)
    request, job = collector.one("POST /media/generate"), collector.one("job", media_id=media["id"])
    generate = collector.one("generate")
    assert request.trace == job.trace == generate.trace == trace
    assert (job.parent, generate.parent) == (request.id, job.id)
    assert job.instance == generate.instance != request.instance


def python(script: str) -> subprocess.CompletedProcess[str]:
    settings = {"DARKROOM_TRACES_URL": "http://127.0.0.1:4318", "DARKROOM_LOG_FORMAT": "json"}
    environment = {name: value for name, value in os.environ.items() if keep(name)}
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment | settings, timeout=60
    )


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    hidden = "import sys; sys.modules['opentelemetry.sdk'] = None; sys.argv = ['darkroom', 'serve']"
    folder = f"import os; os.chdir({str(tmp_path)!r})"
    ended = python(f"{hidden}; {folder}; from darkroom.cli import main; main()")
    assert ended.returncode == 2
    complaint = "darkroom: DARKROOM_TRACES_URL needs OpenTelemetry: pip install 'darkroom[traces]'"
    assert ended.stderr.splitlines() == [complaint]


def test_nothing_of_it_is_imported_before_it_is_wanted() -> None:
    ended = python("import sys, darkroom.asgi; print(*[name for name in sys.modules if 'opentelemetry.sdk' in name])")
    assert ended.stdout.strip() == "", ended.stderr


def test_lines_of_a_followed_request_name_its_trace(make_server: MakeServer, collector: Collector) -> None:
    trace, header = a_trace()
    server = make_server(traces_url=collector.url, log_level="debug").start()
    httpx2.get(f"{server.url}/models", headers={"traceparent": header}).raise_for_status()
    eventually(lambda: f'"trace_id": "{trace}"' in server.log)
