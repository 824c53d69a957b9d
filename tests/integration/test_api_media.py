"""Ask for pictures over HTTP, follow them, change one's mind."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from services.app import App, Client, RunApp
from services.server import eventually

SLOW = {"delay": 60}
FAILING = {"error": "permanent", "error_rate": 1}
FIELDS = {
    "id", "job_id", "status", "model", "prompt", "parameters", "files", "progress", "queue_position", "priority",
    "number_of_tries", "max_tries", "next_run", "error", "cost", "tags", "metadata", "created_at", "updated_at",
    "started_at", "completed_at",
}  # fmt: skip


def in_error(client: Client) -> dict[str, Any]:
    return client.until(client.generate(parameters=FAILING)["id"], "ERROR")


def processing(client: Client) -> dict[str, Any]:
    return client.until(client.generate(parameters=SLOW)["id"], "PROCESSING")


def code_of(response: httpx2.Response, status: int) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    code: str = response.json()["code"]
    return code


# Accepting


def test_a_prompt_is_accepted_with_its_place_and_becomes_files(client: Client) -> None:
    request = {
        "prompt": "a red fox in the snow",
        "model": "dummy",
        "parameters": {"n": 2, "seed": 7, "width": 40, "height": 30},
        "priority": 3,
        "tags": ["campaign-7", "winter", "winter"],
        "metadata": {"order": "4711"},
        "max_tries": 2,
    }
    response = client.post("/media/generate", json=request)
    accepted = response.json()
    assert response.status_code == 202
    assert response.headers["Location"] == f"/media/{accepted['id']}"
    assert accepted.keys() == FIELDS
    assert accepted["files"] == []
    done = client.until(accepted["id"], "COMPLETED")
    assert done.keys() == FIELDS
    assert {name: done[name] for name in ("prompt", "model", "priority", "metadata", "max_tries")} == {
        name: request[name] for name in ("prompt", "model", "priority", "metadata", "max_tries")
    }
    assert done["tags"] == ["campaign-7", "winter"]
    assert done["parameters"].items() >= {"n": 2, "seed": 7, "width": 40, "height": 30}.items()
    assert [(file["index"], file["seed"], file["width"], file["height"]) for file in done["files"]] == [
        (0, 7, 40, 30),
        (1, 8, 40, 30),
    ]
    assert done["error"] is done["next_run"] is done["queue_position"] is None
    times = [datetime.fromisoformat(done[name]) for name in ("created_at", "started_at", "completed_at")]
    assert times == sorted(times)
    assert all(at.utcoffset() == timedelta(0) for at in times)


def test_a_request_that_names_no_model_gets_the_default_one(idle: Client) -> None:
    response = idle.post("/media/generate", json={"prompt": "a lighthouse at dusk"})
    assert response.json()["model"] == "sketch"
    assert response.json()["parameters"]["width"] == 1024


def test_a_prompt_of_32000_characters_comes_back_unchanged(idle: Client) -> None:
    prompt = "ä😀 \n\t'\"\\%_" * 3200
    assert len(prompt) == 32_000
    assert idle.media(idle.generate(prompt)["id"])["prompt"] == prompt


def test_queued_media_know_their_place(idle: Client) -> None:
    first, second, urgent = idle.generate(), idle.generate(), idle.generate(priority=1)
    assert idle.media(urgent["id"])["queue_position"] == 0
    assert idle.media(first["id"])["queue_position"] == 1
    assert idle.media(second["id"])["queue_position"] == 2
    brief = idle.get(f"/media/jobs/{second['job_id']}/status").json()
    assert brief == {
        "job_id": second["job_id"],
        "media_id": second["id"],
        "status": "IN_QUEUE",
        "progress": None,
        "queue_position": 2,
    }


# Following


def test_every_job_of_a_history_leads_to_its_media(client: Client) -> None:
    media = in_error(client)
    first = media["job_id"]
    second = client.post(f"/media/{media['id']}/retry").json()["job_id"]
    client.until(media["id"], "ERROR")
    assert second != first
    for job in (first, second):
        assert client.get(f"/media/status/{job}").json() == client.media(media["id"])
        brief = client.get(f"/media/jobs/{job}/status").json()
        assert (brief["media_id"], brief["job_id"], brief["status"]) == (media["id"], second, "ERROR")


def test_tries_are_listed_with_their_errors(client: Client) -> None:
    media = client.completed(parameters={"fail_first": 2})
    jobs = client.get(f"/media/{media['id']}/jobs").json()["items"]
    assert [(job["number"], job["state"]) for job in jobs] == [(1, "failed"), (2, "failed"), (3, "succeeded")]
    assert jobs[0]["error"] == {
        "code": "provider_unavailable",
        "message": "the dummy provider was asked for transient",
        "retryable": True,
        "provider": "dummy",
    }
    assert jobs[2]["error"] is None
    assert media["job_id"] == jobs[2]["id"]
    assert media["number_of_tries"] == 3
    assert "Traceback" not in client.get(f"/media/{media['id']}/jobs").text


def test_progress_is_shown_while_it_is_made(client: Client) -> None:
    media = client.generate(parameters={"delay": 60, "steps": 600})
    eventually(lambda: (client.media(media["id"])["progress"] or {}).get("step", 0) > 0)
    progress = client.get(f"/media/jobs/{media['job_id']}/status").json()["progress"]
    assert progress["total"] == 600


def test_the_story_is_told_in_pages(client: Client) -> None:
    media = client.completed(parameters={"fail_first": 1})
    whole = client.get(f"/media/{media['id']}/logs").json()
    told = [line["event"] for line in whole["items"]]
    assert (told[0], told[-1], whole["next_cursor"]) == ("submitted", "completed", None)
    assert "failed" in told
    lines, cursor = [], 0
    while cursor is not None:
        page = client.get(f"/media/{media['id']}/logs", params={"cursor": cursor, "limit": 2}).json()
        assert len(page["items"]) <= 2
        lines += page["items"]
        cursor = page["next_cursor"]
    assert lines == whole["items"]
    assert client.get(f"/media/{media['id']}/logs", params={"cursor": 2**63 - 1}).json()["items"] == []


def test_what_never_was_is_not_found(idle: Client) -> None:
    absent = str(uuid4())
    paths = ["{}", "status/{}", "jobs/{}/status", "{}/jobs", "{}/logs", "content/{}", "{}/files/0"]
    asked = [("GET", path) for path in paths] + [("POST", "{}/cancel"), ("POST", "{}/retry"), ("DELETE", "{}")]
    for method, path in asked:
        response = idle.request(method, f"/media/{path.format(absent)}")
        assert code_of(response, 404) == "not_found"
        assert absent in response.json()["detail"]


# Listing


@pytest.fixture
def shelf(idle: Client) -> Client:
    """Twelve media, two of them cancelled, in a list."""
    for number in range(12):
        media = idle.generate(
            f"a {'Red' if number % 2 else 'BLUE'} fox, number {number}",
            model="sketch" if number % 3 == 0 else "dummy",
            tags=["even" if number % 2 == 0 else "odd", f"n{number}"],
        )
        if number in (4, 5):
            idle.post(f"/media/{media['id']}/cancel").raise_for_status()
    return idle


def numbers(items: list[dict[str, Any]]) -> list[int]:
    return [int(media["prompt"].split()[-1]) for media in items]


def test_the_list_is_newest_first_in_pages_without_gaps(shelf: Client) -> None:
    seen: list[int] = []
    cursor, pages = None, 0
    while pages == 0 or cursor:
        page = shelf.get("/media", params={"limit": 5} | ({"cursor": cursor} if cursor else {})).json()
        seen += numbers(page["items"])
        cursor, pages = page["next_cursor"], pages + 1
        shelf.generate("added meanwhile, number 99")
    assert seen == list(range(11, -1, -1))
    assert pages == 3


def test_the_list_can_be_narrowed_in_every_way(shelf: Client) -> None:
    expected: dict[tuple[tuple[str, str], ...], list[int]] = {
        (("status", "CANCELLED"),): [5, 4],
        (("status", "COMPLETED"),): [],
        (("model", "sketch"),): [9, 6, 3, 0],
        (("model", "nothing"),): [],
        (("tag", "odd"),): [11, 9, 7, 5, 3, 1],
        (("tag", "n7"),): [7],
        (("q", "red"),): [11, 9, 7, 5, 3, 1],
        (("q", "blue FOX, 10"),): [10],
        (("q", "re"),): [],
        (("q", "%"),): [],
        (("q", "  "),): list(range(11, -1, -1)),
        (("tag", "even"), ("model", "sketch")): [6, 0],
        (("tag", "even"), ("status", "CANCELLED")): [4],
        (("model", "dummy"), ("status", "IN_QUEUE"), ("q", "red")): [11, 7, 1],
        (("tag", "odd"), ("model", "dummy"), ("status", "CANCELLED"), ("q", "fox, 5")): [5],
    }
    for filters, wanted in expected.items():
        assert numbers(shelf.listed(**dict(filters))) == wanted, filters
        assert numbers(shelf.listed(**dict(filters), limit=1)) == wanted, filters


def test_the_list_can_be_narrowed_by_time(shelf: Client) -> None:
    media = {int(item["prompt"].split()[-1]): item["created_at"] for item in shelf.listed()}
    assert numbers(shelf.listed(created_after=media[9])) == [11, 10, 9]
    assert numbers(shelf.listed(created_before=media[2])) == [1, 0]
    assert numbers(shelf.listed(created_after=media[4], created_before=media[6], tag="odd")) == [5]
    east = datetime.fromisoformat(media[9]).astimezone(UTC) + timedelta(hours=5)
    assert numbers(shelf.listed(created_after=f"{east.replace(tzinfo=None).isoformat()}+05:00")) == [11, 10, 9]
    assert numbers(shelf.listed(created_after=media[9].removesuffix("Z"))) == [11, 10, 9]
    assert len(shelf.listed(created_after="0001-01-01T00:00:00Z", created_before="9999-12-31T23:59:59.9Z")) == 12
    assert shelf.listed(created_before="0001-01-01T00:00:00+14:00") == []
    assert shelf.listed(created_after="9999-12-31T23:59:59.999999-14:00") == []


def test_a_page_that_finds_little_is_short_and_leads_on(shelf: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("darkroom.db.listing.WINDOW", 2)
    monkeypatch.setattr("darkroom.db.listing.STEPS", 1)
    first = shelf.get("/media", params={"q": "0"}).json()
    assert first["items"] == []
    assert first["next_cursor"] is not None
    assert numbers(shelf.listed(q="0")) == [0]
    assert numbers(shelf.listed(q="red", limit=1)) == [11, 9, 7, 5, 3, 1]


# Changing one's mind


def test_a_queued_media_is_cancelled_at_once_and_can_be_retried(idle: Client) -> None:
    media = idle.generate()
    cancelled = idle.post(f"/media/{media['id']}/cancel")
    assert cancelled.status_code == 200
    assert cancelled.json()["status"] == "CANCELLED"
    assert cancelled.json()["completed_at"] is not None
    assert code_of(idle.post(f"/media/{media['id']}/cancel"), 409) == "conflict"
    again = idle.post(f"/media/{media['id']}/retry")
    assert again.status_code == 202
    assert again.json()["status"] == "IN_QUEUE"
    assert again.json()["job_id"] != media["job_id"]
    assert again.json()["completed_at"] is None


def test_a_media_in_process_is_cancelled_as_soon_as_its_worker_lets_go(client: Client) -> None:
    media = processing(client)
    assert code_of(client.post(f"/media/{media['id']}/retry"), 409) == "conflict"
    assert client.post(f"/media/{media['id']}/cancel").status_code == 200
    cancelled = client.until(media["id"], "CANCELLED")
    assert cancelled["number_of_tries"] == 0
    assert cancelled["files"] == []


def test_what_ended_can_be_retried_only_if_it_failed(client: Client) -> None:
    done, failed = client.completed(), in_error(client)
    assert failed["error"]["code"] == "provider_failed"
    for media in (done, failed):
        assert code_of(client.post(f"/media/{media['id']}/cancel"), 409) == "conflict"
    assert code_of(client.post(f"/media/{done['id']}/retry"), 409) == "conflict"
    assert client.post(f"/media/{failed['id']}/retry").status_code == 202
    assert len(client.get(f"/media/{failed['id']}/jobs").json()["items"]) == 2


def test_deleting_removes_rows_and_files(client: Client, app: App) -> None:
    media = client.completed(parameters={"n": 2}, tags=["gone"])
    pictures = app.settings.data_dir / "files"
    assert len([path for path in pictures.rglob("*") if path.is_file()]) == 4
    assert client.delete(f"/media/{media['id']}").status_code == 204
    assert [path for path in pictures.rglob("*") if path.is_file()] == []
    for path in ("", "/jobs", "/logs", "/files/0", "/files/0?thumbnail=true"):
        assert client.get(f"/media/{media['id']}{path}").status_code == 404
    assert client.get(f"/media/status/{media['job_id']}").status_code == 404
    assert client.delete(f"/media/{media['id']}").status_code == 404
    assert client.listed(tag="gone") == []


def test_deleting_stops_what_runs(client: Client, app: App) -> None:
    media = processing(client)
    assert client.delete(f"/media/{media['id']}").status_code == 204
    assert client.get(f"/media/{media['id']}").status_code == 404
    assert client.completed()["status"] == "COMPLETED"
    assert client.delete(f"/media/{client.generate(parameters=SLOW)['id']}").status_code == 204


# Waiting


def test_a_caller_who_waits_gets_the_finished_media(client: Client) -> None:
    for prefer in ("wait", "wait=30", 'respond-async, WAIT = "30"', "wait=99999999999999999999"):
        response = client.post(
            "/media/generate", json={"prompt": "a lighthouse", "model": "dummy"}, headers={"Prefer": prefer}
        )
        assert response.status_code == 200, prefer
        assert response.headers["Preference-Applied"] == "wait"
        assert response.headers["Location"] == f"/media/{response.json()['id']}"
        assert response.json()["status"] == "COMPLETED"
        assert response.json()["files"] != []
    failed = client.post(
        "/media/generate",
        json={"prompt": "a lighthouse", "model": "dummy", "parameters": FAILING},
        headers={"Prefer": "wait=30"},
    )
    assert (failed.status_code, failed.json()["status"]) == (200, "ERROR")


def test_a_wait_that_runs_out_is_answered_with_202(client: Client) -> None:
    started = time.monotonic()
    response = client.post(
        "/media/generate",
        json={"prompt": "a lighthouse", "model": "dummy", "parameters": SLOW},
        headers={"Prefer": "wait=1"},
    )
    assert 0.9 < time.monotonic() - started < 10
    assert response.status_code == 202
    assert response.json()["status"] == "PROCESSING"
    assert response.json()["id"] == client.media(response.json()["id"])["id"]


@pytest.mark.parametrize("prefer", ["", "respond-async", "wait=soon", "wait=-1", "awaiting", "handling=lenient"])
def test_who_does_not_ask_to_wait_does_not(sqlite_app: App, prefer: str) -> None:
    with sqlite_app.client() as client:
        response = client.post(
            "/media/generate",
            json={"prompt": "a lighthouse", "model": "dummy", "parameters": SLOW},
            headers={"Prefer": prefer},
        )
    assert response.status_code == 202
    assert "Preference-Applied" not in response.headers


def test_a_stop_of_the_service_answers_who_waits(run_app: RunApp, sqlite_url: str) -> None:
    with ThreadPoolExecutor(1) as caller, run_app(database_url=sqlite_url) as app, app.client() as client:
        waiting = caller.submit(
            httpx2.post,
            f"{app.url}/media/generate",
            json={"prompt": "a lighthouse", "model": "dummy", "parameters": SLOW},
            headers={"Prefer": "wait"},
            timeout=60,
        )
        eventually(lambda: client.listed(status="PROCESSING"))
        app.loop.call_soon_threadsafe(app.engine.begin_stop)
        assert waiting.result(timeout=20).status_code == 202


# Idempotency


def keyed(client: Client, key: str, **request: Any) -> httpx2.Response:
    body = {"prompt": "a lighthouse", "model": "dummy", **request}
    return client.post("/media/generate", json=body, headers={"Idempotency-Key": key})


def test_a_repeated_key_is_answered_with_the_first_media(client: Client) -> None:
    key = str(uuid4())
    first = keyed(client, key)
    assert first.status_code == 202
    assert "Idempotent-Replayed" not in first.headers
    done = client.until(first.json()["id"], "COMPLETED")
    again = keyed(client, key)
    assert again.status_code == 202
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Location"] == first.headers["Location"]
    assert again.json() == done
    assert len(client.listed()) == 1


def test_a_repeated_key_is_answered_while_its_media_is_in_flight(client: Client) -> None:
    key = 'it\'s "ok"!'.replace(" ", "_")
    first = keyed(client, key, parameters=SLOW).json()
    client.until(first["id"], "PROCESSING")
    again = keyed(client, key, parameters=SLOW)
    assert again.json()["id"] == first["id"]
    assert again.json()["status"] == "PROCESSING"


def test_a_key_with_another_request_is_refused(idle: Client) -> None:
    keyed(idle, "k", parameters={"seed": 1}, tags=["a"])
    for other in ({"prompt": "a fox"}, {"parameters": {"seed": 2}}, {"tags": []}, {"metadata": {"a": "b"}}):
        refused = keyed(idle, "k", **{"parameters": {"seed": 1}, "tags": ["a"], **other})
        assert code_of(refused, 422) == "idempotency_mismatch"
        assert refused.json()["errors"][0]["field"] == "Idempotency-Key"
    assert len(idle.listed()) == 1


def test_twenty_callers_with_one_key_make_one_media(client: Client) -> None:
    with ThreadPoolExecutor(20) as callers:
        answers = list(callers.map(lambda _: keyed(client, "the-same"), range(20)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert len(client.listed()) == 1


# Models


def test_models_show_what_can_be_asked_for(idle: Client) -> None:
    models = {model["name"]: model for model in idle.get("/models").json()["items"]}
    assert {name for name, model in models.items() if model["usable"]} == {"sketch", "dummy"}
    assert [name for name, model in models.items() if model["default"]] == ["sketch"]
    assert idle.get("/models/dummy").json() == models["dummy"]
    assert models["dummy"]["parameters"]["properties"]["n"]["default"] == 1
    assert "output_format" in models["dummy"]["parameters"]["properties"]
    missing = idle.get("/models/nothing")
    assert code_of(missing, 404) == "unknown_model"
    assert "dummy, sketch" in missing.json()["detail"]


def test_a_model_without_its_key_says_so(idle: Client) -> None:
    model = idle.get("/models/flux-schnell").json()
    assert (model["usable"], model["problem"]) == (False, "REPLICATE_API_TOKEN is not set; FAL_KEY is not set")
    replicate, fal = model["routes"]
    assert (replicate["provider"], replicate["model"]) == ("replicate", "black-forest-labs/flux-schnell")
    assert (replicate["problem"], replicate["weight"]) == ("REPLICATE_API_TOKEN is not set", None)
    assert (replicate["price"]["per_picture"], replicate["price"]["currency"]) == ("0.003", "USD")
    assert (fal["price"]["per_picture"], fal["price"]["per_megapixel"]) == (None, "0.003")
    assert {"n", "seed", "aspect_ratio"} <= model["parameters"]["properties"].keys()
    refused = idle.post("/media/generate", json={"prompt": "a fox", "model": "flux-schnell"})
    assert code_of(refused, 422) == "unusable_model"
    assert "REPLICATE_API_TOKEN is not set" in refused.json()["detail"]
