"""What grows: a wood with light between its trunks, and flowers."""

from collections.abc import Callable
from functools import partial

import numpy as np

from darkroom.providers.sketch.field import Curve, Plane, View, dabs
from darkroom.providers.sketch.paint import Planes, blend, edge, falloff, light, over, smooth, turn, wave
from darkroom.providers.sketch.palette import Ramp, colour, mix
from darkroom.providers.sketch.scene import Scene, Shader, distance, patch, vignette


def forest(scene: Scene) -> Shader:
    """Rows of trunks in a bright mist, leaves above and on the ground."""
    chance, palette = scene.chance.of("forest"), scene.palette
    centre = (chance.uniform(-0.22, 0.22), chance.uniform(-0.12, 0.05))
    air = palette.ramp("shade", "body", "glow", "light", "light")
    brush = scene.bristles("brush", (0.15, 1.0), 0.2, 9)
    rows = [_Trunks(scene, near) for near in (0.0, 0.5, 1.0)]
    leaves = _Leaves(scene)
    warm = colour(mix(palette["light"], palette["glow"], 0.4))

    def shade(view: View) -> Planes:
        strokes = brush.at(view)
        near = falloff(distance(view, *centre), 0.55)
        canvas = air.at(near * np.float32(0.85) + strokes * np.float32(0.07) + np.float32(0.06))
        for trunks in rows:
            leaves.paint(canvas, view, trunks.near, near)
            trunks.paint(canvas, view, strokes)
            light(canvas, warm, near * np.float32(0.13 * (1 - trunks.near)))
        vignette(scene.frame, canvas, view, 0.45)
        return canvas

    return shade


class _Trunks:
    """One row of trunks. `near`: 0 far and thin, 1 in front."""

    def __init__(self, scene: Scene, near: float) -> None:
        chance, palette = scene.chance.of(f"trunks{near}"), scene.palette
        self.near = near
        self._spine = Curve(chance.of("spine"), 1.4, 4)
        right = scene.frame.right
        count = max(2, int((13 - 8 * near) * right * 2))
        self._trunks = [
            (
                ((k + chance.uniform(0.05, 0.95)) / count * 2 - 1) * (right + 0.05),
                chance.uniform(0.006, 0.011) + 0.03 * near * near * chance.uniform(0.6, 1.3),
                chance.uniform(-0.07, 0.07),
                chance.uniform(-1.0, 1.0),
            )
            for k in range(count)
        ]
        self._bottom = scene.frame.bottom * (0.45 + 0.75 * near)
        bark = (palette["deep"], mix(palette["deep"], palette["shade"], 0.8), palette["body"])
        far = mix(palette["shade"], palette["body"], 0.8 - near * 0.3)
        self._bark = Ramp([mix(stop, far, 0.85 * (1 - near)) for stop in bark])
        self._cover = 0.5 + 0.5 * near

    def paint(self, canvas: Planes, view: View, strokes: Plane) -> None:
        """Lay the row over the canvas."""
        foot = view.y - np.float32(self._bottom)
        flare, above = 1 + smooth(-0.1, 0.0, foot) * np.float32(0.7), smooth(0.03, 0.0, foot) * np.float32(self._cover)
        for x, half, lean, shift in self._trunks:
            spine = self._spine.at(view.y + np.float32(shift)) * np.float32(0.014 + half * 0.3)
            middle = np.float32(x) + spine + view.y * np.float32(lean)
            part = _columns(view, float(middle.min()) - half * 2, float(middle.max()) + half * 2)
            if part is None:
                continue
            columns, narrow = part
            off = narrow.x - middle
            width = np.float32(half) * flare
            cover = edge(width - np.abs(off), view.pixel) * above
            tone = off / width * np.float32(0.16) + strokes[:, columns] * np.float32(0.26) + np.float32(0.3)
            blend(canvas[:, :, columns], self._bark.at(tone), cover)


def _columns(view: View, left: float, right: float) -> tuple[slice, View] | None:
    low, high = (int(np.searchsorted(view.x[0], np.float32(side))) for side in (left, right))
    if low == high:
        return None
    return slice(low, high), View(view.x[:, low:high], view.y, view.pixel)


class _Leaves:
    """Dabs of leaves, dense above and on the ground, thin between."""

    def __init__(self, scene: Scene) -> None:
        self._chance, self._bottom = scene.chance.of("leaves"), scene.frame.bottom
        self._masses = scene.clouds("masses", 1.9, 0.12)
        self._ramp = scene.palette.ramp("deep", "shade", "body", "glow", "light")

    def paint(self, canvas: Planes, view: View, near: float, glow: Plane) -> None:
        """A layer of leaves at this depth: large dabs in front, small ones far off."""
        shifted = view.moved(dx=0.08 * near, dy=0.05 * near)
        high = view.y * np.float32(1 / self._bottom)
        ground = smooth(0.35 + 0.3 * near, 0.8 + 0.2 * near, high)
        canopy = smooth(0.35 - 0.5 * near, -0.87, high)
        dense = self._masses.at(shifted) * np.float32(0.8) + canopy * np.float32(1.15) + ground * np.float32(1.5)
        leafy = np.flatnonzero((dense > 0.15).any(axis=1))
        if not leafy.size:
            return
        rows = slice(int(leafy[0]), int(leafy[-1]) + 1)
        part, dense = View(view.x, view.y[rows], view.pixel), dense[rows]
        base = glow[rows] * np.float32(0.42) + np.float32(0.3 - 0.12 * near) + dense * np.float32(0.05)
        for layer in range(1 + int(near > 0)):
            pitch = (0.017 + 0.013 * near) * (1 + 0.35 * layer)
            cover, tone = dabs(self._chance.of(f"{near} {layer}"), part, pitch)
            cover *= smooth(0.5, 0.62, dense + tone * np.float32(0.35))
            blend(canvas[:, rows], self._ramp.at(base + tone * np.float32(0.2)), cover)


def bloom(scene: Scene) -> Shader:
    """Flowers large and small before a soft ground."""
    chance, palette = scene.chance.of("bloom"), scene.palette
    ground = (
        palette.ramp("shade", "body", "glow", "light")
        if scene.has("night")
        else palette.ramp("body", "glow", "light", "light")
    )
    wash, brush = scene.clouds("wash", 0.9, 0.2), scene.bristles("brush", (0.7, 0.7), 0.6, 8)
    flowers = [_Flower(scene, size, x, y, number) for number, (size, x, y) in enumerate(_places(scene))]
    lamp = (chance.uniform(-0.4, 0.4), chance.uniform(-0.5, -0.2))

    def shade(view: View) -> Planes:
        near = falloff(distance(view, *lamp), 0.8)
        tone = (
            wash.at(view) * np.float32(0.3)
            + brush.at(view) * np.float32(0.07)
            + near * np.float32(0.5)
            + np.float32(0.12)
        )
        canvas = ground.at(tone)
        for flower in flowers:
            flower.paint(canvas, view)
        vignette(scene.frame, canvas, view)
        return canvas

    return shade


def _places(scene: Scene) -> list[tuple[float, float, float]]:
    """(size, x, y) of flowers that keep off one another, the small and far ones first."""
    chance, right, bottom = scene.chance.of("places"), scene.frame.right, scene.frame.bottom
    placed: list[tuple[float, float, float]] = []
    for attempt in range(160):
        size = 0.24 if attempt < 6 else 0.15 if attempt < 40 else 0.08
        size *= chance.uniform(0.8, 1.2)
        x, y = chance.uniform(-1.05, 1.05) * right, chance.uniform(-1.0, 1.0) * bottom
        gaps = ((x - px) * (x - px) + (y - py) * (y - py) - (size + s) * (size + s) * 0.55 for s, px, py in placed)
        if all(gap > 0 for gap in gaps) and len(placed) < 21:
            placed.append((size, x, y))
    return sorted(placed)


# The parts of the palette that a flower is painted with, from its heart to its tips.
_KINDS = (
    ("shade", "accent", "glow"),
    ("accent", "accent", "light"),
    ("accent", "glow", "light"),
    ("body", "glow", "light"),
    ("shade", "body", "glow"),
)
_COLOURED = (
    ("shade", "body", "glow"),
    ("deep", "body", "light"),
    ("body", "body", "light"),
    ("shade", "shade", "body"),
    ("body", "accent", "light"),
)


# The radius of a flower's heart, where the flower's is 1.
_HEART = 0.2


class _Flower:
    """Rings of petals, each smaller and turned a little, around a seeded heart."""

    def __init__(self, scene: Scene, size: float, x: float, y: float, number: int) -> None:
        chance, palette = scene.chance.of(f"flower{number}"), scene.palette
        self._size, self._x, self._y = size, x, y
        kinds = _COLOURED if scene.has("coloured") else _KINDS
        inner, middle, outer = chance.pick(kinds)
        self._ramp = Ramp([palette[inner], mix(palette[inner], palette[middle], 0.7), palette[middle], palette[outer]])
        self._shadow = palette.colour("deep")
        self._heart = Ramp(
            [palette["deep"], palette["accent"] if middle != "accent" else palette["glow"], palette["light"]]
        )
        self._petals, self._rings = chance.integer(5, 11), chance.integer(2, 4)
        self._turn, self._round = chance.uniform(0, 1), chance.uniform(0.2, 0.42)

    def paint(self, canvas: Planes, view: View) -> None:
        """Lay the flower, with its shadow, over the canvas."""
        for ring in range(self._rings):
            reach = 1 - ring * 0.72 / self._rings
            self._within(canvas, view, reach, partial(self._ring, reach, ring * 0.5))
        self._within(canvas, view, _HEART, self._seed)

    def _within(self, canvas: Planes, view: View, reach: float, draw: Callable[..., None]) -> None:
        """Call `draw` with what of the canvas is in reach, and its polar coordinates: 1 is the flower's size."""
        found = patch(view, self._x, self._y, self._size * (reach + 0.1))
        if found is None:
            return
        rows, columns, part = found
        dx, dy = part.x - np.float32(self._x), part.y - np.float32(self._y)
        r = np.sqrt(dx * dx + dy * dy) / np.float32(self._size)
        draw(canvas[:, rows, columns], r, turn(dx, dy), view.pixel / self._size)

    def _ring(self, reach: float, turned: float, target: Planes, r: Plane, angle: Plane, pixel: float) -> None:
        phase = angle * np.float32(self._petals) + np.float32(self._turn + turned)
        lobe = wave(phase)
        bound = np.float32(reach) * (1 - np.float32(self._round) * (1 - lobe) * (1 - lobe) * np.float32(0.45))
        inside = bound - r
        over(target, self._shadow, smooth(-0.1, 0.03, inside) * np.float32(0.34))
        rib = np.abs(wave(phase * 0.5 + np.float32(0.25))) * np.float32(0.13)
        vein = wave(angle * np.float32(self._petals * 9) + r) * np.float32(0.025)
        tone = r / np.float32(reach) * np.float32(0.85) + lobe * np.float32(0.12) - rib + vein + np.float32(0.02)
        blend(target, self._ramp.at(tone), edge(inside, pixel))

    def _seed(self, target: Planes, r: Plane, angle: Plane, pixel: float) -> None:
        radius = np.float32(_HEART)
        dots = wave(r * np.float32(26) + angle * 3) * wave(angle * np.float32(21) - r * np.float32(17))
        over(target, self._shadow, smooth(-0.09, 0.02, radius - r) * np.float32(0.5))
        tone = np.float32(0.3) + (1 - r / radius) * np.float32(0.35) + dots * np.float32(0.3)
        blend(target, self._heart.at(tone), edge(radius - r, pixel))
