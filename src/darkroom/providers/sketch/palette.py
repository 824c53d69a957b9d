"""Palettes in OKLab, where mixing keeps colours clean, and ramps of them in linear light."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from darkroom.providers.sketch.field import Plane
from darkroom.providers.sketch.paint import Colour, Planes

Lab = tuple[float, float, float]
_RAMP_STEPS = 1024


def _cube_root(value: float) -> float:
    """By Newton's method: `pow` differs between machines in its last bit."""
    root = 1.0 if value > 0 else 0.0
    for _ in range(40):
        root = root - (root * root * root - value) / (3 * root * root) if root else 0.0
    return root


def lab(code: str) -> Lab:
    """The OKLab coordinates of an sRGB colour written as six hex digits."""
    channels = (int(code[i : i + 2], 16) / 255 for i in (0, 2, 4))
    r, g, b = (c * (c * (c * 0.305306011 + 0.682171111) + 0.012522878) for c in channels)
    long = _cube_root(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b)
    middle = _cube_root(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b)
    short = _cube_root(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b)
    return (
        0.2104542553 * long + 0.7936177850 * middle - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * middle + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * middle - 0.8086757660 * short,
    )


def mix(one: Lab, other: Lab, share: float) -> Lab:
    """`share` of `other` in `one`."""
    return (
        one[0] + (other[0] - one[0]) * share,
        one[1] + (other[1] - one[1]) * share,
        one[2] + (other[2] - one[2]) * share,
    )


def _linear(labs: NDArray[np.float64]) -> NDArray[np.float64]:
    """OKLab (3, …) to linear light (3, …), nothing below zero."""
    light, a, b = labs
    long = light + 0.3963377774 * a + 0.2158037573 * b
    middle = light - 0.1055613458 * a - 0.0638541728 * b
    short = light - 0.0894841775 * a - 1.2914855480 * b
    long, middle, short = long * long * long, middle * middle * middle, short * short * short
    rgb = (
        4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
    )
    result: NDArray[np.float64] = np.maximum(np.stack(rgb), 0.0)
    return result


def colour(value: Lab) -> Colour:
    """The colour in linear light."""
    r, g, b = _linear(np.asarray(value, np.float64))
    return float(r), float(g), float(b)


class Ramp:
    """Colours from 0 to 1, evenly spaced between stops."""

    def __init__(self, stops: Sequence[Lab]) -> None:
        place = np.arange(_RAMP_STEPS, dtype=np.float64) / (_RAMP_STEPS - 1) * (len(stops) - 1)
        cell = np.minimum(place.astype(np.int64), len(stops) - 2)
        t = place - cell
        table = np.asarray(stops, np.float64).T
        self._table = _linear(table[:, cell] + (table[:, cell + 1] - table[:, cell]) * t).astype(np.float32)

    def at(self, place: Plane) -> Planes:
        """The colours at `place` (0..1, clamped), as (3, rows, columns)."""
        index = (np.clip(place, 0, 1) * np.float32(_RAMP_STEPS - 1)).astype(np.intp)
        result = np.empty((3, *place.shape), np.float32)
        for channel, plane in zip(self._table, result, strict=True):
            channel.take(index, mode="clip", out=plane)
        return result

    def one(self, place: float) -> Colour:
        """The colour at one place."""
        r, g, b = self._table[:, int(min(max(place, 0.0), 1.0) * (_RAMP_STEPS - 1))]
        return float(r), float(g), float(b)


@dataclass(frozen=True)
class Palette:
    """Six colours with a part to play, from dark to light, and one that answers them."""

    deep: Lab
    shade: Lab
    body: Lab
    glow: Lab
    light: Lab
    accent: Lab

    @classmethod
    def parse(cls, codes: str) -> "Palette":
        """From six hex colours in the order of the fields."""
        return cls(*(lab(code) for code in codes.split()))

    def ramp(self, *names: str) -> Ramp:
        """A ramp through the colours of these parts."""
        return Ramp([self[name] for name in names])

    def __getitem__(self, name: str) -> Lab:
        value: Lab = getattr(self, name)
        return value

    def colour(self, name: str) -> Colour:
        """One part's colour in linear light."""
        return colour(self[name])

    def tinted(self, first: Lab, second: Lab | None = None) -> "Palette":
        """The palette in the hue of `first`, the light least; `second` takes the lights and the accent."""
        shares = {"deep": 1.0, "shade": 1.0, "body": 1.0, "glow": 0.65, "light": 0.35}
        late = {"glow": second or first, "light": second or first}
        tints = {name: mix(self[name], _toned(self[name], late.get(name, first)), s) for name, s in shares.items()}
        toned = replace(self, **tints)
        return replace(toned, accent=second) if second else toned

    def mixed(self, other: "Palette", share: float) -> "Palette":
        """`share` of another palette in this one."""
        parts = (part.name for part in fields(self))
        return Palette(*(mix(self[name], other[name], share) for name in parts))


def _toned(base: Lab, tint: Lab) -> Lab:
    """The tint, moved to about the base's lightness; less colourful the further it has to go."""
    lightness = base[0] + (tint[0] - base[0]) * 0.3
    reach = lightness / tint[0] if lightness < tint[0] else (1.04 - lightness) / (1.04 - tint[0])
    return (lightness, tint[1] * reach + base[1] * 0.1, tint[2] * reach + base[2] * 0.1)
