"""The provider: requests in, events out, and the drawing in threads."""

import os
import secrets
from collections.abc import AsyncIterator
from typing import Any

import anyio
from anyio import to_thread

from darkroom.errors import InvalidRequest
from darkroom.media.model import Request
from darkroom.providers.base import (
    NO_OPTIONS,
    Capabilities,
    Event,
    Finished,
    Options,
    Preview,
    Produced,
    Progress,
    Provider,
)
from darkroom.providers.parameters import VOCABULARY
from darkroom.providers.sketch.families import FAMILIES
from darkroom.providers.sketch.picture import Picture
from darkroom.providers.sketch.start import STRENGTH, start_from

MODEL = "sketch"
_SEEDS = 1 << 32
_MAX_N = 8
# Smaller pictures are done before anyone would have looked at a preview.
_PREVIEW_FROM_PIXELS = 2_000_000
_PREVIEW_SIDE = 256
_REPORTS = 16

_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "width": {
            "description": "Width in pixels.",
            "type": "integer",
            "minimum": 16,
            "maximum": 4096,
            "default": 1024,
        },
        "height": {
            "description": "Height in pixels.",
            "type": "integer",
            "minimum": 16,
            "maximum": 4096,
            "default": 1024,
        },
        "n": {
            "description": "How many pictures; picture i is drawn from seed + i.",
            "type": "integer",
            "minimum": 1,
            "maximum": _MAX_N,
            "default": 1,
        },
        "seed": {
            "description": "The same prompt, size and seed give the same pixels. Drawn at random if left out.",
            "type": "integer",
            "minimum": 0,
            "maximum": _SEEDS - 1,
        },
        "style": {
            "description": "The composition; auto takes the one that the words suggest.",
            "type": "string",
            "enum": ["auto", *FAMILIES],
            "default": "auto",
        },
        "image": {
            **VOCABULARY["image"],
            "description": "The picture to start from, scaled to fill the size and cut at the edges.",
        },
        "strength": {
            **VOCABULARY["strength"],
            "description": f"How far to go from `image`: 0 keeps it, 1 forgets it. Left out: {STRENGTH}.",
        },
    },
}


class Sketch(Provider):
    """Darkroom's built-in model: a picture drawn from words and a seed, without a network or a GPU.

    `threads`: how many pictures are drawn at once (default: one a CPU); further ones wait their turn.
    Give it to one event loop only.
    """

    capabilities = Capabilities(cancels=True, reports_progress=True, max_n=_MAX_N)

    def __init__(self, threads: int | None = None) -> None:
        self._turns = anyio.Semaphore(threads or os.cpu_count() or 1)

    def describe(self, model: str) -> str:
        """One line for a person. Raises InvalidRequest for any model but "sketch"."""
        _check(model)
        return "Built in: an abstract picture drawn from the words and the seed; no diffusion model."

    def schema(self, model: str, options: Options = NO_OPTIONS) -> dict[str, Any]:
        """The parameters' JSON Schema. Raises InvalidRequest for any model but "sketch"."""
        _check(model)
        return {**_SCHEMA, "properties": {name: dict(rule) for name, rule in _SCHEMA["properties"].items()}}

    async def generate(self, request: Request, *, resume: str | None = None) -> AsyncIterator[Event]:
        """Draw `request.n` pictures, over `image` if there is one.

        For each there is progress and the picture as PNG, and before it a preview if it is large.

        Cancelled, it leaves at most the strip (1/16 megapixel) that a thread is drawing: some milliseconds.
        Raises InvalidRequest for any model but "sketch".
        """
        _check(request.model)
        first = request.parameters.get("seed")
        seed = secrets.randbelow(_SEEDS) if first is None else int(first)
        for index in range(request.n):
            async with self._turns:
                async for event in _draw(request, index, (seed + index) % _SEEDS):
                    yield event
        yield Finished()


def _check(model: str) -> None:
    if model != MODEL:
        raise InvalidRequest(f"Provider sketch has no model {model!r}; it has {MODEL!r}.", field="model")


async def _draw(request: Request, index: int, seed: int) -> AsyncIterator[Event]:
    """One picture, a thread's visit a strip: between two strips it can be cancelled."""
    size = int(request.parameters.get("width", 1024)), int(request.parameters.get("height", 1024))
    if size[0] * size[1] >= _PREVIEW_FROM_PIXELS:
        yield Preview(await to_thread.run_sync(_preview, request, seed, size))
    picture = await to_thread.run_sync(_picture, request, seed, size)
    before, total = index * picture.strips, request.n * picture.strips
    every = -(-picture.strips // _REPORTS)
    for done in range(1, picture.strips):
        await to_thread.run_sync(picture.paint, done - 1)
        if done % every == 0:
            yield Progress(before + done, total)
    content = await _finished(picture)
    yield Progress(before + picture.strips, total)
    yield Produced(index, content, seed)


async def _finished(picture: Picture) -> bytes:
    """The last strip, and the encoding: for large pictures too long to wait for when cancelled."""
    await to_thread.run_sync(picture.paint, picture.strips - 1)
    try:
        return await to_thread.run_sync(picture.png, abandon_on_cancel=True)
    finally:
        picture.stop()


def _picture(request: Request, seed: int, size: tuple[int, int]) -> Picture:
    style, image = str(request.parameters.get("style", "auto")), request.parameters.get("image")
    start = start_from(image, size, float(request.parameters.get("strength", STRENGTH))) if image else None
    return Picture(request.prompt, request.model, seed, *size, style, start)


def _preview(request: Request, seed: int, size: tuple[int, int]) -> bytes:
    """The same picture, small: a composition does not depend on its resolution."""
    scale = _PREVIEW_SIDE / max(size)
    small = _picture(request, seed, (max(1, int(size[0] * scale)), max(1, int(size[1] * scale))))
    for strip in range(small.strips):
        small.paint(strip)
    return small.png()
