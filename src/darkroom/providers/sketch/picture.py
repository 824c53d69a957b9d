"""One picture: composed once for its frame, then painted in strips small enough to stay in a core's cache."""

import io
import threading
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from darkroom.providers.sketch.chance import Chance
from darkroom.providers.sketch.families import FAMILIES
from darkroom.providers.sketch.field import Frame
from darkroom.providers.sketch.paint import develop
from darkroom.providers.sketch.reading import read
from darkroom.providers.sketch.scene import Scene
from darkroom.providers.sketch.start import Start

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_STRIP_PIXELS = 1 << 16
# Rows of film grain, which then repeat.
_GRAIN = 256


class Picture:
    """A picture in the making: call `paint` `strips` times, in any order, then `png` or `pixels`."""

    def __init__(
        self,
        prompt: str,
        model: str,
        seed: int,
        width: int,
        height: int,
        style: str = "auto",
        start: Start | None = None,
    ) -> None:
        """`style`: a name of `FAMILIES`, or "auto" for the one that the words suggest. `start`: of the same size."""
        chance = Chance(prompt, model, str(seed))
        reading = read(prompt, chance)
        family = reading.family if style == "auto" else style
        self.frame = Frame(width, height)
        self.pixels: NDArray[np.uint8] = np.zeros((height, width, 3), np.uint8)
        self._grain = chance.of("grain").array(_GRAIN, width) * np.float32(2.2)
        scene = Scene(self.frame, reading.palette, reading.setting, reading.traits, chance.of(family))
        self._shade = FAMILIES[family](scene)
        self._start = start
        self._stopped = threading.Event()
        self._rows = max(1, min(height, _STRIP_PIXELS // width))

    @property
    def strips(self) -> int:
        """How many strips there are."""
        return -(-self.frame.height // self._rows)

    def paint(self, strip: int) -> None:
        """Paint one strip, counted from the top."""
        start = strip * self._rows
        stop = min(start + self._rows, self.frame.height)
        canvas = self._shade(self.frame.rows(start, stop))
        drawn = develop(canvas, self._grain[np.arange(start, stop) % _GRAIN])
        self.pixels[start:stop] = drawn if self._start is None else self._start.under(drawn, start)

    def png(self) -> bytes:
        """The picture as PNG, packed lightly, because packing takes the time. Raises Stopped after `stop`."""
        packed = _Sink(self._stopped)
        Image.fromarray(self.pixels).save(packed, "PNG", compress_level=1)
        return packed.getvalue()

    def stop(self) -> None:
        """End a `png` that runs in another thread, within milliseconds."""
        self._stopped.set()


class Stopped(Exception):
    """Nobody waits for this picture any more."""


class _Sink(io.BytesIO):
    """Memory to encode into. Pillow writes to it block by block, so refusing a block ends the encoding."""

    def __init__(self, stopped: threading.Event) -> None:
        super().__init__()
        self._stopped = stopped

    def write(self, block: "ReadableBuffer", /) -> int:
        if self._stopped.is_set():
            raise Stopped
        return super().write(block)
