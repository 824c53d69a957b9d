"""One picture: composed once for its frame, then painted in strips small enough to stay in a core's cache."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from darkroom.providers.sketch.chance import Chance
from darkroom.providers.sketch.families import FAMILIES
from darkroom.providers.sketch.field import Frame
from darkroom.providers.sketch.paint import develop
from darkroom.providers.sketch.reading import read
from darkroom.providers.sketch.scene import Scene

_STRIP_PIXELS = 1 << 16
# Rows of film grain, which then repeat.
_GRAIN = 256


class Picture:
    """A picture in the making: call `paint` `strips` times, in any order, then `png` or `pixels`."""

    def __init__(self, prompt: str, model: str, seed: int, width: int, height: int, style: str = "auto") -> None:
        """`style`: a name of `FAMILIES`, or "auto" for the one that the words suggest."""
        chance = Chance(prompt, model, str(seed))
        reading = read(prompt, chance)
        family = reading.family if style == "auto" else style
        self.frame = Frame(width, height)
        self.pixels: NDArray[np.uint8] = np.zeros((height, width, 3), np.uint8)
        self._grain = chance.of("grain").array(_GRAIN, width) * np.float32(2.2)
        self._shade = FAMILIES[family](Scene(self.frame, reading.palette, reading.traits, chance.of(family)))
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
        self.pixels[start:stop] = develop(canvas, self._grain[np.arange(start, stop) % _GRAIN])

    def png(self) -> bytes:
        """The picture as PNG; packed lightly, because packing is most of the time it would take."""
        packed = io.BytesIO()
        Image.fromarray(self.pixels).save(packed, "PNG", compress_level=1)
        return packed.getvalue()
