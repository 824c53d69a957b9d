"""Small things that stand in a landscape."""

from collections.abc import Callable

import numpy as np

from darkroom.providers.sketch.field import Curve, Plane, View
from darkroom.providers.sketch.paint import Planes, edge, falloff, light, over, smooth
from darkroom.providers.sketch.palette import colour, mix
from darkroom.providers.sketch.scene import Scene, distance

Motif = Callable[[Planes, View], None]


def beacon(scene: Scene, ground: float, side: float) -> Motif:
    """A lighthouse on a rock at one side (-1 or 1), its beam across the sky."""
    chance, palette = scene.chance.of("beacon"), scene.palette
    x = side * chance.uniform(0.2, 0.32) * min(1.0, scene.frame.right * 2)
    tall = min(0.36, (ground + scene.frame.bottom) * 0.6)
    lamp = ground - 0.04 - tall
    dark, mid, bright = (
        palette.colour("deep"),
        colour(mix(palette["shade"], palette["deep"], 0.3)),
        palette.colour("light"),
    )
    band = colour(mix(palette["glow"], palette["body"], 0.5))

    rough = Curve(chance.of("rock"), 3.0, 5)

    def paint(canvas: Planes, view: View) -> None:
        dx = view.x - np.float32(x)
        _beam(canvas, view, dx * np.float32(-side), lamp, bright)
        crags = rough.at(view.x) * np.float32(0.02)
        rock = np.float32(0.062) * smooth(0.3, 0.02, np.abs(dx - np.float32(side * 0.1))) + crags - np.float32(0.012)
        over(canvas, dark, edge(rock - np.float32(ground) + view.y, view.pixel))
        up = (np.float32(ground) - view.y) * np.float32(1 / tall)
        half = np.float32(0.034) - np.float32(0.013) * up
        tower = np.minimum(half - np.abs(dx), np.minimum(view.y - np.float32(lamp + 0.035), ground - view.y))
        over(canvas, mid, edge(tower, view.pixel))
        stripe = np.abs(up - np.float32(0.32)) < 0.09
        over(canvas, band, edge(tower, view.pixel) * (stripe | (np.abs(up - np.float32(0.7)) < 0.09)))
        lit = edge(tower, view.pixel) * smooth(-0.01, 0.035, dx * np.float32(-side))
        over(canvas, bright, lit * np.float32(0.28))
        _head(canvas, view, dx, lamp, dark)
        light(canvas, bright, falloff(distance(view, x, lamp + 0.012), 0.022) * np.float32(2.2))

    return paint


def _beam(canvas: Planes, view: View, ahead: Plane, lamp: float, bright: tuple[float, float, float]) -> None:
    spread = np.abs(view.y - np.float32(lamp + 0.012) + ahead * np.float32(0.10))
    width = np.abs(ahead) * np.float32(0.09) + np.float32(0.006)
    ray = np.clip(1 - spread / width, 0, 1) * smooth(-0.01, 0.02, ahead)
    light(canvas, bright, ray * ray * np.float32(0.5) / (1 + np.abs(ahead) * 2))


def _head(canvas: Planes, view: View, dx: Plane, lamp: float, dark: tuple[float, float, float]) -> None:
    """Gallery, lantern and roof."""
    y = view.y - np.float32(lamp)
    gallery = np.minimum(np.float32(0.031) - np.abs(dx), np.float32(0.005) - np.abs(y - np.float32(0.036)))
    posts = np.minimum(np.float32(0.0165) - np.abs(dx), np.minimum(y, np.float32(0.036) - y))
    roof = np.minimum((y + np.float32(0.032)) * np.float32(0.75) - np.abs(dx), np.float32(0.0) - y)
    over(canvas, dark, edge(np.maximum(gallery, roof), view.pixel))
    over(canvas, dark, edge(posts, view.pixel) * np.float32(0.55))


def sails(scene: Scene, ground: float) -> Motif:
    """A few sailing boats on the water."""
    chance, palette = scene.chance.of("sails"), scene.palette
    right = scene.frame.right
    boats = [
        (chance.uniform(-0.75, 0.75) * right, chance.uniform(0.05, 0.17), chance.pick((-1.0, 1.0)))
        for _ in range(chance.integer(2, 4))
    ]
    cloth = (palette.colour("light"), palette.colour("accent"), palette.colour("glow"))
    dark = palette.colour("deep")

    def paint(canvas: Planes, view: View) -> None:
        for number, (x, size, way) in enumerate(boats):
            dx = (view.x - np.float32(x)) * np.float32(way / size)
            up = (np.float32(ground) - view.y) * np.float32(1 / size)
            pixel = view.pixel / size
            hull = np.minimum(np.minimum(up, np.float32(0.13) - up), np.float32(0.34) + up - np.abs(dx))
            main = np.minimum(np.minimum(dx - np.float32(0.02), up - np.float32(0.2)), (1 - up - dx * 2.1) * 0.43)
            jib = np.minimum(np.minimum(-dx - np.float32(0.02), up - np.float32(0.2)), (0.85 - up + dx * 2.2) * 0.41)
            over(canvas, dark, edge(hull, pixel))
            over(canvas, cloth[number % 3], edge(main, pixel) * np.float32(0.95))
            over(canvas, cloth[(number + 1) % 3], edge(jib, pixel) * np.float32(0.9))

    return paint
