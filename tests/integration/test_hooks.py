"""Backends that call back: the end of a prediction is not waited for until the next poll."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from darkroom.media.events import BackendSpoke
from darkroom.media.states import Status
from darkroom.settings import Account, Model, Route, Settings
from services.app import App, RunApp
from services.backends.base import Fake
from services.backends.replicate import SCHNELL, End, ReplicateFake
from services.engines import ended, running, submit, until, working

pytestmark = pytest.mark.anyio

PUBLIC = "https://pictures.example.com"
NEVER = 60.0
"""Seconds between two polls: longer than any test waits."""


@pytest.fixture(scope="module")
def started() -> Iterator[ReplicateFake]:
    with ReplicateFake().running() as fake:
        yield fake


@pytest.fixture
def replicate(started: ReplicateFake) -> ReplicateFake:
    started.reset(0.2)
    return started


@pytest.fixture
def told(tmp_path: Path, replicate: ReplicateFake) -> dict[str, Any]:
    """Settings with a model at Replicate, which is looked at hardly ever."""
    access = Account(url=replicate.api, key=Fake.key, options={"poll": NEVER})
    route = Route(provider="replicate", model=SCHNELL, options={"parameters": {"seed": {}}})
    return {
        "data_dir": tmp_path / "data", "public_url": PUBLIC, "accounts": {"replicate": access}, "poll_interval": 0.05,
        "models": {"flux": Model(routes=[route])}, "starter_models": False, "stop_grace": 0,
    }  # fmt: skip


def here(app: App, url: str) -> str:
    assert url.startswith(PUBLIC)
    return app.url + url.removeprefix(PUBLIC)


def test_a_picture_is_fetched_as_soon_as_replicate_calls(
    run_app: RunApp, sqlite_url: str, told: dict[str, Any], replicate: ReplicateFake
) -> None:
    with run_app(database_url=sqlite_url, **told) as app, app.client() as client:
        replicate.reached = lambda url: here(app, url)
        client.completed(model="flux")
        assert replicate.created[0].body["webhook_events_filter"] == ["completed"]
        assert len(replicate.called("poll")) == 1


async def test_the_call_reaches_the_worker_from_whichever_process_it_came_to(
    run_app: RunApp, postgres_url: str, told: dict[str, Any], replicate: ReplicateFake
) -> None:
    settings = Settings(database_url=postgres_url, **told)
    with run_app(working=False, database_url=postgres_url, **told) as app:
        replicate.reached = lambda url: here(app, url)
        async with working(settings) as engine:
            media = await ended(engine, await submit(engine, model="flux"))
    assert media.status is Status.COMPLETED
    assert len(replicate.called("poll")) == 1


async def test_who_goes_on_with_a_prediction_hears_of_its_end(
    run_app: RunApp, sqlite_url: str, told: dict[str, Any], replicate: ReplicateFake
) -> None:
    replicate.seconds, replicate.ends = 0, [End(hang=True)]
    async with working(Settings(database_url=sqlite_url, **told)) as engine:
        media_id = await submit(engine, model="flux")
        await running(engine, media_id)
    with run_app(database_url=sqlite_url, **told) as app, app.client() as client:

        async def is_looked_at() -> bool:
            return len(replicate.called("poll")) == 1

        await until(is_looked_at)
        for prediction in replicate.predictions.values():
            prediction.end.hang = False
        assert httpx2.post(here(app, replicate.created[0].body["webhook"])).status_code == 204
        client.until(str(media_id), "COMPLETED")
    assert len(replicate.created) == 1


@pytest.mark.parametrize("public_url", [None, "http://pictures.example.com"])
def test_no_backend_is_given_an_address_that_it_does_not_call(
    run_app: RunApp, sqlite_url: str, told: dict[str, Any], replicate: ReplicateFake, public_url: str | None
) -> None:
    quick = told | {"public_url": public_url}
    quick["accounts"]["replicate"].options["poll"] = 0.05
    with run_app(database_url=sqlite_url, **quick) as app, app.client() as client:
        client.completed(model="flux")
    assert not {"webhook", "webhook_events_filter"} & replicate.created[0].body.keys()


def test_only_a_call_that_is_ours_is_heard(run_app: RunApp, sqlite_url: str, told: dict[str, Any]) -> None:
    with run_app(database_url=sqlite_url, **told) as app, app.client() as client:
        heard: list[object] = []
        listening = app.engine.bus.listening(None, heard.append)
        app.loop.call_soon_threadsafe(listening.__enter__)
        media_id, job_id = uuid4(), uuid4()
        right = app.options.links.sign_hook(media_id, job_id)
        for path, status in (
            (f"{media_id}/{job_id}?signature={'0' * 64}", 403),
            (f"{job_id}/{media_id}?signature={right}", 403),
            (f"{media_id}/{job_id}?signature=%F0%9F%91%8B", 403),
            (f"{media_id}/{job_id}", 422),
            (f"{media_id}/4711?signature={right}", 422),
            (f"{media_id}/{job_id}?signature={right}", 204),
        ):
            assert client.post(f"/hooks/{path}", content=b"anything").status_code == status
        assert [type(event) for event in heard] == [BackendSpoke]
