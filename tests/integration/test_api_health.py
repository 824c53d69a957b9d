"""Alive, able to serve, and what browsers are told."""

import shutil

import httpx2
import pytest
from sqlalchemy import make_url

from services.app import App, RunApp
from services.proxy import Proxy
from services.server import eventually

SAFETY = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer"}


def test_a_service_that_can_serve_says_so(app: App) -> None:
    assert httpx2.get(f"{app.url}/healthz").json() == {"status": "ok"}
    ready = httpx2.get(f"{app.url}/readyz")
    assert ready.status_code == 200
    assert ready.json() == {
        "ready": True,
        "checks": [
            {"name": "database", "ok": True, "problem": None},
            {"name": "storage", "ok": True, "problem": None},
        ],
    }
    for path in ("/healthz", "/readyz"):
        head = httpx2.head(f"{app.url}{path}")
        assert (head.status_code, head.content) == (200, b"")


def test_a_store_that_cannot_be_used_is_named_and_jobs_wait_for_it(sqlite_app: App) -> None:
    folder = sqlite_app.settings.data_dir / "files"
    with sqlite_app.client() as client:
        client.completed()
        shutil.rmtree(folder)
        folder.write_text("in the way")
        ready = client.get("/readyz")
        assert ready.status_code == 503
        assert int(ready.headers["Retry-After"]) >= 1
        database, storage = ready.json()["checks"]
        assert database["ok"]
        assert (storage["name"], storage["ok"]) == ("storage", False)
        assert "file" in storage["problem"]
        assert str(folder.parent) not in storage["problem"]
        assert client.get("/healthz").status_code == 200
        media = client.generate()
        eventually(lambda: client.media(media["id"])["status"] == "PROCESSING")
        folder.unlink()
        assert client.until(media["id"], "COMPLETED")["number_of_tries"] == 1
        assert client.get("/readyz").status_code == 200


def test_a_database_that_is_gone_is_named(run_app: RunApp, postgres_url: str) -> None:
    address = make_url(postgres_url)
    with Proxy((address.host or "127.0.0.1", address.port or 5432)) as proxy:
        proxied = address.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
        with run_app(database_url=proxied) as app:
            with proxy.away():
                ready = httpx2.get(f"{app.url}/readyz", timeout=30)
                assert ready.status_code == 503
                assert [check["ok"] for check in ready.json()["checks"]] == [False, True]
                assert httpx2.get(f"{app.url}/healthz").status_code == 200
            eventually(lambda: httpx2.get(f"{app.url}/readyz", timeout=30).status_code == 200)


def test_a_service_that_stops_is_not_ready(sqlite_app: App) -> None:
    sqlite_app.loop.call_soon_threadsafe(sqlite_app.engine.begin_stop)
    eventually(lambda: httpx2.get(f"{sqlite_app.url}/readyz").status_code == 503)
    assert httpx2.get(f"{sqlite_app.url}/healthz").status_code == 200


def test_an_error_of_ours_tells_nothing_of_its_inside(sqlite_app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the secret is 4711")

    monkeypatch.setattr(sqlite_app.engine.queries, "page", broken)
    response = httpx2.get(f"{sqlite_app.url}/media")
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "internal_error"
    assert "4711" not in response.text
    assert "Traceback" not in response.text
    assert httpx2.get(f"{sqlite_app.url}/healthz").status_code == 200


def test_every_answer_tells_browsers_to_be_careful(sqlite_app: App) -> None:
    for path, status in (("/healthz", 200), ("/media/nothing", 422), ("/nothing", 404), ("/docs", 200)):
        response = httpx2.get(f"{sqlite_app.url}{path}")
        assert response.status_code == status
        assert {name: response.headers.get(name) for name in SAFETY} == SAFETY
    refused = httpx2.get(f"{sqlite_app.url}/healthz", headers={"Host": "evil.example"})
    assert (refused.status_code, refused.headers["X-Content-Type-Options"]) == (403, "nosniff")


def test_only_our_own_names_are_answered(run_app: RunApp, sqlite_url: str) -> None:
    settings = {
        "allowed_hosts": ["pictures.internal", "*.corp.example", "app.test:8452"],
        "public_url": "https://pictures.example.com",
    }
    with run_app(database_url=sqlite_url, **settings) as app:
        for host, status in {
            "localhost": 200, "LOCALHOST:9": 200, f"127.0.0.1:{app.port}": 200, "[::1]:8000": 200,
            "pictures.internal": 200, "a.corp.example:80": 200, "app.test": 200, "corp.example": 403,
            "pictures.example.com": 200,
            "evil.example": 403, "localhost.evil.example": 403, "pictures.internal.": 403, "10.0.0.1": 403,
        }.items():  # fmt: skip
            response = httpx2.get(f"{app.url}/healthz", headers={"Host": host})
            assert response.status_code == status, host


# CORS

PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,idempotency-key"}


def test_other_origins_are_told_nothing_until_they_are_named(sqlite_app: App) -> None:
    page = {"Origin": "https://app.example.com"}
    plain = httpx2.get(f"{sqlite_app.url}/media", headers=page)
    asked = httpx2.options(f"{sqlite_app.url}/media/generate", headers=page | PREFLIGHT)
    for response in (plain, asked):
        assert not [name for name in response.headers if name.startswith("access-control")]
    assert asked.status_code == 405


def test_a_named_origin_may_use_everything(run_app: RunApp, sqlite_url: str) -> None:
    named, other = {"Origin": "https://app.example.com"}, {"Origin": "https://evil.example"}
    with run_app(database_url=sqlite_url, cors_origins=["https://app.example.com"]) as app:
        asked = httpx2.options(f"{app.url}/media/generate", headers=named | PREFLIGHT)
        assert asked.status_code == 200
        assert asked.headers["Access-Control-Allow-Origin"] == named["Origin"]
        assert {"GET", "POST", "DELETE"} <= set(asked.headers["Access-Control-Allow-Methods"].split(", "))
        assert "idempotency-key" in asked.headers["Access-Control-Allow-Headers"]
        for path in ("/media", "/media/nothing"):
            response = httpx2.get(f"{app.url}{path}", headers=named)
            assert response.headers["Access-Control-Allow-Origin"] == named["Origin"]
            assert "Location" in response.headers["Access-Control-Expose-Headers"]
        refused = httpx2.options(f"{app.url}/media/generate", headers=other | PREFLIGHT)
        assert refused.status_code == 400
        for response in (refused, httpx2.get(f"{app.url}/media", headers=other)):
            assert "Access-Control-Allow-Origin" not in response.headers
