"""A lane that is full takes no more media, and says when to come again."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from services.app import App, RunApp
from services.server import eventually

MOST = 10


@pytest.fixture
def full(run_app: RunApp, database_url: str) -> Iterator[App]:
    """A service of which no lane takes more than ten jobs, and that makes nothing."""
    with run_app(database_url=database_url, working=False, lanes={"default": {"max_queued": MOST}}) as app:
        yield app


def post(client: httpx2.Client, key: str | None = None, **request: object) -> httpx2.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return client.post("/media/generate", json={"prompt": "a fox", "model": "dummy", **request}, headers=headers)


def test_a_full_lane_refuses_and_says_when_to_come_again(full: App) -> None:
    with full.client() as client:
        first = [post(client) for _ in range(MOST)]
        assert {response.status_code for response in first} == {202}
        refused = post(client)
        assert refused.status_code == 429
        assert refused.headers["content-type"] == "application/problem+json"
        assert int(refused.headers["Retry-After"]) >= 1
        assert refused.json()["code"] == "queue_full"
        assert len(client.listed()) == MOST


def test_of_many_at_once_exactly_as_many_are_accepted_as_there_is_room(full: App) -> None:
    with full.client() as client, ThreadPoolExecutor(16) as callers:
        for left in (MOST, 4):
            answers = [response.status_code for response in callers.map(lambda _: post(client), range(40))]
            assert answers.count(202) == left
            assert answers.count(429) == 40 - left
            for media in client.listed()[:4]:
                client.delete(f"/media/{media['id']}").raise_for_status()


def test_room_is_noticed_at_once(full: App) -> None:
    with full.client() as client:
        ids = [post(client).json()["id"] for _ in range(MOST)]
        for media_id in ids:
            assert post(client).status_code == 429
            client.post(f"/media/{media_id}/cancel").raise_for_status()
            assert post(client).status_code == 202


def test_a_request_that_was_accepted_before_is_answered_though_the_lane_is_full(full: App) -> None:
    with full.client() as client:
        made = post(client, key="mine").json()["id"]
        for _ in range(MOST - 1):
            post(client)
        again = post(client, key="mine")
        assert (again.status_code, again.json()["id"]) == (202, made)
        assert again.headers["Idempotent-Replayed"] == "true"
        assert post(client, key="mine", tags=["other"]).status_code == 422
        assert post(client, key="new").status_code == 429
        assert len(client.listed()) == MOST


def test_a_lane_that_is_worked_off_takes_more(run_app: RunApp, database_url: str) -> None:
    with run_app(database_url=database_url, lanes={"default": {"max_queued": 3}}) as app, app.client() as client:
        for _ in range(20):
            eventually(lambda: post(client).status_code == 202)


def test_what_another_process_accepted_counts_after_its_next_look(run_app: RunApp, database_url: str) -> None:
    lanes = {"default": {"max_queued": MOST, "concurrency": 1}}
    with (
        run_app(database_url=database_url, lanes=lanes) as one,
        run_app(database_url=database_url, working=False, lanes=lanes) as other,
        one.client() as first,
        other.client() as second,
    ):
        first.post("/lanes/default/pause").raise_for_status()
        assert post(first).status_code == 202
        while post(second).status_code == 202:
            pass
        assert len(second.listed()) == MOST
        eventually(lambda: post(first).status_code == 429)
