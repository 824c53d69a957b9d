"""The scripted provider does what it is told."""

import asyncio
import io
import json
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import jsonschema_rs
import pytest
from PIL import Image

from darkroom import errors
from darkroom.media.model import Request
from darkroom.providers import dummy
from darkroom.providers.base import Accepted, Event, Finished, Produced, Progress
from darkroom.providers.dummy import Dummy

pytestmark = pytest.mark.anyio

MOMENT = 0.05


def request(*, media_id: UUID | None = None, model: str = "dummy", **parameters: Any) -> Request:
    return Request(media_id or uuid4(), uuid4(), "a lighthouse at dusk", model, parameters)


async def run(provider: Dummy, asked: Request, resume: str | None = None) -> list[Event]:
    return [event async for event in provider.generate(asked, resume=resume)]


async def picture(provider: Dummy, **parameters: Any) -> bytes:
    return next(e.content for e in await run(provider, request(**parameters)) if isinstance(e, Produced))


async def outcome(provider: Dummy, asked: Request) -> bool:
    try:
        return bool(await run(provider, asked))
    except errors.Transient:
        return False


async def timed(work: Awaitable[Any]) -> float:
    start = time.monotonic()
    await work
    return time.monotonic() - start


async def accept(provider: Dummy, asked: Request) -> tuple[str, asyncio.Task[list[Event]]]:
    """The reference, and the rest of the call as a task."""
    events = provider.generate(asked, resume=None)
    first = await anext(events)
    assert isinstance(first, Accepted)

    async def rest() -> list[Event]:
        return [event async for event in events]

    return first.ref, asyncio.create_task(rest())


# The picture


async def test_untold_it_answers_at_once_with_one_tiny_picture() -> None:
    produced, finished = await run(Dummy(), request())
    assert isinstance(produced, Produced)
    assert (produced.index, produced.seed) == (0, None)
    assert finished == Finished()
    with Image.open(io.BytesIO(produced.content)) as made:
        assert (made.format, made.size) == ("PNG", (16, 16))


async def test_untold_it_never_gives_way_to_another_task() -> None:
    turns: list[str] = []
    asyncio.get_running_loop().call_soon(turns.append, "another")
    await run(Dummy(), request(n=64))
    assert turns == []


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        ({"width": 40, "height": 30}, (40, 30)),
        ({"width": 40}, (40, 40)),
        ({"height": 1}, (1, 1)),
        ({"width": 4096, "height": 4096}, (4096, 4096)),
    ],
)
async def test_a_picture_has_the_size_that_was_asked_for(asked: dict[str, int], size: tuple[int, int]) -> None:
    with Image.open(io.BytesIO(await picture(Dummy(), **asked))) as made:
        made.load()
        assert made.size == size


async def test_the_picture_runs_from_dark_to_light() -> None:
    with Image.open(io.BytesIO(await picture(Dummy(), width=300, height=20))) as made:
        row = [made.convert("L").getpixel((x, 19)) for x in range(300)]
    assert row == sorted(row)
    assert row[0] < 64 < 192 < row[-1]


async def test_a_file_is_answered_with_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "picture.webp"
    Image.new("RGB", (8, 8), "teal").save(path)
    provider = Dummy(picture=path)
    content = path.read_bytes()
    path.unlink()
    assert await picture(provider, width=100) == content


@pytest.mark.parametrize("content", [None, b"", b"not a picture", b"\x89PNG\r\n\x1a\n\x00\x00"])
def test_a_file_that_is_no_picture_is_refused_in_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "picture.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"picture\.png cannot be read") as refusal:
        Dummy(picture=path)
    assert "\n" not in str(refusal.value)


def test_a_folder_is_refused_as_a_picture(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        Dummy(picture=tmp_path)


async def test_the_seed_is_reported_back_counting_up() -> None:
    events = await run(Dummy(), request(n=3, seed=7))
    assert [(e.index, e.seed) for e in events if isinstance(e, Produced)] == [(0, 7), (1, 8), (2, 9)]


async def test_another_model_is_unknown() -> None:
    provider = Dummy()
    for ask in (provider.describe, provider.schema):
        with pytest.raises(errors.UnknownModel, match="'dali'"):
            ask("dali")
    with pytest.raises(errors.Permanent, match="'dali'"):
        await run(provider, request(model="dali"))


# Time and progress


async def test_the_delay_is_spread_over_the_steps() -> None:
    start = time.monotonic()
    events = Dummy().generate(request(delay=MOMENT, steps=5), resume=None)
    seen = [(event, time.monotonic() - start) async for event in events]
    assert [event for event, _ in seen[:5]] == [Progress(step, 5) for step in range(1, 6)]
    assert all(seconds >= MOMENT * step / 5 - 0.002 for step, (_, seconds) in enumerate(seen[:5], 1))


async def test_steps_without_a_delay_do_not_wait() -> None:
    turns: list[str] = []
    asyncio.get_running_loop().call_soon(turns.append, "another")
    assert len(await run(Dummy(), request(steps=1000))) == 1002
    assert turns == []


async def test_many_wait_together() -> None:
    provider = Dummy()
    seconds = await timed(asyncio.gather(*(run(provider, request(delay=MOMENT)) for _ in range(200))))
    assert seconds < 200 * MOMENT / 4


# Errors


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        ("transient", errors.Transient),
        ("throttled", errors.Throttled),
        ("permanent", errors.Permanent),
        ("rejected", errors.Rejected),
        ("crash", RuntimeError),
    ],
)
async def test_it_fails_as_it_is_told(error: str, raised: type[Exception]) -> None:
    with pytest.raises(raised) as failure:
        await run(Dummy(), request(error_rate=1, error=error))
    assert type(failure.value) is raised


async def test_a_throttled_error_says_when_to_try_again() -> None:
    with pytest.raises(errors.Throttled) as failure:
        await run(Dummy(), request(error_rate=1, error="throttled", retry_after=12.5))
    assert failure.value.retry_after == 12.5


async def test_it_fails_only_after_its_delay_and_progress() -> None:
    events = Dummy().generate(request(steps=3, error_rate=1), resume=None)
    assert [await anext(events) for _ in range(3)] == [Progress(step, 3) for step in range(1, 4)]
    with pytest.raises(errors.Transient):
        await anext(events)


@pytest.mark.parametrize("error", ["garbage", "html", "truncated", "bomb"])
@pytest.mark.parametrize("from_file", [False, True])
async def test_spoilt_bytes_do_not_decode(tmp_path: Path, error: str, from_file: bool) -> None:
    path = tmp_path / "picture.jpg"
    Image.radial_gradient("L").save(path)
    provider = Dummy(picture=path if from_file else None)
    content = await picture(provider, error_rate=1, error=error)
    with pytest.raises((OSError, SyntaxError, Image.DecompressionBombError)):
        Image.open(io.BytesIO(content)).load()


async def test_a_bomb_is_tiny_and_declares_a_giant() -> None:
    content = await picture(Dummy(), error_rate=1, error="bomb")
    assert len(content) < 1000
    with pytest.raises(Image.DecompressionBombError, match="3600000000 pixels"):
        Image.open(io.BytesIO(content))


async def test_a_hanging_call_ends_only_when_it_is_cancelled() -> None:
    call = asyncio.create_task(run(Dummy(), request(error_rate=1, error="hang")))
    await asyncio.wait({call}, timeout=MOMENT)
    assert not call.done()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_errors_come_at_their_rate_and_replay_with_the_seed() -> None:
    async def story(seed: int) -> list[bool]:
        provider = Dummy(seed=seed)
        return [await outcome(provider, request(error_rate=0.3)) for _ in range(400)]

    first = await story(1)
    assert 0.6 < sum(first) / len(first) < 0.8
    assert first == await story(1)
    assert first != await story(2)


async def test_garbage_replays_with_the_seed() -> None:
    asked = {"error_rate": 1, "error": "garbage"}
    assert await picture(Dummy(seed=1), **asked) == await picture(Dummy(seed=1), **asked)


async def test_the_first_tries_of_each_media_fail_and_the_next_succeeds() -> None:
    provider = Dummy()
    for media_id in (uuid4(), uuid4()):
        tries = [await outcome(provider, request(media_id=media_id, fail_first=2)) for _ in range(4)]
        assert tries == [False, False, True, True]


async def test_the_oldest_media_is_forgotten_not_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dummy, "MEMORY", 2)
    provider, old = Dummy(), uuid4()
    assert not await outcome(provider, request(media_id=old, fail_first=1))
    for _ in range(2):
        await outcome(provider, request(fail_first=1))
    assert not await outcome(provider, request(media_id=old, fail_first=1))
    assert await outcome(provider, request(media_id=old, fail_first=1))


# Resuming


async def test_a_resumed_call_waits_only_for_what_is_left() -> None:
    provider, asked, start = Dummy(), request(resumable=True, delay=0.3, steps=4), time.monotonic()
    ref, call = await accept(provider, asked)
    await asyncio.wait({call}, timeout=0.2)
    call.cancel()
    events = await run(provider, asked, resume=ref)
    assert 0.298 < time.monotonic() - start < 0.5
    assert events[:4] == [Progress(step, 4) for step in range(1, 5)]
    assert isinstance(events[-1], Finished)
    assert provider.created == 1


async def test_a_reference_of_another_process_is_a_new_wait_but_no_new_prediction() -> None:
    provider, asked = Dummy(), request(resumable=True, delay=0.2)
    assert await timed(run(provider, asked, resume="of-old")) > 0.198
    assert await timed(run(provider, asked, resume="of-old")) < 0.2
    assert provider.created == 0


async def test_each_call_that_resumes_nothing_creates_a_prediction() -> None:
    provider = Dummy()
    calls = [await run(provider, request(resumable=True)) for _ in range(3)]
    await run(provider, request())
    assert len({call[0] for call in calls}) == 3
    assert provider.created == 4


async def test_only_a_resumable_call_is_accepted() -> None:
    assert not any(isinstance(event, Accepted) for event in await run(Dummy(), request()))


@pytest.mark.parametrize("asked", [{"delay": 60}, {"error_rate": 1, "error": "hang"}])
async def test_cancelling_a_reference_ends_the_call_that_waits(asked: dict[str, Any]) -> None:
    provider = Dummy()
    ref, call = await accept(provider, request(resumable=True, **asked))
    await asyncio.wait({call}, timeout=MOMENT / 5)
    await provider.cancel(ref)
    async with asyncio.timeout(5):
        with pytest.raises(errors.Permanent, match="cancelled"):
            await call


async def test_a_cancelled_reference_cannot_be_resumed() -> None:
    provider, asked = Dummy(), request(resumable=True)
    ref, call = await accept(provider, asked)
    await call
    await provider.cancel(ref)
    with pytest.raises(errors.Permanent, match="cancelled"):
        await run(provider, asked, resume=ref)


async def test_cancelling_an_unknown_reference_does_nothing() -> None:
    provider = Dummy()
    await provider.cancel("of-old")
    assert await run(provider, request())


# The parameters


@pytest.fixture
def valid() -> Callable[[dict[str, Any]], bool]:
    return jsonschema_rs.Draft202012Validator(Dummy().schema("dummy")).is_valid


@pytest.mark.parametrize(
    "asked",
    [
        {"n": 0},
        {"n": 65},
        {"seed": -1},
        {"width": 0},
        {"height": 4097},
        {"width": 1.5},
        {"delay": -1},
        {"delay": 3601},
        {"steps": 1001},
        {"error": "earthquake"},
        {"error_rate": 1.01},
        {"fail_first": -1},
        {"retry_after": -1},
        {"resumable": "yes"},
        {"sleep": 1},
    ],
)
def test_what_is_out_of_range_is_refused(asked: dict[str, Any], valid: Callable[..., bool]) -> None:
    assert not valid(asked)


def test_the_ends_of_the_ranges_are_allowed(valid: Callable[..., bool]) -> None:
    assert valid({})
    assert valid({"n": 64, "seed": 0, "width": 1, "height": 4096, "delay": 3600, "steps": 1000})
    assert valid({"error_rate": 1, "fail_first": 0, "retry_after": 0, "resumable": True, "error": "bomb"})


def told(journal: Path) -> list[str]:
    return [json.loads(line)["what"] for line in journal.read_text().splitlines()]


async def test_its_journal_has_a_line_for_each_thing_it_did(tmp_path: Path):
    provider = Dummy(journal=tmp_path / "journal")
    began, asked = time.time(), request(n=2, steps=1, resumable=True)
    await run(provider, asked)
    assert told(tmp_path / "journal") == [
        "started", "accepted", "progress", "produced", "produced", "finished", "ended",
    ]  # fmt: skip
    lines = [json.loads(line) for line in (tmp_path / "journal").read_text().splitlines()]
    assert {(line["media_id"], line["job_id"], line["pid"]) for line in lines} == {
        (str(asked.media_id), str(asked.job_id), os.getpid())
    }
    assert began <= lines[0]["at"] <= lines[-1]["at"] <= time.time()
    await provider.aclose()


async def test_its_journal_says_when_a_call_was_broken_off(tmp_path: Path):
    provider = Dummy(journal=tmp_path / "journal")
    ref, rest = await accept(provider, request(resumable=True, delay=3600))
    await asyncio.sleep(0)  # let it begin to wait
    rest.cancel()
    await asyncio.wait([rest])
    await provider.cancel(ref)
    assert told(tmp_path / "journal") == ["started", "accepted", "ended", "cancelled"]
    await provider.aclose()


def test_a_journal_that_cannot_be_written_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="journal"):
        Dummy(journal=tmp_path)
