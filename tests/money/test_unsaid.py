"""Where a provider does not say what became of a paid request, it is not asked for again."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from darkroom.media.model import Media
from darkroom.providers.http import Backend
from money.plans import LONG, SHORT, Plan
from money.stage import MODEL, Stage
from money.vendors import VENDORS
from services.engines import ended, submit, working


async def made_by(name: str, folder: Path, *, seconds: float) -> tuple[Media, int]:
    """A media that was asked for, once it has ended; and how much was created."""
    async with (
        Stage(VENDORS[name], folder, together=1).open() as stage,
        stage.place(Plan(0, (), seconds=seconds)) as at,
        working(at.settings, job_timeout=0.5) as engine,
    ):
        media_id = await submit(engine, model=MODEL, max_tries=3)
        return await ended(engine, media_id), len(at.fake.created)


@pytest.mark.parametrize("name", ["fal", "bfl"])
def test_an_adapter_that_breaks_on_the_answer_does_not_ask_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any, **__: Any) -> Any:
        raise KeyError("what it did not expect")

    monkeypatch.setattr(Backend, "created", broken)
    media, created = asyncio.run(made_by(name, tmp_path, seconds=SHORT))
    assert (media.error and media.error.code, created) == ("submission_uncertain", 1)


def test_what_takes_too_long_and_cannot_be_stopped_is_not_asked_for_again(tmp_path: Path) -> None:
    media, created = asyncio.run(made_by("bfl", tmp_path, seconds=LONG))
    assert (media.error and media.error.message, created) == ("bfl took longer than 0.5 s", 1)


def test_what_took_too_long_and_cannot_be_stopped_is_fetched_later(tmp_path: Path) -> None:
    media, created = asyncio.run(made_by("bfl", tmp_path, seconds=0.8))
    assert (media.status.value, created) == ("COMPLETED", 1)
