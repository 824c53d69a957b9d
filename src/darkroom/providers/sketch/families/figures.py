"""Heads and shoulders put together from plain shapes before a disc, as posters of the 1920s did."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from darkroom.providers.sketch.field import Plane, View
from darkroom.providers.sketch.paint import Planes, blend, edge, falloff, light, over, smooth, wave
from darkroom.providers.sketch.palette import Palette, Ramp, colour, mix
from darkroom.providers.sketch.scene import Scene, Shader, distance, patch, vignette, within

Point = tuple[float, float]


def figure(scene: Scene) -> Shader:
    """A head and shoulders: a machine's, an animal's or a person's, as the words say."""
    chance, palette = scene.chance.of("figure"), scene.palette
    ground = _Ground(scene)
    sitter = _machine if scene.has("machine") else _creature if scene.has("ears") else _person
    size = 0.34 * min(1.0, scene.frame.right * 2 + 0.1)
    middle = chance.uniform(-0.04, 0.04)
    brush = scene.bristles("brush", (chance.uniform(-0.4, 0.4), 1.0), 0.7)
    paints = _Paints(palette)
    snow = _flakes(scene) if scene.has("snow") else None

    def shade(view: View) -> Planes:
        strokes = brush.at(view)
        canvas = ground.paint(view, strokes)
        near = View((view.x - np.float32(middle)) / np.float32(size), view.y / np.float32(size), view.pixel / size)
        sitter(_Shapes(canvas, near, strokes, paints), scene)
        if snow:
            snow(canvas, view)
        vignette(scene.frame, canvas, view)
        return canvas

    return shade


class _Ground:
    """A wall in two tones, a great disc, and rings that spread from it."""

    def __init__(self, scene: Scene) -> None:
        chance, palette = scene.chance.of("ground"), scene.setting
        self._wall = (
            palette.ramp("shade", "body", "glow", "light")
            if not scene.has("night")
            else palette.ramp("deep", "shade", "body")
        )
        if scene.has("snow"):
            self._wall = palette.ramp("body", "glow", "light", "light")
        self._x, self._y = chance.pick((-1, 1)) * chance.uniform(0.06, 0.16), chance.uniform(-0.16, -0.06)
        self._radius = chance.uniform(0.3, 0.37)
        self._disc = Ramp(
            [mix(palette["accent"], palette["glow"], 0.15), mix(palette["accent"], palette["light"], 0.45)]
        )
        self._ring = palette.colour("light")
        self._dark = palette.colour("deep")
        self._rings = chance.integer(2, 4)

    def paint(self, view: View, strokes: Plane) -> Planes:
        """The ground all over the view."""
        d = distance(view, self._x, self._y)
        canvas = self._wall.at(
            np.float32(0.62) - view.y * np.float32(0.55) + strokes * np.float32(0.1) - d * np.float32(0.25)
        )
        for k in range(1, self._rings + 1):
            ring = np.float32(0.0035) - np.abs(d - np.float32(self._radius + 0.05 * k * (1 + 0.15 * k)))
            over(canvas, self._ring, edge(ring, view.pixel) * np.float32(0.55 / k))
        over(canvas, self._dark, smooth(0.1, 0.0, d - np.float32(self._radius)) * np.float32(0.2))
        tone = np.float32(0.45) - (view.y - np.float32(self._y)) * np.float32(1.2) + strokes * np.float32(0.16)
        blend(canvas, self._disc.at(tone), edge(np.float32(self._radius) - d, view.pixel))
        return canvas


class _Paints:
    """A palette whose colours and ramps are mixed once."""

    def __init__(self, palette: Palette) -> None:
        self.colour = functools.cache(palette.colour)
        self.ramp = functools.cache(palette.ramp)


@dataclass(frozen=True)
class _Shapes:
    """Shapes on a canvas. The view's coordinates are the figure's: a head is about 2 tall."""

    canvas: Planes
    view: View
    strokes: Plane
    paints: "_Paints"

    def lay(self, inside: Plane, low: str, high: str, tone: Plane | float = 0.5, shadow: float = 0.3) -> None:
        """A shape in brushed colours between two parts of the palette, with a soft shadow around it."""
        touched = np.flatnonzero((inside > -0.16 if shadow else inside > -self.view.pixel).any(axis=0))
        if not touched.size:
            return
        span = slice(int(touched[0]), int(touched[-1]) + 1)
        inside, canvas = inside[:, span], self.canvas[:, :, span]
        tone = tone[:, span] if isinstance(tone, np.ndarray) and tone.shape[1] > 1 else tone
        if shadow:
            over(canvas, self.paints.colour("deep"), smooth(-0.16, 0.02, inside) * np.float32(shadow))
        place = np.clip(np.asarray(tone, np.float32), 0, 1) + self.strokes[:, span] * np.float32(0.16)
        blend(canvas, self.paints.ramp(low, high).at(place), edge(inside, self.view.pixel))

    def disc(self, x: float, y: float, a: float, b: float | None = None) -> Plane:
        """About the distance into an ellipse with half axes a and b."""
        b = a if b is None else b
        u, v = (self.view.x - np.float32(x)) / np.float32(a), (self.view.y - np.float32(y)) / np.float32(b)
        inside: Plane = (1 - np.sqrt(u * u + v * v)) * np.float32(min(a, b))
        return inside

    def box(self, x: float, y: float, a: float, b: float, r: float = 0.0) -> Plane:
        """The distance into a box with half sides a and b, its corners rounded by r."""
        u = np.abs(self.view.x - np.float32(x)) - np.float32(a - r)
        v = np.abs(self.view.y - np.float32(y)) - np.float32(b - r)
        outside_u, outside_v = np.maximum(u, 0), np.maximum(v, 0)
        outside = np.sqrt(outside_u * outside_u + outside_v * outside_v)
        inside: Plane = np.float32(r) - outside - np.minimum(np.maximum(u, v), 0)
        return inside

    def polygon(self, *corners: Point) -> Plane:
        """The distance into a convex polygon; corners clockwise as seen."""
        return functools.reduce(np.minimum, map(self._side, corners, corners[1:] + corners[:1]))

    def _side(self, start: Point, end: Point) -> Plane:
        """The distance to the right of the line from `start` to `end`."""
        ex, ey = end[0] - start[0], end[1] - start[1]
        length = math.sqrt(ex * ex + ey * ey)
        down, along = self.view.y - np.float32(start[1]), self.view.x - np.float32(start[0])
        return down * np.float32(ex / length) - along * np.float32(ey / length)


def _mirrored(*corners: Point) -> tuple[Point, ...]:
    """The corners on the other side of the middle, clockwise again."""
    return tuple((-x, y) for x, y in reversed(corners))


def _creature(on: _Shapes, scene: Scene) -> None:
    """A pointed face between two ears."""
    down = on.view.y * np.float32(0.5) + np.float32(0.5)
    on.lay(on.disc(0, 1.75, 1.0, 1.15), "shade", "body", 1.1 - down * 0.5)
    on.lay(on.disc(0, 1.55, 0.5, 0.85), "glow", "light", 1.2 - down * 0.5, 0.15)
    ear, inner = ((-0.86, -1.12), (-0.1, -0.5), (-0.82, 0.0)), ((-0.78, -0.9), (-0.32, -0.46), (-0.72, -0.1))
    half = ((-0.86, -0.16), (-0.42, -0.58), (0.0, -0.5), (0.0, 0.92))
    cheek = ((-0.97, 0.14), (-0.86, -0.12), (-0.2, 0.3), (0.0, 0.92), (-0.3, 0.78))
    brow = ((-0.42, -0.58), (0.0, -0.5), (0.0, 0.1), (-0.2, 0.02))
    for side, (low, high) in enumerate((("shade", "body"), ("body", "glow"))):
        turned = _mirrored if side else lambda *corners: corners
        on.lay(on.polygon(*turned(*ear)), low, high, 0.75 - down * 0.5)
        on.lay(on.polygon(*turned(*inner)), "deep", "shade", 0.35, 0.0)
        on.lay(on.polygon(*turned(*half)), low, high, 0.85 - down * 0.35, 0.25 - 0.25 * side)
        on.lay(on.polygon(*turned(*brow)), low, high, 1.1 - down * 0.6, 0.0)
        on.lay(on.polygon(*turned(*cheek)), "glow", "light", 0.8 + 0.3 * side - down * 0.3, 0.12)
        eye = ((-0.5, -0.08), (-0.36, -0.13), (-0.2, 0.04), (-0.36, 0.03))
        on.lay(on.polygon(*turned(*eye)), "deep", "deep", 0.0, 0.0)
    on.lay(on.polygon((-0.13, 0.7), (0.13, 0.7), (0.07, 0.86), (0.0, 0.93), (-0.07, 0.86)), "deep", "deep", 0.0, 0.0)


def _machine(on: _Shapes, scene: Scene) -> None:
    """A plated head with lamps for eyes."""
    down, across = on.view.y * np.float32(0.5) + np.float32(0.5), on.view.x * np.float32(0.6) + np.float32(0.5)
    sheen = across * np.float32(0.8) + np.float32(0.35) - down * np.float32(0.4)
    on.lay(on.box(0, 1.62, 1.08, 0.62, 0.4), "shade", "body", sheen)
    on.lay(on.box(0, 1.5, 0.52, 0.3, 0.08), "deep", "shade", sheen, 0.2)
    for k in range(3):
        on.lay(on.disc(-0.28 + 0.28 * k, 1.42, 0.075), "accent" if k == 1 else "glow", "light", 0.3, 0.2)
    for k in range(3):
        on.lay(on.box(0, 0.78 + 0.13 * k, 0.27 + 0.02 * k, 0.055, 0.05), "deep", "body", sheen, 0.2)
    on.lay(on.box(0, -1.02, 0.028, 0.26), "deep", "shade", 0.6, 0.15)
    on.lay(on.disc(0, -1.28, 0.1), "accent", "light", 0.25, 0.2)
    for side in (-1.0, 1.0):
        on.lay(on.disc(side * 0.8, -0.02, 0.2, 0.27), "shade", "glow", 0.5 + 0.3 * side)
    on.lay(on.box(0, -0.08, 0.76, 0.8, 0.34), "body", "light", sheen)
    on.lay(on.box(0, -0.6, 0.5, 0.035, 0.03), "shade", "body", 0.4, 0.0)
    on.lay(on.box(0, -0.16, 0.6, 0.26, 0.24), "deep", "shade", 0.25 - down * 0.2, 0.25)
    for side in (-0.27, 0.27):
        on.lay(on.disc(side, -0.16, 0.165), "accent", "light", 0.15, 0.0)
        on.lay(on.disc(side, -0.16, 0.085), "light", "light", 1.0, 0.0)
        light(
            on.canvas,
            on.paints.colour("accent"),
            falloff(np.maximum(-on.disc(side, -0.16, 0.12), 0), 0.16) * np.float32(0.5),
        )
    mouth = on.box(0, 0.42, 0.36, 0.13, 0.1)
    on.lay(mouth, "deep", "shade", 0.3, 0.1)
    bars = edge(np.float32(0.022) - np.abs(wave(on.view.x * np.float32(4.2)) * np.float32(0.06)), on.view.pixel)
    over(on.canvas, on.paints.colour("glow"), bars * edge(mouth - np.float32(0.04), on.view.pixel) * np.float32(0.8))


def _person(on: _Shapes, scene: Scene) -> None:
    """A face in two halves, seen from the front and from the side at once."""
    chance = scene.chance.of("person")
    down = on.view.y * np.float32(0.5) + np.float32(0.5)
    side = chance.pick((-1.0, 1.0))
    hair = -0.22 if scene.has("short") else chance.uniform(0.0, 0.5)
    on.lay(
        on.disc(-0.08 * side, -0.15 + hair * 0.4, 0.82 + min(hair, 0.0) * 0.7, 0.98 + hair),
        "deep",
        "shade",
        0.9 - down * 0.6,
    )
    on.lay(on.disc(0, 1.95, 1.3, 0.98), "accent", "glow", 0.7 - down * 0.4)
    on.lay(on.polygon((-0.24, 0.4), (0.24, 0.4), (0.3, 1.15), (0.0, 1.36), (-0.3, 1.15)), "shade", "body", 0.9, 0.2)
    face = on.disc(0, 0.0, 0.6, 0.8)
    on.lay(face, "glow", "light", 0.95 - down * 0.5)
    line = on.view.x * np.float32(side) - _profile(on.view.y)
    on.lay(np.minimum(face, -line), "body", "glow", 0.8 - down * 0.5, 0.0)
    on.lay(
        np.minimum(
            on.disc(0.1 * side, -0.42, 0.72, 0.5), -np.float32(0.34) - on.view.y + on.view.x * np.float32(0.5 * side)
        ),
        "deep",
        "shade",
        0.75,
        0.2,
    )
    for eye in (-0.26, 0.28):
        lids = np.minimum(on.disc(eye, 0.02, 0.19, 0.17), on.disc(eye, -0.12, 0.19, 0.17))
        on.lay(lids, "light", "light", 1.0, 0.12)
        on.lay(np.minimum(lids, on.disc(eye, -0.05, 0.062)), "deep", "deep", 0.0, 0.0)
        brow = np.minimum(on.disc(eye, -0.06, 0.24, 0.2), -on.disc(eye, -0.03, 0.25, 0.2))
        on.lay(np.minimum(brow, np.float32(-0.14) - on.view.y), "deep", "deep", 0.0, 0.0)
    on.lay(on.disc(0.3 * side, 0.28, 0.13), "glow", "accent", 0.55, 0.0)
    lips = np.minimum(on.disc(0.03, 0.36, 0.2, 0.17), on.disc(0.03, 0.58, 0.2, 0.15))
    on.lay(lips, "accent", "accent", 0.0, 0.0)
    on.lay(on.disc(0.64 * side, 0.38, 0.085), "accent", "light", 0.25, 0.2)


def _profile(y: Plane) -> Plane:
    """The line of a forehead, nose and chin: its x for every y."""
    nose = smooth(-0.3, 0.2, y) * smooth(0.27, 0.22, y) * np.float32(0.17)
    return nose + smooth(0.34, 0.4, y) * smooth(0.48, 0.42, y) * np.float32(0.05) - np.float32(0.02)


def _flakes(scene: Scene) -> Callable[[Planes, View], None]:
    """Falling snow, some of it close."""
    right, bottom = scene.frame.right, scene.frame.bottom
    flakes = [(x * right, y * bottom, size) for x, y, size in scene.chance.of("flakes").array(170, 3).tolist()]
    white = colour(mix(scene.palette["light"], (1.0, 0.0, 0.0), 0.5))

    def fall(canvas: Planes, view: View) -> None:
        for x, y, size in within(view, flakes, 0.02):
            radius = 0.003 + 0.009 * size * size * size * size
            found = patch(view, x, y, radius)
            if found:
                rows, columns, part = found
                d = distance(part, x, y)
                over(canvas[:, rows, columns], white, smooth(radius, radius * 0.3, d) * np.float32(0.85))

    return fall
