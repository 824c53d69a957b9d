"""Pictures of nothing in particular: silk and cut paper."""

import numpy as np

from darkroom.providers.sketch.field import Curve, Field, Plane, View
from darkroom.providers.sketch.paint import Planes, edge, falloff, light, over, smooth
from darkroom.providers.sketch.palette import Ramp, colour, mix
from darkroom.providers.sketch.scene import Scene, Shader, distance, vignette


def silk(scene: Scene) -> Shader:
    """Sheets of translucent cloth, lit along their upper edges."""
    chance, palette = scene.chance.of("silk"), scene.palette
    count = 11
    ground = palette.ramp("deep", "shade", "body")
    sheets = [_Sheet(scene, k / (count - 1)) for k in range(count)]
    lamp = (chance.uniform(-0.5, 0.5) * scene.frame.right, -scene.frame.bottom * 0.7)

    def shade(view: View) -> Planes:
        near = falloff(distance(view, *lamp), 0.6)
        canvas = ground.at(near * np.float32(0.9) + np.float32(0.08))
        for sheet in sheets:
            sheet.paint(canvas, view, near)
        vignette(scene.frame, canvas, view)
        return canvas

    return shade


class _Sheet:
    """One sheet: sharp and bright along a wavy line, fading below it. `place`: 0 top, 1 bottom."""

    def __init__(self, scene: Scene, place: float) -> None:
        chance, palette = scene.chance.of(f"sheet{place:.2f}"), scene.palette
        tilt = scene.chance.of("tilt").uniform(-0.45, 0.45)
        self._line, self._fold = Curve(chance.of("line"), 0.95, 3, 0.4), Curve(chance.of("fold"), 1.6, 4)
        self._level = (place * 1.75 - 0.95) * scene.frame.bottom + chance.uniform(-0.06, 0.06)
        self._sway, self._slope = (
            chance.uniform(0.12, 0.26) * (0.5 + 0.5 * scene.energy),
            tilt + chance.uniform(-0.16, 0.16),
        )
        self._depth = chance.uniform(0.16, 0.38)
        stops = [palette[name] for name in ("shade", "body", "glow", "light", "glow", "body", "shade", "deep")]
        shift = chance.uniform(-0.12, 0.12)
        here = min(max(place * 0.9 + shift, 0.0), 1.0)
        body = Ramp(stops).one(here)
        accent = chance.uniform(0, 1) < (0.1 if scene.has("coloured") else 0.22)
        self._colour = palette.colour("accent") if accent else body
        self._edge = colour(mix(palette["light"], palette["glow"], 0.3))

    def paint(self, canvas: Planes, view: View, near: Plane) -> None:
        """Lay the sheet over the canvas."""
        line = self._line.at(view.x) * np.float32(self._sway)
        fold = self._fold.at(view.x)
        below = view.y - line - view.x * np.float32(self._slope) - np.float32(self._level)
        reach = np.float32(self._depth) * (1 + fold * np.float32(0.5))
        inside = edge(below, view.pixel)
        fade = 1 - smooth(0.0, 1.0, below / np.maximum(reach, np.float32(0.05)))
        over(canvas, self._colour, inside * (fade * np.float32(0.82) + np.float32(0.06)))
        rim = falloff(np.maximum(below, 0), 0.008) * inside
        light(
            canvas,
            self._edge,
            rim * (np.float32(0.12) + near * np.float32(0.5)) * np.clip(fold + np.float32(0.7), 0, 1.4),
        )


# Heights to a unit.
_DENSITY = 128


def paper(scene: Scene) -> Shader:
    """Sheets of paper with winding holes, each casting a shadow on the one below."""
    chance, palette = scene.chance.of("paper"), scene.palette
    heights = _heights(scene)
    hollow, ranked = Field.over(scene.frame.grid(_DENSITY), heights), np.sort(heights, axis=None)
    count = chance.integer(8, 11)
    ways = (("deep", "shade", "body", "glow", "light"), ("light", "glow", "body", "shade", "deep"))
    ramp = palette.ramp(*chance.pick(ways))
    odd = 0 if scene.has("coloured") else chance.integer(1, count - 3)
    tones = [palette.colour("accent") if k == odd else ramp.one(k / (count - 1)) for k in range(count)]
    # Every sheet shows as much of itself as the others, but for the hole in the middle: half of that.
    levels = [float(ranked[max(2 * k - 1, 0) * len(ranked) // (2 * count)]) for k in range(count)]
    fibre = scene.bristles("fibre", (1.0, 0.25), 0.5, 6)
    dark = colour(mix(palette["deep"], (0.0, 0.0, 0.0), 0.5))

    def shade(view: View) -> Planes:
        height, cast = hollow.at(view), hollow.at(view.moved(dx=-0.016, dy=-0.024))
        slope = np.float32(view.pixel * 2.2)
        canvas = np.empty((3, *view.shape), np.float32)
        for plane, value in zip(canvas, tones[0], strict=True):
            plane[:] = np.float32(value)
        for number, tone in enumerate(tones[1:], 1):
            level = levels[number]
            over(canvas, dark, smooth(-0.16, 0.05, cast - np.float32(level)) * np.float32(0.4))
            cover = edge(height - np.float32(level), float(slope))
            over(canvas, tone, cover)
            lip = edge(np.float32(0.012) - np.abs(height - np.float32(level + 0.012)), float(slope))
            light(canvas, tone, lip * np.float32(0.16))
        canvas *= 1 + fibre.at(view) * np.float32(0.035)
        vignette(scene.frame, canvas, view, 0.25)
        return canvas

    return shade


def _heights(scene: Scene) -> Plane:
    """Heights about -1..1, high at the rim, with a valley that winds through."""
    chance = scene.chance.of("hollow")
    grid = scene.frame.grid(_DENSITY)
    winding = scene.clouds("winding", 0.85, 0.16 * scene.energy).at(grid)
    dx, dy = grid.x - np.float32(chance.uniform(-0.2, 0.2)), grid.y - np.float32(chance.uniform(-0.2, 0.2))
    rim = np.sqrt(dx * dx * np.float32(0.8) + dy * dy) * np.float32(1.5) - np.float32(0.62)
    return winding * np.float32(0.85) + rim
