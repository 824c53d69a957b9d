"""Callers are told what becomes of their media: signed, in order, whatever the target does."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Event, Thread
from typing import Any, TypeVar
from uuid import UUID

import httpx
import pytest
from openai import OpenAI
from openai._exceptions import InvalidWebhookSignatureError
from replicate.webhook import Webhooks, WebhookSigningSecret
from sqlalchemy import Connection, insert, update
from standardwebhooks import Webhook, WebhookVerificationError

from darkroom.api.native import webhooks as of_our_own
from darkroom.db.tables import deliveries
from darkroom.delivery import courier, places, sending
from darkroom.media.ids import new_id
from darkroom.security import names
from services.app import App, RunApp
from services.scraped import scrape
from services.server import MakeServer, Server, eventually
from services.targets import HERE, Heard, Reply, Target

R = TypeVar("R")
ALL = ["started", "progress", "output", "completed"]
ALLOWED = {"egress_allow": [HERE], "starter_models": False}
DOWN = Reply(503)


@pytest.fixture
def service(run_app: RunApp, database_url: str) -> Iterator[App]:
    """A service that may reach this machine, on each kind of database."""
    with run_app(database_url=database_url, **ALLOWED) as app:
        yield app


@pytest.fixture
def plain(run_app: RunApp, sqlite_url: str) -> Iterator[App]:
    """The same, for what no database can change."""
    with run_app(database_url=sqlite_url, **ALLOWED) as app:
        yield app


def in_database(app: App, work: Callable[[Connection], R]) -> R:
    return asyncio.run_coroutine_threadsafe(app.engine.database.transact(work), app.loop).result(10)


def let_time_pass(app: App) -> None:
    """Make everything due that is put off."""
    now = app.engine.database.now()
    in_database(app, lambda connection: connection.execute(update(deliveries).values(due_at=now)))


def told(app: App, **query: Any) -> list[dict[str, Any]]:
    """The deliveries, oldest first."""
    with app.client() as client:
        answer = client.get("/webhooks/deliveries", params={"limit": 100, **query}).raise_for_status().json()
    assert answer["next_cursor"] is None
    return list(reversed(answer["items"]))


def states(app: App, **query: Any) -> list[str]:
    return [delivery["state"] for delivery in told(app, **query)]


def types(target: Target) -> list[str]:
    return [heard.json["type"] for heard in target.heard]


def secret_of(app: App) -> str:
    with app.client() as client:
        return str(client.get("/webhooks/secret").json()["key"])


def verified(heard: Heard, secret: str) -> Any:
    return Webhook(secret).verify(heard.content, heard.headers)


# What is told


def test_a_webhook_is_told_the_media_as_the_api_shows_it(service: App, target: Target) -> None:
    with service.client() as client:
        media = client.completed(webhook=target.url)
        eventually(lambda: target.heard)
        (heard,) = target.heard
        assert heard.json["type"] == "media.completed"
        assert heard.json["data"] == client.media(media["id"])
        assert datetime.fromisoformat(heard.json["timestamp"]).tzinfo is not None
        assert heard.headers["content-type"] == "application/json"
    eventually(lambda: states(service) == ["delivered"])
    (delivery,) = told(service)
    assert heard.headers["webhook-id"] == f"msg_{delivery['id'].replace('-', '')}"
    assert delivery["url"] == target.url
    assert [attempt["status"] for attempt in delivery["attempts"]] == [204]
    assert delivery["next_try"] is None


def test_events_come_in_the_order_in_which_they_happen(service: App, target: Target) -> None:
    with service.client() as client:
        client.completed(webhook=target.url, webhook_events=ALL, parameters={"delay": 0.7, "steps": 7})
    eventually(lambda: types(target)[-1:] == ["media.completed"])
    said = types(target)
    assert said[0] == "media.started"
    assert said[-2:] == ["media.output", "media.completed"]
    assert {"media.progress"} >= set(said[1:-2])
    assert target.heard[-2].json["data"]["files"]


def test_progress_is_told_at_most_twice_a_second(plain: App, target: Target) -> None:
    with plain.client() as client:
        media = client.completed(
            webhook=target.url, webhook_events=["progress"], parameters={"delay": 1.2, "steps": 600}
        )
    times = [datetime.fromisoformat(delivery["created_at"]) for delivery in told(plain, media_id=media["id"])]
    assert times
    assert all(later - earlier >= timedelta(seconds=0.5) for earlier, later in pairwise(times))
    eventually(lambda: set(states(plain)) == {"delivered"})
    first = target.heard[0].json["data"]
    assert first["status"] == "COMPLETED" or first["progress"]["total"] == 600


def test_only_what_was_asked_for_is_told(plain: App, target: Target) -> None:
    with plain.client() as client:
        client.completed(webhook=target.url, webhook_events=["started"])
        client.completed()
    eventually(lambda: states(plain) == ["delivered"])
    assert types(target) == ["media.started"]


@pytest.mark.parametrize(("error", "status"), [("permanent", "ERROR"), ("rejected", "ERROR")])
def test_a_failure_is_told_with_its_reason(service: App, target: Target, error: str, status: str) -> None:
    with service.client() as client:
        made = client.generate(webhook=target.url, parameters={"error": error, "error_rate": 1})
        client.until(made["id"], status)
    eventually(lambda: target.heard)
    data = target.heard[0].json["data"]
    assert (data["status"], data["error"]["message"] != "") == (status, True)


def test_a_cancellation_is_told(run_app: RunApp, database_url: str, target: Target) -> None:
    with run_app(database_url=database_url, working=False, **ALLOWED) as app, app.client() as client:
        made = client.generate(webhook=target.url)
        client.post(f"/media/{made['id']}/cancel").raise_for_status()
        eventually(lambda: target.heard)
    assert target.heard[0].json["data"]["status"] == "CANCELLED"


def test_a_retried_media_is_told_of_again(plain: App, target: Target) -> None:
    with plain.client() as client:
        failing = {"error": "permanent", "error_rate": 1}
        made = client.generate(webhook=target.url, webhook_events=["started", "completed"], parameters=failing)
        client.until(made["id"], "ERROR")
        eventually(lambda: len(target.heard) == 2)
        client.post(f"/media/{made['id']}/retry").raise_for_status()
        eventually(lambda: len(target.heard) == 4)
    assert types(target) == ["media.started", "media.completed"] * 2


def test_a_request_that_is_repeated_is_told_of_once(plain: App, target: Target) -> None:
    with plain.client() as client:
        for _ in range(2):
            client.post(
                "/media/generate", json={"prompt": "a", "model": "dummy", "webhook": target.url},
                headers={"Idempotency-Key": "4711", "Prefer": "wait"},
            ).raise_for_status()  # fmt: skip
    eventually(lambda: states(plain) == ["delivered"])
    assert len(target.heard) == 1


@pytest.mark.parametrize(
    ("request_", "field", "what"),
    [
        ({"webhook": "ftp://example.com/"}, "webhook", "must be an https address"),
        ({"webhook": "nonsense"}, "webhook", "must be an https address"),
        ({"webhook": "https://a]b/x"}, "webhook", "no name"),
        ({"webhook": "https://a[b/"}, "webhook", "no name"),
        ({"webhook": "https://exa mple.com/"}, "webhook", "no name"),
        ({"webhook": ""}, "webhook", "at least 1 character"),
        ({"webhook": f"https://example.com/{'x' * 2048}"}, "webhook", "at most 2048 characters"),
        ({"webhook": "http://example.com/"}, "webhook", "DARKROOM_EGRESS_ALLOW"),
        ({"webhook": "https://me:secret@example.com/"}, "webhook", "may not hold a user name or a password"),
        ({"webhook": "https://example.com:99999/"}, "webhook", "must be an https address"),
        ({"webhook": "https://example.com/", "webhook_events": ["finished"]}, "webhook_events.0", "'completed'"),
        ({"webhook": "https://example.com/", "webhook_events": []}, "webhook_events", "at least 1 item"),
    ],
)
def test_a_webhook_that_is_none_is_refused(plain: App, request_: Any, field: str, what: str) -> None:
    with plain.client() as client:
        response = client.post("/media/generate", json={"prompt": "a", "model": "dummy", **request_})
        assert response.status_code == 422
        (error,) = response.json()["errors"]
        assert error["field"] == field
        assert what in error["message"]
        assert client.listed() == []


# Signatures


def test_signatures_verify_with_the_libraries_that_people_use(plain: App, target: Target) -> None:
    with plain.client() as client:
        client.completed(webhook=target.url)
    eventually(lambda: target.heard)
    heard, secret = target.heard[0], secret_of(plain)
    assert verified(heard, secret) == heard.json
    request = httpx.Request("POST", target.url, headers=heard.headers, content=heard.content)
    Webhooks.validate(request, secret=WebhookSigningSecret(key=secret), tolerance=60)
    with OpenAI(api_key="any", webhook_secret=secret) as openai:
        openai.webhooks.verify_signature(heard.content, heard.headers)
        forged = heard.content.replace(b"COMPLETED", b"CANCELLED")
        with pytest.raises(InvalidWebhookSignatureError):
            openai.webhooks.verify_signature(forged, heard.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(heard.content, {**heard.headers, "webhook-id": "msg_other"})


def test_a_replaced_secret_signs_for_a_day_beside_the_new_one(service: App, target: Target) -> None:
    old = secret_of(service)
    assert secret_of(service) == old
    with service.client() as client:
        rotated = client.post("/webhooks/secret/rotate").raise_for_status().json()
        new, (previous,) = rotated["key"], rotated["previous"]
        assert previous["key"] == old != new
        left = datetime.fromisoformat(previous["expires_at"]) - service.engine.database.now()
        assert timedelta(hours=23) < left <= timedelta(hours=24)
        client.completed(webhook=target.url)
    eventually(lambda: target.heard)
    for secret in (old, new):
        verified(target.heard[0], secret)


def test_processes_that_need_the_first_secret_at_once_get_the_same(run_app: RunApp, database_url: str) -> None:
    with ExitStack() as stack:
        apps = [stack.enter_context(run_app(database_url=database_url, working=False)) for _ in range(2)]
        asked = [
            asyncio.run_coroutine_threadsafe(app.engine.webhook_secrets.signing(), app.loop)
            for app in apps
            for _ in range(8)
        ]
        assert len({future.result(10)[0].secret for future in asked}) == 1


# Targets that fail


def test_a_target_that_is_down_for_an_hour_misses_nothing(service: App, target: Target) -> None:
    target.reply = DOWN
    with service.client() as client:
        media = [client.completed(webhook=target.url, webhook_events=["started", "completed"]) for _ in range(3)]
        waited = timedelta(0)
        for tries in range(1, 6):
            eventually(lambda tries=tries: _tried(service, tries, 3))  # type: ignore[misc]
            waited = _next_wait(service)
            let_time_pass(service)
        assert waited > timedelta(minutes=15), "five tries take more than an hour together with the next"
        target.reply = Reply()
        let_time_pass(service)
        eventually(lambda: states(service) == ["delivered"] * 6)
        for one in media:
            taken = [heard for heard in target.heard[-6:] if heard.json["data"]["id"] == one["id"]]
            assert [heard.json["type"] for heard in taken] == ["media.started", "media.completed"]


def _tried(app: App, tries: int, media: int) -> bool:
    first = [delivery for delivery in told(app) if delivery["event"] == "started"]
    return [len(delivery["attempts"]) for delivery in first] == [tries] * media


def _next_wait(app: App) -> timedelta:
    first = next(delivery for delivery in told(app) if delivery["event"] == "started")
    return datetime.fromisoformat(first["next_try"]) - datetime.fromisoformat(first["attempts"][-1]["at"])


def test_nobody_listening_is_tried_again(plain: App, target: Target) -> None:
    with socket.socket() as free:
        free.bind((HERE, 0))
        port = free.getsockname()[1]
    with plain.client() as client:
        client.completed(webhook=f"http://{HERE}:{port}/")
    eventually(lambda: told(plain) and told(plain)[0]["attempts"])
    (delivery,) = told(plain)
    assert delivery["state"] == "pending"
    assert delivery["attempts"][0]["status"] is None
    assert delivery["attempts"][0]["error"]


def test_after_ten_tries_it_is_over_and_can_be_sent_again(service: App, target: Target) -> None:
    target.reply = DOWN
    with service.client() as client:
        client.completed(webhook=target.url)
        for tries in range(1, 11):
            eventually(lambda tries=tries: told(service) and len(told(service)[0]["attempts"]) == tries)  # type: ignore[misc]
            if tries < 10:
                let_time_pass(service)
        (delivery,) = told(service)
        assert (delivery["state"], delivery["tries"], len(target.heard)) == ("failed", 10, 10)
        assert len({heard.headers["webhook-id"] for heard in target.heard}) == 1
        target.reply = Reply()
        again = client.post(f"/webhooks/deliveries/{delivery['id']}/resend")
        assert again.status_code == 202
        assert again.json()["state"] == "pending"
    eventually(lambda: states(service) == ["delivered"])
    assert len(told(service)[0]["attempts"]) == 11


def in_ten_minutes() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        (lambda: "600", 600),
        (in_ten_minutes, 600),
        (lambda: "99999999", 8 * 3600),
        (lambda: "9" * 5000, 8 * 3600),
        (lambda: "Fri, 31 Dec 9999 23:59:59 GMT", 8 * 3600),
        (lambda: "Sun, 06 Nov 1994 08:49:37 -0000", 5),
        (lambda: "Sun, 06 Nov 1994 08:49:37", 5),
        (lambda: "-600", 5),
        (lambda: "soon, 99 Foo 99999999 99:99:99", 5),
    ],
)
def test_a_target_says_how_long_it_wants_to_be_left_alone(
    plain: App, target: Target, asked: Callable[[], str], seconds: int
) -> None:
    target.reply = Reply(429, {"Retry-After": asked()})
    with plain.client() as client:
        client.completed(webhook=target.url)
    eventually(lambda: told(plain) and told(plain)[0]["attempts"])
    (delivery,) = told(plain)
    wait = datetime.fromisoformat(delivery["next_try"]) - datetime.fromisoformat(delivery["attempts"][0]["at"])
    assert timedelta(seconds=0.7 * seconds) < wait < timedelta(seconds=1.3 * seconds)
    assert delivery["attempts"][0]["error"] == "answered 429 Too Many Requests"


def test_one_that_is_gone_is_told_nothing_more_of_that_media(service: App, target: Target) -> None:
    target.replies = [Reply(410)]
    with service.client() as client:
        client.completed(webhook=target.url, webhook_events=ALL, parameters={"delay": 0.3})
        eventually(lambda: states(service)[:1] == ["gone"])
        eventually(lambda: set(states(service)) == {"gone"})
        assert types(target) == ["media.started"]
        client.completed(webhook=target.url)
    eventually(lambda: "media.completed" in types(target))


def test_a_redirect_is_not_followed(plain: App, target: Target) -> None:
    with Target().running() as inner:
        target.reply = Reply(307, {"Location": inner.url})
        with plain.client() as client:
            client.completed(webhook=target.url)
        eventually(lambda: told(plain) and told(plain)[0]["attempts"])
        assert inner.heard == []
    (delivery,) = told(plain)
    assert delivery["state"] == "pending"
    assert "redirects are not followed" in delivery["attempts"][0]["error"]


def test_a_slow_target_delays_neither_jobs_nor_other_targets(service: App, target: Target) -> None:
    release = Event()
    target.reply = Reply(after=release)
    try:
        with Target().running() as other, service.client() as client:
            other_url = other.url.replace(HERE, "localhost")
            allow(service, "localhost")
            made = [client.generate(webhook=target.url) for _ in range(30)]
            made.append(client.generate(webhook=other_url))
            for media in made:
                client.until(media["id"], "COMPLETED")
            eventually(lambda: other.heard, within=12)
            assert len(target.heard) <= places.TO_ONE_HOST
    finally:
        release.set()
    eventually(lambda: set(states(service, state="pending")) == set() and len(target.heard) == 30)


def allow(app: App, *names: str) -> None:
    """Have names that lead here count as other hosts."""
    allowed = app.engine.egress._allowed
    object.__setattr__(allowed, "names", allowed.names | set(names))


def test_many_slow_targets_leave_room_for_those_that_are_known_to_be_quick(plain: App, target: Target) -> None:
    slow = [f"slow-{number}.example.com" for number in range(40)]
    allow(plain, *slow)
    plain.engine.egress._resolve = _here
    release = Event()
    with Target().running() as quick, plain.client() as client:
        client.completed(webhook=quick.url)
        eventually(lambda: states(plain) == ["delivered"])
        target.reply = Reply(after=release)
        try:
            for host in slow:
                for _ in range(2):
                    client.generate(webhook=target.url.replace(HERE, host))
            eventually(lambda: len(target.heard) == places.FOR_UNPROVEN)
            client.completed(webhook=quick.url)
            eventually(lambda: len(quick.heard) == 2)
            assert len(target.heard) == places.FOR_UNPROVEN
        finally:
            release.set()
        eventually(lambda: states(plain, state="pending") == [] and len(target.heard) == 80)


def test_many_hosts_that_wait_delay_nobody(service: App, target: Target) -> None:
    allow(service, "localhost")
    with service.client() as client:
        made = client.completed()
        now = service.engine.database.now()
        row = {
            "media_id": UUID(made["id"]), "owner": "", "event": "completed", "url": "https://a/", "state": "pending",
            "tries": 0, "claims": 0, "attempts": [], "created_at": now, "due_at": now + timedelta(hours=8),
        }  # fmt: skip
        rows = [{**row, "id": new_id(now), "host": f"h{number}.example.com"} for number in range(2000)]
        in_database(service, lambda connection: connection.execute(insert(deliveries), rows))
        for told_of in range(1, 4):
            client.completed(webhook=target.url.replace(HERE, "localhost"))
            eventually(lambda told_of=told_of: len(target.heard) == told_of, within=2)  # type: ignore[misc]


async def _here(host: str, port: int) -> list[str]:
    return [HERE]


def test_what_one_target_sets_is_not_sent_to_the_next(plain: App, target: Target) -> None:
    target.reply = Reply(200, {"Set-Cookie": "sid=of-another; Path=/"})
    with plain.client() as client:
        for _ in range(2):
            client.completed(webhook=target.url)
        eventually(lambda: len(target.heard) == 2)
    assert not any("cookie" in heard.headers for heard in target.heard)


def test_a_body_that_does_not_end_changes_nothing_of_the_answer(plain: App, target: Target) -> None:
    target.reply = Reply(410, {"Content-Length": "100"}, b"half")
    with plain.client() as client:
        client.completed(webhook=target.url)
    eventually(lambda: states(plain) == ["gone"])


def test_a_body_that_goes_on_after_the_time_for_an_answer_changes_nothing(
    plain: App, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "TIMEOUT", 0.5)
    monkeypatch.setattr(sending, "READING", 1.0)
    target.reply = Reply(200, {"Content-Length": "100"}, b"half")
    with plain.client() as client:
        client.completed(webhook=target.url)
    eventually(lambda: told(plain) and told(plain)[0]["attempts"])
    assert [(one["status"], one["error"]) for one in told(plain)[0]["attempts"]] == [(200, None)]
    assert len(target.heard) == 1


@pytest.mark.parametrize(
    "said",
    [
        b"A" * 90_000 + b"\r\n\r\n",
        b"HTTP/1.1 204 OK\r\nAAAA: A\r\nAAAA\r\n\r\n",
        b"HTTP/1.1 204 OK\r\nA" + b"A" * 200_000,
    ],
)
def test_nothing_that_a_target_says_is_written_down(plain: App, said: bytes) -> None:
    with garbling(said) as url, plain.client() as client:
        client.completed(webhook=url)
        eventually(lambda: told(plain) and told(plain)[0]["attempts"])
    (attempt,) = told(plain)[0]["attempts"]
    assert attempt["error"] == "hung up, or does not speak HTTP as it is to be spoken"


@contextmanager
def garbling(said: bytes) -> Iterator[str]:
    """A target that answers with this, whatever it is."""

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            self.connection.recv(65536)
            with contextlib.suppress(OSError):
                self.wfile.write(said)

    with ThreadingTCPServer((HERE, 0), Handler) as server:
        thread = Thread(target=lambda: server.serve_forever(poll_interval=0.01))
        thread.start()
        try:
            yield f"http://{HERE}:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


def test_a_message_that_cannot_be_made_is_a_try_that_failed(
    plain: App, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_our_own, "told", None)
    with plain.client() as client:
        client.completed(webhook=target.url)
        eventually(lambda: told(plain) and told(plain)[0]["attempts"])
        monkeypatch.undo()
        assert told(plain)[0]["attempts"][0]["error"] == "the message could not be made"
    let_time_pass(plain)
    eventually(lambda: states(plain) == ["delivered"])


def test_an_end_that_was_taken_back_is_not_told_any_more(service: App, target: Target) -> None:
    target.reply = DOWN
    with service.client() as client:
        made = client.generate(webhook=target.url, parameters={"error": "permanent", "error_rate": 1})
        client.until(made["id"], "ERROR")
        eventually(lambda: told(service) and told(service)[0]["attempts"])
        client.post("/lanes/default/pause").raise_for_status()
        client.post(f"/media/{made['id']}/retry").raise_for_status()
        assert told(service) == []
        target.reply = Reply()
        client.post("/lanes/default/resume").raise_for_status()
        eventually(lambda: states(service) == ["delivered"])
    assert [heard.json["data"]["status"] for heard in target.heard] == ["ERROR", "ERROR"]


def test_an_end_that_was_being_told_when_it_was_taken_back_is_not_told_again(service: App, target: Target) -> None:
    release = Event()
    target.replies = [Reply(503, after=release)]
    with service.client() as client:
        made = client.generate(webhook=target.url, parameters={"delay": 60})["id"]
        client.until(made, "PROCESSING")
        client.post(f"/media/{made}/cancel").raise_for_status()
        eventually(lambda: target.heard)
        client.post(f"/media/{made}/retry").raise_for_status()
        client.until(made, "PROCESSING")
        release.set()
        eventually(lambda: told(service) == [])
        client.post(f"/media/{made}/cancel").raise_for_status()
        eventually(lambda: states(service) == ["delivered"])
    assert [heard.json["data"]["status"] for heard in target.heard] == ["CANCELLED", "CANCELLED"]


def test_an_end_whose_teller_died_is_not_told_once_it_is_taken_back(service: App, target: Target) -> None:
    target.reply = DOWN
    with service.client() as client:
        made = client.generate(
            webhook=target.url,
            webhook_events=["started", "completed"],
            parameters={"error": "permanent", "error_rate": 1},
        )["id"]
        client.until(made, "ERROR")
        eventually(lambda: target.heard)
        _hold(service, timedelta(hours=1))
        client.post("/lanes/default/pause").raise_for_status()
        client.post(f"/media/{made}/retry").raise_for_status()
        target.reply = Reply()
        _hold(service, None)
        let_time_pass(service)
        eventually(lambda: states(service) == ["delivered"])
        assert types(target) == ["media.started"] * 2
        client.post("/lanes/default/resume").raise_for_status()
        eventually(lambda: states(service) == ["delivered"] * 3)
    assert [heard.json["data"]["status"] for heard in target.heard if heard.json["type"] == "media.completed"] == [
        "ERROR"
    ]


def _hold(app: App, lease: timedelta | None) -> None:
    """As if somebody had taken all that is to be told, and says no more; None: for too long."""
    until = app.engine.database.now() + lease if lease is not None else None
    in_database(app, lambda connection: connection.execute(update(deliveries).values(held_until=until)))


def test_one_that_never_answers_is_given_up(plain: App, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "TIMEOUT", 0.2)
    release = Event()
    target.reply = Reply(after=release)
    try:
        with plain.client() as client:
            client.completed(webhook=target.url)
        eventually(lambda: told(plain) and told(plain)[0]["attempts"])
    finally:
        release.set()
    assert told(plain)[0]["attempts"][0]["error"] == "no answer within 0.2 s"


# What may not be reached


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.2/", "https://127.2/", "https://0x7f.0.0.2/", "https://2130706434/", "https://[::1]/",
        "https://[::ffff:127.0.0.2]/", "https://[64:ff9b::7f00:2]/", "https://10.0.0.1/", "https://169.254.169.254/",
        "https://192.168.1.1/", "https://100.64.0.1/", "https://[fd00::1]/", "https://[fe80::1]/", "https://0.0.0.0/",
        "https://[::]/", "https://224.0.0.1/", "https://localhost/", "https://localhost./",
    ],
)  # fmt: skip
def test_an_inner_address_is_not_reached(plain: App, url: str) -> None:
    with plain.client() as client:
        response = client.post("/media/generate", json={"prompt": "a", "model": "dummy", "webhook": url})
        if response.status_code == 422:
            assert response.json()["errors"][0]["field"] == "webhook"
            return
        eventually(lambda: told(plain) and told(plain)[0]["attempts"])
        assert told(plain)[0]["attempts"][0]["error"] == "cannot be reached from here, or may not be"


def resolving(app: App, *answers: list[str]) -> list[str]:
    """Have names lead to these addresses, one answer after the other; the names that were asked for."""
    asked: list[str] = []
    left = list(answers)

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return left.pop(0) if len(left) > 1 else left[0]

    app.engine.egress._resolve = resolve
    return asked


def test_a_name_that_leads_inside_is_not_reached_and_nothing_is_learned(plain: App, target: Target) -> None:
    url = f"https://inside.example.com:{target.port}/"
    asked = resolving(plain, ["127.0.0.2"])
    with plain.client() as client:
        client.completed(webhook=url)
        eventually(lambda: told(plain) and told(plain)[0]["attempts"])
        assert asked == ["inside.example.com"]
        plain.engine.egress._resolve = _unknown
        client.completed(webhook=url)
        eventually(lambda: len(told(plain)) == 2 and told(plain)[1]["attempts"])
    first, second = told(plain)
    assert first["attempts"][0]["error"] == second["attempts"][0]["error"]
    assert target.heard == []


async def _unknown(host: str, port: int) -> list[str]:
    raise socket.gaierror("no such name")


def test_a_name_that_changes_its_mind_is_asked_once(run_app: RunApp, sqlite_url: str, target: Target) -> None:
    """Between the check and the connection nobody is asked again: 192.0.2.1 leads nowhere, the second answer inside."""
    with run_app(database_url=sqlite_url, starter_models=False, egress_allow=["192.0.2.1"]) as app:
        asked = resolving(app, ["192.0.2.1"], [HERE])
        with app.client() as client:
            client.completed(webhook=f"https://rebinding.example.com:{target.port}/")
        eventually(lambda: told(app) and told(app)[0]["attempts"], within=30)
        assert asked == ["rebinding.example.com"]
        assert target.heard == []


def test_a_name_that_leads_inside_and_outside_is_only_reached_outside(plain: App, target: Target) -> None:
    resolving(plain, ["127.0.0.2", HERE])
    with plain.client() as client:
        client.completed(webhook=f"https://both.example.com:{target.port}/")
        eventually(lambda: told(plain) and told(plain)[0]["attempts"])
    assert told(plain)[0]["attempts"][0]["error"] != "cannot be reached from here, or may not be"


# Names that take their time


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Event]:
    """Names of `hang.test` are not found before this is set; `localhost` always is."""
    release, right = Event(), socket.getaddrinfo

    def look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        if str(host).endswith(".hang.test"):
            release.wait(30)
            raise socket.gaierror("no such name")
        return right(HERE if str(host).endswith(".example.com") else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(names, "TURN", 0.1)
    yield release
    release.set()


def test_names_that_hang_fail_nobody_who_was_found_before(plain: App, target: Target, hanging: Event) -> None:
    with plain.client() as client, Target().running() as by_address:
        allow(plain, "localhost")
        known = target.url.replace(HERE, "localhost")
        client.completed(webhook=known)
        eventually(lambda: target.heard)
        _hold_up_names(plain)
        made = [client.completed(webhook=known)["id"], client.completed(webhook=by_address.url)["id"]]
        for media_id in made:
            eventually(lambda media_id=media_id: states(plain, media_id=media_id) == ["delivered"], within=4)  # type: ignore[misc]
            assert [attempt["error"] for attempt in told(plain, media_id=media_id)[0]["attempts"]] == [None]


def test_one_whose_name_was_not_looked_up_has_lost_no_try(service: App, target: Target, hanging: Event) -> None:
    with service.client() as client:
        allow(service, "new.example.com")
        _hold_up_names(service)
        made = client.completed(webhook=target.url.replace(HERE, "new.example.com"), webhook_events=ALL)["id"]
        eventually(lambda: _is_put_off(told(service, media_id=made)[0]))
        assert told(service, media_id=made)[0]["attempts"] == []
        hanging.set()
        let_time_pass(service)
        eventually(lambda: set(states(service, media_id=made)) == {"delivered"})
    assert all(len(delivery["attempts"]) == 1 for delivery in told(service, media_id=made))


def _hold_up_names(app: App) -> None:
    """Have all who look up names that are not known yet wait for names that hang."""
    for number in range(names.FOR_STRANGERS):
        asked = app.engine.egress._resolve(f"h{number}.hang.test", 443)
        asyncio.run_coroutine_threadsafe(_done(asked), app.loop)
    places = app.engine.egress._resolve._places_of_strangers  # type: ignore[attr-defined]
    eventually(places.locked)


async def _done(asked: Awaitable[object]) -> None:
    with contextlib.suppress(OSError):
        await asked


def _is_put_off(delivery: dict[str, Any]) -> bool:
    return datetime.fromisoformat(delivery["next_try"]) > datetime.fromisoformat(delivery["created_at"])


# Couriers that die, and others


def test_one_that_was_being_told_when_the_service_was_killed_is_told_again(
    make_server: MakeServer, target: Target
) -> None:
    release = Event()
    target.replies = [Reply(after=release)]
    server = make_server(egress_allow=f'["{HERE}"]', starter_models="false").start()
    try:
        with server.client() as client:
            client.post("/media/generate", json={"prompt": "a", "model": "dummy", "webhook": target.url})
            eventually(lambda: target.heard)
        server.kill()
    finally:
        release.set()
    _end_leases(server)
    server.start()
    eventually(lambda: len(target.heard) == 2)
    first, second = target.heard
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    with server.client() as client:
        eventually(lambda: client.get("/webhooks/deliveries").json()["items"][0]["state"] == "delivered")


def _end_leases(server: Server) -> None:
    """As if the lease of whoever was sending had run out."""
    import sqlite3

    with sqlite3.connect(server.folder / "data" / "darkroom.db") as database:
        assert database.execute("UPDATE deliveries SET held_until = NULL").rowcount == 1
    database.close()


def test_what_is_cut_off_by_a_stop_is_told_by_the_next_at_once(
    run_app: RunApp, database_url: str, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "LAST_WORDS", 0.05)
    release = Event()
    target.replies = [Reply(after=release)]
    try:
        with run_app(database_url=database_url, **ALLOWED) as app, app.client() as client:
            client.completed(webhook=target.url)
            eventually(lambda: target.heard)
        with run_app(database_url=database_url, **ALLOWED) as app:
            eventually(lambda: states(app) == ["delivered"])
    finally:
        release.set()
    assert len(target.heard) == 2


def test_several_processes_tell_each_event_once(run_app: RunApp, database_url: str, target: Target) -> None:
    with ExitStack() as stack:
        apps = [stack.enter_context(run_app(database_url=database_url, **ALLOWED)) for _ in range(3)]
        with apps[0].client() as client:
            for _ in range(15):
                client.generate(webhook=target.url, webhook_events=["started", "output", "completed"])
        eventually(lambda: len(target.heard) >= 45, within=60)
        eventually(lambda: _pending(apps[0]) == 0)
    assert len(target.heard) == 45
    for media_id in {heard.json["data"]["id"] for heard in target.heard}:
        said = [heard.json["type"] for heard in target.heard if heard.json["data"]["id"] == media_id]
        assert said == ["media.started", "media.output", "media.completed"]


def _pending(app: App) -> int:
    with app.client() as client:
        return len(client.get("/webhooks/deliveries", params={"state": "pending"}).json()["items"])


def test_deleting_a_media_ends_what_was_to_be_told_of_it(service: App, target: Target) -> None:
    target.reply = DOWN
    with service.client() as client:
        media = client.completed(webhook=target.url)
        eventually(lambda: target.heard)
        client.delete(f"/media/{media['id']}").raise_for_status()
        assert told(service) == []


def test_old_media_are_kept_until_their_end_is_told(run_app: RunApp, database_url: str, target: Target) -> None:
    target.reply = DOWN
    with run_app(database_url=database_url, retention_days=1, **ALLOWED) as app, app.client() as client:
        untold, other = client.completed(webhook=target.url)["id"], client.completed()["id"]
        eventually(lambda: told(app)[0]["attempts"])
        later = app.engine.database.now() + timedelta(days=2)
        app.engine.lifecycle.now = lambda: later
        eventually(lambda: client.get(f"/media/{other}").status_code == 404)
        assert client.get(f"/media/{untold}").status_code == 200
        target.reply = Reply()
        let_time_pass(app)
        eventually(lambda: client.get(f"/media/{untold}").status_code == 404)
    assert len(target.heard) == 2


# The log


def test_deliveries_are_listed_by_media_and_state_page_by_page(service: App, target: Target) -> None:
    with service.client() as client:
        media = [client.completed(webhook=target.url) for _ in range(5)]
        eventually(lambda: states(service) == ["delivered"] * 5)
        seen: list[str] = []
        cursor: dict[str, Any] = {}
        while True:
            page = client.get("/webhooks/deliveries", params={"limit": 2, **cursor}).json()
            seen += [delivery["media_id"] for delivery in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert seen == [one["id"] for one in reversed(media)]
        (of_one,) = told(service, media_id=media[2]["id"])
        assert client.get(f"/webhooks/deliveries/{of_one['id']}").json() == of_one
        assert told(service, state="failed") == []


def test_what_is_not_there_is_not_found(plain: App) -> None:
    missing = "0199a000-0000-7000-8000-000000000000"
    with plain.client() as client:
        assert client.get(f"/webhooks/deliveries/{missing}").status_code == 404
        assert client.post(f"/webhooks/deliveries/{missing}/resend").status_code == 404
        assert client.get("/webhooks/deliveries", params={"state": "lost"}).status_code == 422


def test_outcomes_are_counted(plain: App, target: Target) -> None:
    before = _outcomes(plain)
    target.replies = [DOWN]
    with plain.client() as client:
        client.completed(webhook=target.url)
        eventually(lambda: told(plain) and told(plain)[0]["attempts"])
        eventually(lambda: "darkroom_webhooks_pending 1.0" in client.get("/metrics").text)
    let_time_pass(plain)
    eventually(lambda: states(plain) == ["delivered"])
    after = _outcomes(plain)
    assert {outcome: after[outcome] - before[outcome] for outcome in after} == {"retried": 1, "delivered": 1}


def _outcomes(app: App) -> dict[str, float]:
    known = scrape(app.url)
    return {outcome: known.value("darkroom_webhooks_total", outcome=outcome) for outcome in ("retried", "delivered")}


def test_a_media_without_a_webhook_writes_nothing(plain: App) -> None:
    with plain.client() as client:
        client.completed()
    assert told(plain) == []
