import asyncio
import hashlib
import io
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import anyio
import jsonschema_rs
import numpy as np
import pytest
from PIL import Image

from darkroom.errors import InvalidRequest
from darkroom.media.model import Request
from darkroom.providers.base import Event, Finished, Preview, Produced, Progress
from darkroom.providers.sketch import Sketch
from darkroom.providers.sketch.families import FAMILIES
from darkroom.providers.sketch.paint import encode_light, turn, wave
from darkroom.providers.sketch.picture import Picture, Stopped
from darkroom.providers.sketch.vocabulary import COLOURS, MOOD_PALETTES, PALETTES, SUBJECT_PALETTES
from darkroom.providers.sketch.vocabulary import FAMILIES as FAMILY_WORDS

pytestmark = pytest.mark.anyio


def request(prompt: str = "a lighthouse at dusk", model: str = "sketch", **parameters: Any) -> Request:
    return Request(uuid4(), uuid4(), prompt, model, {"width": 96, "height": 64, **parameters})


async def events(sketch: Sketch, asked: Request) -> list[Event]:
    return [event async for event in sketch.generate(asked, resume=None)]


async def produced(asked: Request) -> list[Produced]:
    return [event for event in await events(Sketch(), asked) if isinstance(event, Produced)]


def pixels(prompt: str, seed: int = 1, width: int = 96, height: int = 96, style: str = "auto") -> np.ndarray:
    picture = Picture(prompt, "sketch", seed, width, height, style)
    for strip in range(picture.strips):
        picture.paint(strip)
    return picture.pixels


def decoded(event: Produced) -> Image.Image:
    image = Image.open(io.BytesIO(event.content))
    image.load()
    return image


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


PINNED = {
    "horizon": "0d616ca6d65df952",
    "ridges": "4af3752258216eaa",
    "forest": "07bf757446b09120",
    "city": "361fad8d251ace3b",
    "bloom": "0789274ac01bcca2",
    "cosmos": "7beef656f2ba480a",
    "figure": "64a6a4ec47d299bb",
    "paper": "6d4afcf386eb4d01",
    "silk": "94594b75ae844f30",
    "strips": "2cac14392c6c6bcc",
}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_request_gives_the_same_pixels_on_every_machine(family: str) -> None:
    prompt = "a lighthouse, a boat and a robot fox in snow under stars"
    drawn = pixels(prompt, 7, 72, 48, family)

    assert hashlib.sha256(drawn.tobytes()).hexdigest()[:16] == PINNED[family]


def test_a_long_picture_painted_in_many_strips_is_pinned_too() -> None:
    drawn = pixels("crimson waves", 4_294_967_295, 2048, 96)

    assert hashlib.sha256(drawn.tobytes()).hexdigest()[:16] == PINNED["strips"]


async def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not() -> None:
    (one,), (same,), (other,) = [await produced(request(seed=seed)) for seed in (5, 5, 6)]

    assert one.content == same.content
    assert one.content != other.content


@pytest.mark.parametrize("family", FAMILIES)
def test_seeds_change_the_composition(family: str) -> None:
    assert difference(pixels("something", 1, style=family), pixels("something", 2, style=family)) > 8


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a lighthouse at dusk", "autumn forest"),
        ("calm teal sea", "neon city at night"),
        ("golden desert storm", "winter mountains"),
        ("spring flowers pastel", "portrait of a robot"),
        ("lorem ipsum", "dolor sit amet"),
        ("глубокая синева", "深い森の朝"),
    ],
)
def test_different_words_give_visibly_different_pictures(one: str, other: str) -> None:
    assert difference(pixels(one), pixels(other)) > 20


@pytest.mark.parametrize("subject", ["sea", "mountains", "forest", "city", "flowers", "galaxy", "fox", "map", "silk"])
@pytest.mark.parametrize(
    ("word", "hue"),
    [("red", 0), ("orange", 30), ("yellow", 55), ("green", 125), ("teal", 178), ("blue", 215), ("violet", 262)],
)
def test_a_colour_word_steers_the_hue(subject: str, word: str, hue: int) -> None:
    assert abs((mean_hue(pixels(f"{word} {subject}")) - hue + 180) % 360 - 180) < 40


def mean_hue(drawn: np.ndarray) -> float:
    """In degrees, weighted by how colourful each pixel is."""
    red, green, blue = (drawn[..., channel].astype(float).mean() for channel in range(3))
    return float(np.degrees(np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue)) % 360)


def test_night_is_darker_than_day_and_neon_more_colourful_than_fog() -> None:
    assert pixels("lake at night").mean() < pixels("lake at noon").mean() - 40
    assert colourfulness(pixels("neon city")) > 2 * colourfulness(pixels("city in the fog"))


def colourfulness(drawn: np.ndarray) -> float:
    return float((drawn.max(axis=2).astype(int) - drawn.min(axis=2)).mean())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_picture_is_no_flat_area_and_no_noise(family: str) -> None:
    drawn = pixels("a quiet thought", 3, 256, 256, family).astype(int)

    assert drawn.std() > 18
    assert np.median(np.abs(np.diff(drawn, axis=1))) < 6


@pytest.mark.parametrize("family", FAMILIES)
def test_a_small_picture_shows_what_the_large_one_shows(family: str) -> None:
    large = Image.fromarray(pixels("a quiet thought", 3, 384, 384, family)).resize((96, 96), Image.Resampling.BOX)

    assert difference(np.asarray(large), pixels("a quiet thought", 3, 96, 96, family)) < 6


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [(16, 16), (4096, 16), (16, 4096), (301, 17)])
def test_every_size_is_respected(size: tuple[int, int], family: str) -> None:
    drawn = pixels("a boat, a lighthouse, snow and stars at night", 2, *size, family)

    assert drawn.shape == (size[1], size[0], 3)
    assert drawn.std() > 1


async def test_n_pictures_are_drawn_from_seeds_in_a_row() -> None:
    several = await produced(request(seed=2**32 - 1, n=3))
    (last,) = await produced(request(seed=1))

    assert [(picture.index, picture.seed) for picture in several] == [(0, 2**32 - 1), (1, 0), (2, 1)]
    assert several[2].content == last.content
    assert all(decoded(picture).size == (96, 64) for picture in several)


async def test_a_seed_that_was_drawn_is_reported_and_draws_the_picture_again() -> None:
    (one,) = await produced(request())
    (again,) = await produced(request(seed=one.seed))
    (other,) = await produced(request())

    assert one.content == again.content
    assert one.seed != other.seed


async def test_progress_grows_to_its_total_and_finished_is_last() -> None:
    heard = await events(Sketch(), request(width=1024, height=512, n=2, seed=1))
    steps = [event for event in heard if isinstance(event, Progress)]

    assert [step.step for step in steps] == sorted({step.step for step in steps})
    assert {step.total for step in steps} == {steps[-1].step}
    assert len(steps) >= 8
    assert isinstance(heard[-1], Finished)
    assert sum(isinstance(event, Produced) for event in heard) == 2


async def test_the_preview_is_the_picture_in_small() -> None:
    heard = await events(Sketch(), request(width=2048, height=1024, seed=1))
    preview = next(event for event in heard if isinstance(event, Preview))
    picture = next(event for event in heard if isinstance(event, Produced))
    small = Image.open(io.BytesIO(preview.image))

    assert small.size == (256, 128)
    assert difference(np.asarray(decoded(picture).resize(small.size, Image.Resampling.BOX)), np.asarray(small)) < 8


async def test_a_cancelled_picture_stops_promptly_and_gives_its_turn_back() -> None:
    sketch, started = Sketch(threads=1), anyio.Event()

    async def draw() -> None:
        async for _ in sketch.generate(request(width=4096, height=4096, seed=1), resume=None):
            started.set()

    task = asyncio.create_task(draw())
    await started.wait()
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 1
    with anyio.fail_after(20):
        assert len(await events(sketch, request(seed=1))) >= 3


def test_an_encoding_that_nobody_waits_for_ends() -> None:
    picture = Picture("fog", "sketch", 1, 64, 64)
    picture.stop()

    with pytest.raises(Stopped):
        picture.png()


@pytest.mark.parametrize("threads", [1, 2])
async def test_no_more_pictures_than_threads_are_drawn_at_once(threads: int) -> None:
    sketch, drawing, at_once = Sketch(threads=threads), set[int](), list[int]()

    async def draw(number: int) -> None:
        async for event in sketch.generate(request(width=512, height=512), resume=None):
            if isinstance(event, Produced):
                drawing.discard(number)
            elif isinstance(event, Progress):
                drawing.add(number)
            at_once.append(len(drawing))

    async with anyio.create_task_group() as group:
        for number in range(4):
            group.start_soon(draw, number)

    assert max(at_once) == threads


def test_the_schema_is_valid_and_its_defaults_hold() -> None:
    schema = Sketch().schema("sketch")
    defaults = {name: rule["default"] for name, rule in schema["properties"].items() if "default" in rule}

    jsonschema_rs.meta.validate(schema)
    assert jsonschema_rs.validator_for(schema).is_valid(defaults)
    assert all(rule["description"] for rule in schema["properties"].values())
    assert defaults == {"width": 1024, "height": 1024, "n": 1, "style": "auto"}


@pytest.mark.parametrize(
    "parameters",
    [
        {"width": 15},
        {"height": 4097},
        {"width": 1.5},
        {"n": 0},
        {"n": 9},
        {"seed": -1},
        {"seed": 2**32},
        {"style": "x"},
        {"a": 1},
    ],
)
def test_the_schema_refuses_what_cannot_be_drawn(parameters: Mapping[str, Any]) -> None:
    assert not jsonschema_rs.validator_for(Sketch().schema("sketch")).is_valid(parameters)


async def test_only_the_model_sketch_is_known() -> None:
    sketch = Sketch()
    with pytest.raises(InvalidRequest, match="flux"):
        sketch.schema("flux")
    with pytest.raises(InvalidRequest, match="flux"):
        sketch.describe("flux")
    with pytest.raises(InvalidRequest, match="flux"):
        await events(sketch, request(model="flux"))


async def test_it_says_what_it_is_and_can() -> None:
    sketch = Sketch()
    can = sketch.capabilities

    assert "no diffusion model" in sketch.describe("sketch")
    assert (can.reports_progress, can.cancels, can.resumes, can.max_n) == (True, True, False, 8)
    await sketch.cancel("anything")
    await sketch.aclose()


def test_the_vocabulary_names_only_what_exists() -> None:
    assert set(FAMILY_WORDS) == set(FAMILIES)
    assert set(MOOD_PALETTES) | set(SUBJECT_PALETTES) <= set(PALETTES)
    assert all(len(codes.split()) == 6 for codes in PALETTES.values())
    assert all(len(bytes.fromhex(code)) == 3 for code in COLOURS.values())


@pytest.mark.parametrize("prompt", ["", "   ", "!?", "\ud800 lone", "🦊🌊", "word " * 4000])
def test_any_text_makes_a_picture(prompt: str) -> None:
    assert pixels(prompt, 1, 32, 32).std() > 1


def test_the_polynomials_stay_close_to_what_they_stand_for() -> None:
    x, y = np.random.default_rng(1).normal(size=(2, 500)).astype(np.float32)
    turns, light = np.linspace(0, 3, 500, dtype=np.float32), np.linspace(0, 1, 500)
    srgb = np.where(light < 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)

    assert np.abs((turn(x, y) - np.arctan2(y, x) / (2 * np.pi) + 0.5) % 1 - 0.5).max() < 1e-3
    assert np.abs(wave(turns) + np.cos(turns * 2 * np.pi)).max() < 0.05
    assert np.abs(encode_light(light) - srgb).max() < 0.004
