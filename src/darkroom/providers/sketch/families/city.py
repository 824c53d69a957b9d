"""Towers with lit windows, haze between them, and a wet street or a river in front."""

import numpy as np
from numpy.typing import NDArray

from darkroom.providers.sketch.chance import Chance
from darkroom.providers.sketch.field import Plane, View, lattice
from darkroom.providers.sketch.paint import Colour, Planes, blend, edge, falloff, light, over, smooth
from darkroom.providers.sketch.palette import colour, mix
from darkroom.providers.sketch.scene import Orb, Scene, Shader, distance, stars, vignette


def city(scene: Scene) -> Shader:
    """A skyline in three depths over its own reflection."""
    chance, palette = scene.chance, scene.palette
    ground = scene.frame.bottom * chance.of("ground").uniform(0.42, 0.66)
    air = palette.ramp("deep", "shade", "body", "glow")
    mist = scene.clouds("mist", 1.2, 0.12, tall=2.0)
    blocks = [_Block(scene, near, ground) for near in (0.0, 0.34, 0.67, 1.0)]
    orb = _moon(scene, ground)
    sparkle = stars(scene, "stars", 160)
    street = _Street(scene, ground)
    heat = colour(mix(palette["glow"], palette["body"], 0.4))

    def shade(view: View) -> Planes:
        mirrored = street.mirrored(view)
        height = (mirrored.y + np.float32(scene.frame.bottom)) * np.float32(1 / (ground + scene.frame.bottom))
        drift = mist.at(mirrored)
        near = falloff(distance(mirrored, orb.x, orb.y), 0.5)
        place = height * height * np.float32(0.86) + drift * np.float32(0.12) + near * np.float32(0.2)
        canvas = air.at(place + np.float32(0.06))
        sparkle(canvas, mirrored, smooth(0.7, 0.2, height))
        orb.glimmer(canvas, mirrored)
        orb.rise(canvas, mirrored)
        for block in blocks:
            block.paint(canvas, mirrored)
            rise = smooth(0.34, 0.0, np.float32(ground) - mirrored.y) * (1 + drift * np.float32(0.5))
            over(canvas, heat, rise * np.float32(0.34 * (1 - block.near * 0.8)))
        street.paint(canvas, view)
        vignette(scene.frame, canvas, view, 0.45)
        return canvas

    return shade


def _moon(scene: Scene, ground: float) -> Orb:
    chance, palette = scene.chance.of("orb"), scene.palette
    sky = ground + scene.frame.bottom
    glow = colour(mix(palette["glow"], palette["body"], 0.25))
    x = chance.uniform(-0.3, 0.3) * min(1.0, scene.frame.right * 2)
    y = ground - sky * chance.uniform(0.42, 0.66)
    return Orb(x, y, chance.uniform(0.1, 0.17), glow, colour(mix(palette["light"], palette["glow"], 0.35)), 0.8)


class _Block:
    """A row of towers. `near`: 0 far, 1 in front."""

    def __init__(self, scene: Scene, near: float, ground: float) -> None:
        chance, palette = scene.chance.of(f"block{near}"), scene.palette
        self.near, self._ground = near, ground
        self._edges, self._tops = _skyline(chance, near, ground + scene.frame.bottom)
        self._face = palette.ramp("shade", "deep") if near else palette.ramp("body", "shade")
        self._tone = near * 0.75 + 0.1
        self._pitch = (0.0085 + 0.0055 * near, 0.013 + 0.008 * near)
        self._lit = chance.of("lit").array(211, 223)
        self._share = 0.42 - 0.14 * near
        self._lamps: list[Colour] = [
            colour(mix(palette["light"], palette["glow"], 0.45)),
            palette.colour("accent"),
            palette.colour("glow"),
        ]
        self._signs = [
            (chance.uniform(-1.4, 1.4), chance.uniform(0.06, 0.3), chance.uniform(0.03, 0.1), chance.integer(0, 2))
            for _ in range(int(7 * near))
        ]

    def paint(self, canvas: Planes, view: View) -> None:
        """Lay the towers over the canvas."""
        tower = np.searchsorted(self._edges, view.x[0])
        top = np.float32(self._ground) - self._tops[tower][None]
        cover = edge(view.y - top, view.pixel) * (view.y <= np.float32(self._ground))
        if not cover.any():
            return
        rise = (np.float32(self._ground) - view.y) * np.float32(1.6)
        seam = self._lit[0, tower % 211][None] * np.float32(0.12)
        blend(canvas, self._face.at(np.float32(self._tone) + seam - smooth(0.4, 0.0, rise) * np.float32(0.3)), cover)
        self._windows(canvas, view, cover, tower)
        self._glow(canvas, view, cover)

    def _windows(self, canvas: Planes, view: View, cover: Plane, tower: NDArray[np.int64]) -> None:
        px, py = self._pitch
        along, up = view.x * np.float32(1 / px), (view.y - np.float32(self._ground)) * np.float32(1 / py)
        column, row = np.floor(along), np.floor(up)
        shape_x = edge(np.float32(0.3) - np.abs(along - column - np.float32(0.5)), view.pixel / px)
        shape_y = edge(np.float32(0.3) - np.abs(up - row - np.float32(0.5)), view.pixel / py)
        column_at = (column.astype(np.int64) + tower[None] * 31) % 223
        draw = self._lit[row.astype(np.int64) % 211, column_at]
        on = np.clip((draw - np.float32(1 - 2 * self._share)) * np.float32(2.2), 0, 1)
        amount = on * shape_x * shape_y * cover * np.float32(0.5 + 0.5 * self.near)
        kind = (tower * 7 % 5)[None]
        for number, lamp in enumerate(self._lamps):
            mine = (kind == number + 1) if number else (kind < 2) | (kind > 3)
            light(canvas, lamp, amount * mine)

    def _glow(self, canvas: Planes, view: View, cover: Plane) -> None:
        """Signs: upright tubes of light with a halo on the walls."""
        for x, low, length, kind in self._signs:
            dy = np.maximum(np.abs(view.y - np.float32(self._ground - low - length / 2)) - np.float32(length / 2), 0)
            dx = view.x - np.float32(x)
            d = np.sqrt(dx * dx + dy * dy)
            on_wall = cover * np.float32(0.75) + np.float32(0.25)
            light(canvas, self._lamps[kind], falloff(d, 0.028) * np.float32(0.8) * on_wall)
            light(canvas, self._lamps[0], edge(np.float32(0.0028) - d, view.pixel) * cover)


def _skyline(chance: Chance, near: float, room: float) -> tuple[Plane, Plane]:
    """The towers' right edges, and their heights (one more than edges)."""
    edges, tops, x = [], [], -2.0
    while x < 2.0:
        x += chance.uniform(0.025, 0.085) * (1 + near * 0.7)
        slim = chance.uniform(0.0, 1.0)
        middle = 1 - min(1.0, abs(x) * 0.55)
        height = (0.2 + 0.62 * slim * slim * middle + 0.12 * middle) * (1 - 0.42 * near)
        edges.append(x)
        tops.append(height * room)
    return np.asarray(edges, np.float32), np.asarray([*tops, 0.1 * room], np.float32)


class _Street:
    """What lies in front: a dark mirror with ripples."""

    def __init__(self, scene: Scene, ground: float) -> None:
        chance, palette = scene.chance.of("street"), scene.palette
        self._ground, self._depth = ground, scene.frame.bottom - ground
        self._dark, self._sheen = palette.colour("deep"), palette.colour("body")
        self._ripple = lattice(chance.of("ripple"), 3.0, 55.0)
        self._jitter = lattice(chance.of("jitter"), 2.0, 85.0)

    def mirrored(self, view: View) -> View:
        """The view, folded up at the ground."""
        below = view.y - np.float32(self._ground)
        column = View(np.zeros((1, 1), np.float32), view.y, view.pixel)
        shake = self._jitter.at(column) * np.minimum(np.abs(below), np.float32(0.1)) * np.float32(0.7)
        folded = np.float32(self._ground - 0.002) - np.abs(below * np.float32(1.5) + shake)
        return View(view.x, np.where(below > 0, folded, view.y), view.pixel)

    def paint(self, canvas: Planes, view: View) -> None:
        """Darken the mirror image and break it with ripples."""
        below = view.y - np.float32(self._ground)
        wet = edge(below, view.pixel)
        if not wet.any():
            return
        ripple = self._ripple.at(view)
        depth = np.clip(below * np.float32(1 / self._depth), 0, 1)
        over(
            canvas,
            self._dark,
            wet * np.clip(np.float32(0.3) + depth * np.float32(0.45) + ripple * np.float32(0.22), 0, 1),
        )
        light(canvas, self._sheen, wet * smooth(0.5, 1.1, ripple) * np.float32(0.09))
