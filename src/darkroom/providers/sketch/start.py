"""A picture to start from: what a drawing is laid over."""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from darkroom.errors import Permanent
from darkroom.providers.parameters import picture_of

STRENGTH = 0.6
"""How far to go from it, if nobody says."""


@dataclass(frozen=True, slots=True)
class Start:
    """`pixels`: (height, width, 3) of sRGB bytes. `strength`: how much the drawing counts, 0..1."""

    pixels: NDArray[np.uint8]
    strength: float

    def under(self, drawn: NDArray[np.uint8], top: int) -> NDArray[np.uint8]:
        """Rows of a drawing from `top` on, laid over those of the picture."""
        below = self.pixels[top : top + len(drawn)].astype(np.float32)
        mixed = below + (drawn.astype(np.float32) - below) * np.float32(self.strength)
        return (mixed + np.float32(0.5)).astype(np.uint8)


def start_from(uri: str, size: tuple[int, int], strength: float = STRENGTH) -> Start:
    """The picture of a `data:` URI, scaled to fill `size` and cut at the edges, on white where it is transparent.

    Raises `Permanent` if it is no picture.
    """
    _, content = picture_of(uri)
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "WEBP")) as image:
            image.draft("RGB", size)
            filled = ImageOps.fit(image.convert("RGBA"), size, Image.Resampling.LANCZOS)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise Permanent("the picture to start from cannot be decoded") from error
    white = Image.new("RGBA", size, "white")
    return Start(np.asarray(Image.alpha_composite(white, filled).convert("RGB")), strength)
