"""Mixing colours and light: pictures in the making are planes of linear light, (3, rows, columns)."""

import numpy as np
from numpy.typing import NDArray

from darkroom.providers.sketch.field import Plane

Colour = tuple[float, float, float]
Planes = NDArray[np.float32]

# The tone table is indexed by the square root of the light: fine steps in the shadows.
_STEPS = 4096
_BRIGHTEST = 4.0


def smooth(low: float, high: float, value: Plane) -> Plane:
    """0 up to `low`, 1 from `high` on, and smoothly between (`low` may be the greater)."""
    t: Plane = np.clip((value - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)
    return t * t * (3 - 2 * t)


def edge(inside: Plane, pixel: float) -> Plane:
    """Coverage 0..1 of a shape, from the distance to its edge (positive inside): one pixel soft."""
    cover: Plane = np.clip(inside * np.float32(1 / pixel) + np.float32(0.5), 0, 1)
    return cover


def falloff(distance: Plane, radius: float) -> Plane:
    """Light around a source: 1 in it, a quarter at `radius`, slowly nothing."""
    t = distance * np.float32(1 / radius)
    near: Plane = np.float32(1) / (t * t + np.float32(1))
    return near * near


def wave(turns: Plane) -> Plane:
    """A smooth wave -1..1, one period a turn, without a sine."""
    t: Plane = 1 - 4 * np.abs(turns - np.floor(turns) - np.float32(0.5))
    return t * (np.float32(1.5) - np.float32(0.5) * t * t)


def turn(dx: Plane, dy: Plane) -> Plane:
    """The direction of (dx, dy) in turns, 0..1, without an arc tangent (good to 0.0001)."""
    ax, ay = np.abs(dx), np.abs(dy)
    a = np.minimum(ax, ay) / np.maximum(np.maximum(ax, ay), np.float32(1e-9))
    s = a * a
    r = ((np.float32(-0.0464964749) * s + np.float32(0.15931422)) * s - np.float32(0.327622764)) * s * a + a
    r *= np.float32(0.15915494)
    r = np.where(ay > ax, np.float32(0.25) - r, r)
    r = np.where(dx < 0, np.float32(0.5) - r, r)
    return np.where(dy < 0, 1 - r, r)


def flat(colour: Colour, shape: tuple[int, int]) -> Planes:
    """One colour everywhere."""
    return np.repeat(np.asarray(colour, np.float32), shape[0] * shape[1]).reshape(3, *shape)


def over(canvas: Planes, colour: Colour, cover: Plane) -> None:
    """Lay one colour over the canvas, as densely as `cover` (0..1) says."""
    for plane, value in zip(canvas, colour, strict=True):
        plane += (np.float32(value) - plane) * cover


def blend(canvas: Planes, layer: Planes, cover: Plane) -> None:
    """Lay a layer over the canvas, as densely as `cover` (0..1) says."""
    for plane, value in zip(canvas, layer, strict=True):
        plane += (value - plane) * cover


def light(canvas: Planes, colour: Colour, amount: Plane) -> None:
    """Add light of one colour."""
    for plane, value in zip(canvas, colour, strict=True):
        plane += np.float32(value) * amount


def encode_light(light_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear light to sRGB, both 0..1, by square roots alone (good to a quarter of an 8-bit step)."""
    root = np.sqrt(light_values)
    fourth = np.sqrt(root)
    eighth = np.sqrt(fourth)
    bright = 0.585122381 * root + 0.783140355 * fourth - 0.368262736 * eighth
    return np.where(light_values < 0.0031308, light_values * 12.92, bright)


def _tone_table() -> Plane:
    root = np.arange(_STEPS, dtype=np.float64) / (_STEPS - 1)
    value = root * root * _BRIGHTEST
    knee = 0.72
    above = np.maximum(value - knee, 0.0)
    rolled = np.minimum(value, knee) + above * (1 - knee) / (above + (1 - knee))
    return (encode_light(rolled) * 255).astype(np.float32)


_TONES = _tone_table()


def develop(canvas: Planes, grain: Plane) -> NDArray[np.uint8]:
    """The canvas as sRGB bytes, (rows, columns, 3); highlights roll off; `grain` is in 8-bit steps."""
    result = np.empty((*canvas.shape[1:], 3), np.uint8)
    factor = np.float32((_STEPS - 1) / np.sqrt(_BRIGHTEST))
    dither = grain + np.float32(0.5)
    for channel, plane in enumerate(canvas):
        root = np.sqrt(np.clip(plane, 0, np.float32(_BRIGHTEST))) * factor
        tone = _TONES.take(root.astype(np.intp), mode="clip")
        tone += dither
        np.clip(tone, 0, 255, out=tone)
        result[..., channel] = tone
    return result
