"""The picture work on one core: drawing a sketch of 1024 x 1024, and developing one (all that a job does to it).

The partners are the bare parts: NumPy's noise and Pillow's encoder for the sketch; Pillow's decoder, resizing and
WebP encoder, and a hash, for developing.
"""

import asyncio
import hashlib
import io
import os
import time
from collections.abc import Callable
from uuid import uuid4

import numpy as np
from PIL import Image

from benchmarks import report
from benchmarks.report import Line
from darkroom.imaging import Description, Developer
from darkroom.media.model import Request
from darkroom.providers.base import Produced
from darkroom.providers.sketch import Sketch

SIDE = 1024
THUMBNAIL = 384
PROMPTS = ["a lighthouse at dusk", "a quiet forest in the rain", "neon city at night", "an old oak, golden autumn"]
COLUMNS = ("", "ms a picture", "bare ms", "of bare")


class Bench:
    """Everything in one thread."""

    def __init__(self, side: int, pictures: int) -> None:
        self.side = side
        self._pictures = pictures
        self._sketch = Sketch(threads=1)
        self._developer = Developer(threads=1)
        self.content = asyncio.run(self._drawn(0))

    def sketch(self) -> float:
        """Milliseconds to draw a picture, previews and PNG included."""

        async def draw() -> None:
            for n in range(self._pictures):
                await self._drawn(n)

        return self._timed(lambda: asyncio.run(draw()))

    async def _drawn(self, n: int) -> bytes:
        parameters = {"width": self.side, "height": self.side, "seed": n}
        request = Request(uuid4(), uuid4(), PROMPTS[n % len(PROMPTS)], "sketch", parameters)
        made = [event async for event in self._sketch.generate(request, resume=None) if isinstance(event, Produced)]
        return made[0].content

    def noise(self) -> float:
        """Milliseconds to make smoothed noise and encode it as PNG at the same level."""
        rng = np.random.default_rng(7)

        def make() -> None:
            coarse = rng.integers(0, 256, (self.side // 4, self.side // 4, 3), np.uint8)
            smooth = Image.fromarray(coarse).resize((self.side, self.side), Image.Resampling.BICUBIC)
            grain = rng.standard_normal((self.side, self.side, 1), np.float32) * 2
            pixels = np.clip(np.asarray(smooth, np.float32) + grain, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(io.BytesIO(), "PNG", compress_level=1)

        return self._each(make)

    def develop(self) -> float:
        """Milliseconds to check, describe and shrink the sketch."""
        description = Description(PROMPTS[0], "sketch", 7, {"width": self.side})

        async def develop() -> None:
            for _ in range(self._pictures):
                await self._developer.develop(self.content, output_format=None, description=description)

        return self._timed(lambda: asyncio.run(develop()))

    def parts(self) -> float:
        """Milliseconds of Pillow alone, for a thumbnail like ours, and a hash."""

        def make() -> None:
            image = Image.open(io.BytesIO(self.content))
            image.load()
            small = image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS, reducing_gap=1.0)
            small.save(io.BytesIO(), "WEBP", quality=80, method=2)
            hashlib.sha256(self.content).hexdigest()

        return self._each(make)

    def close(self) -> None:
        """End the thread."""
        asyncio.run(self._developer.aclose())

    def _each(self, make: Callable[[], None]) -> float:
        def all_of_them() -> None:
            for _ in range(self._pictures):
                make()

        return self._timed(all_of_them)

    def _timed(self, work: Callable[[], None]) -> float:
        begin = time.perf_counter()
        work()
        return (time.perf_counter() - begin) * 1000 / self._pictures


def main() -> None:
    given = report.parsed(report.parser("pictures", __doc__))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with report.workplace():
        bench = Bench(256 if given.quick else SIDE, 4 if given.quick else 20)
        sketch, noise, develop, parts = report.in_turn(
            given.rounds, bench.sketch, bench.noise, bench.develop, bench.parts
        )
        bench.close()
        rows: list[Line] = [
            [name, report.middle(ours), report.middle(bare), f"{report.middle_ratio(ours, bare):.2f}"]
            for name, ours, bare in (("sketch, drawn and encoded", sketch, noise), ("developed", develop, parts))
        ]
        report.table(f"Pictures of {bench.side} x {bench.side}, one core", COLUMNS, rows)


if __name__ == "__main__":
    main()
