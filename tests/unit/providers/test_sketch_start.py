"""A sketch that starts from a picture."""

import base64
import io
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from PIL import Image

from darkroom.errors import Permanent
from darkroom.media.model import Request
from darkroom.providers.base import Produced
from darkroom.providers.sketch import Sketch

pytestmark = pytest.mark.anyio


def start(width: int = 96, height: int = 64) -> Image.Image:
    """Four quarters of four colours."""
    quarters = Image.new("RGB", (2, 2))
    quarters.putdata([(220, 30, 30), (30, 200, 60), (40, 60, 220), (240, 220, 40)])
    return quarters.resize((width, height), Image.Resampling.NEAREST)


def uri(image: Image.Image) -> str:
    target = io.BytesIO()
    image.save(target, "PNG")
    return f"data:image/png;base64,{base64.b64encode(target.getvalue()).decode()}"


async def sketched(**parameters: Any) -> np.ndarray:
    asked = {"width": 96, "height": 64, "seed": 5, **parameters}
    request = Request(uuid4(), uuid4(), "a lighthouse at dusk", "sketch", asked)
    (produced,) = [event async for event in Sketch().generate(request) if isinstance(event, Produced)]
    return np.asarray(Image.open(io.BytesIO(produced.content)), int)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).mean())


async def test_strength_goes_from_the_picture_to_the_sketch() -> None:
    plain, image = await sketched(), uri(start())

    assert difference(await sketched(image=image, strength=0), np.asarray(start(), int)) == 0
    assert difference(await sketched(image=image, strength=1), plain) == 0
    steps = [await sketched(image=image, strength=strength) for strength in (0, 0.25, 0.5, 0.75, 1)]
    assert [difference(step, plain) for step in steps] == sorted([difference(step, plain) for step in steps])[::-1]


async def test_at_low_strength_the_picture_is_recognised_and_at_high_strength_the_sketch() -> None:
    plain, image, given = await sketched(), uri(start()), np.asarray(start(), int)
    low, high = await sketched(image=image, strength=0.2), await sketched(image=image, strength=0.8)

    assert difference(low, given) < difference(low, plain) / 3
    assert difference(high, plain) < difference(high, given) / 3


async def test_the_same_request_gives_the_same_pixels() -> None:
    image = uri(start())

    assert (await sketched(image=image) == await sketched(image=image)).all()
    assert difference(await sketched(image=image), await sketched(image=image, strength=0.6)) == 0


async def test_another_shape_is_cut_at_the_edges_and_not_squeezed() -> None:
    wide = Image.new("RGB", (300, 100), "white")
    wide.paste("black", (100, 0, 200, 100))
    got = await sketched(image=uri(wide), strength=0, width=64, height=64)

    assert got.mean() < 2


async def test_what_is_transparent_is_white() -> None:
    got = await sketched(image=uri(Image.new("RGBA", (8, 8), (0, 0, 0, 0))), strength=0)

    assert got.min() == 255


async def test_a_large_one_has_a_preview_that_starts_from_it_too() -> None:
    request = Request(
        uuid4(), uuid4(), "x", "sketch", {"width": 2048, "height": 1024, "image": uri(start()), "strength": 0}
    )
    events = [event async for event in Sketch().generate(request)]
    preview = Image.open(io.BytesIO(events[0].image))  # type: ignore[union-attr]

    assert np.asarray(preview.convert("RGB"))[10, 10] == pytest.approx((220, 30, 30), abs=6)


@pytest.mark.parametrize(
    "image", ["https://example.com/a.png", "data:image/png;base64,aaaa", "data:image/png;base64,?"]
)
async def test_what_is_no_picture_fails_for_good(image: str) -> None:
    with pytest.raises(Permanent):
        await sketched(image=image)
