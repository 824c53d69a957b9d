"""Space: nebulae, stars, a planet lit from one side."""

import numpy as np

from darkroom.providers.sketch.field import Plane, View
from darkroom.providers.sketch.paint import Planes, blend, edge, falloff, light, over, smooth
from darkroom.providers.sketch.palette import colour, mix
from darkroom.providers.sketch.scene import Scene, Shader, stars, vignette


def cosmos(scene: Scene) -> Shader:
    """A nebula, a field of stars, and a planet, with a ring if it is asked for."""
    nebula, planet = _Nebula(scene), _Planet(scene)
    sparkle = stars(scene, "stars", 420)

    def shade(view: View) -> Planes:
        canvas, dust = nebula.paint(view)
        sparkle(canvas, view, 1 - dust * np.float32(0.8))
        planet.paint(canvas, view)
        vignette(scene.frame, canvas, view, 0.4)
        return canvas

    return shade


class _Nebula:
    """Two veils of gas behind a veil of dust."""

    def __init__(self, scene: Scene) -> None:
        chance, palette = scene.chance.of("nebula"), scene.palette
        dark = mix(palette["deep"], (0.0, 0.0, 0.0), 0.45)
        self._gas = type(palette.ramp("deep", "deep"))(
            [dark, mix(dark, palette["shade"], 0.75), palette["body"], palette["glow"], palette["light"]]
        )
        self._far, self._near = scene.clouds("far", 0.8, 0.25), scene.clouds("near", 1.5, 0.3)
        self._dust = scene.clouds("dust", 1.3, 0.22)
        self._accent, self._dark = palette.colour("accent"), colour(dark)
        self._slope = (chance.uniform(-0.8, 0.8), chance.uniform(-0.15, 0.15))

    def paint(self, view: View) -> tuple[Planes, Plane]:
        """The sky, and how dusty it is (0..1)."""
        far, near, dust = self._far.at(view), self._near.at(view), smooth(0.05, 0.6, self._dust.at(view))
        off = view.y - np.float32(self._slope[0]) * view.x - np.float32(self._slope[1])
        band = falloff(off, 0.5)
        gas = band * (np.float32(0.46) + far * np.float32(0.5)) + np.clip(near, 0, 1) * band * np.float32(0.5)
        canvas = self._gas.at(gas + np.float32(0.05))
        light(canvas, self._accent, smooth(0.15, 0.9, near - far * np.float32(0.7)) * band * np.float32(0.34))
        over(canvas, self._dark, dust * np.float32(0.5))
        return canvas, dust


class _Planet:
    """A ball of bands and storms; `_tilt` is how far its ring is opened."""

    def __init__(self, scene: Scene) -> None:
        chance, palette = scene.chance.of("planet"), scene.palette
        wide = min(1.0, scene.frame.right * 2)
        self._at = (chance.pick((-1, 1)) * chance.uniform(0.1, 0.26) * wide, chance.uniform(-0.16, 0.18))
        self._radius = chance.uniform(0.13, 0.27)
        self._sun = chance.pick((-0.72, 0.72)), chance.uniform(-0.55, -0.25)
        self._skin = palette.ramp("shade", "body", "glow", "light")
        self._bands = scene.clouds("bands", 1.6, 0.16, tall=3.4)
        self._air, self._ring = palette.colour("accent"), palette.ramp("glow", "body", "light", "glow")
        self._shadow = colour(mix(palette["deep"], (0.0, 0.0, 0.0), 0.6))
        self._ringed = scene.has("ring") or chance.uniform(0, 1) < 0.4
        self._tilt, self._lean = chance.uniform(0.16, 0.3), chance.uniform(-0.4, 0.4)

    def paint(self, canvas: Planes, view: View) -> None:
        """Halo, the ring's far half, the ball, the ring's near half."""
        dx, dy = (
            (p - np.float32(c)) / np.float32(self._radius) for p, c in zip((view.x, view.y), self._at, strict=True)
        )
        d = np.sqrt(dx * dx + dy * dy)
        toward = dx * np.float32(self._sun[0]) + dy * np.float32(self._sun[1])
        halo = falloff(np.maximum(d - 1, 0), 0.3) * np.clip(np.float32(0.35) + toward * np.float32(0.5), 0, 1)
        light(canvas, self._air, halo * np.float32(0.42))
        ring = self._ring_cover(dx, dy) if self._ringed else None
        if ring is not None:
            blend(canvas, self._ring.at(ring[1]), ring[0] * (dy + dx * np.float32(self._lean) < 0))
        blend(canvas, self._ball(view, dx, dy, d), edge((1 - d) * np.float32(self._radius), view.pixel))
        if ring is not None:
            blend(canvas, self._ring.at(ring[1]), ring[0] * (dy + dx * np.float32(self._lean) >= 0))

    def _ball(self, view: View, dx: Plane, dy: Plane, d: Plane) -> Planes:
        height = np.sqrt(np.clip(1 - d * d, 0, 1))
        lit = np.clip(dx * np.float32(self._sun[0]) + dy * np.float32(self._sun[1]) + height * np.float32(0.42), 0, 1)
        skin = self._skin.at(self._bands.at(view.scaled(1.8, 1.8)) * np.float32(0.5) + np.float32(0.5))
        skin *= lit * np.float32(1.25) + np.float32(0.012)
        rim = (1 - height) * (1 - height) * lit
        light(skin, self._air, rim * np.float32(0.6))
        return skin

    def _ring_cover(self, dx: Plane, dy: Plane) -> tuple[Plane, Plane]:
        """How densely the ring covers, and a place on its ramp."""
        across = (dy + dx * np.float32(self._lean)) / np.float32(self._tilt)
        r = np.sqrt(dx * dx + across * across)
        groove = self._bands.at(
            View(np.zeros((1, 1), np.float32), np.linspace(-0.5, 0.5, 256, dtype=np.float32)[:, None], 0.0)
        )
        tone = groove[np.clip((r - 1) * 160, 0, 255).astype(np.int32), 0]
        cover = (
            smooth(1.3, 1.36, r) * smooth(2.15, 2.05, r) * np.clip(np.float32(0.62) + tone * np.float32(0.7), 0, 0.95)
        )
        return cover, np.clip((r - np.float32(1.3)) / np.float32(0.85) + tone * np.float32(0.2), 0, 1)
