"""What a composition has to work with, and the things that several of them share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from darkroom.providers.sketch.chance import Chance
from darkroom.providers.sketch.field import Field, Frame, Plane, View, fractal, lattice, streaks, warped
from darkroom.providers.sketch.paint import Planes, edge, falloff, light, over, smooth
from darkroom.providers.sketch.palette import Palette

Place = tuple[float, ...]

# Paints the part of a picture that a view shows: linear light, (3, rows, columns).
Shader = Callable[[View], Planes]

_SMOOTH = 128
_BRISTLES = 288


@dataclass(frozen=True)
class Scene:
    """One picture to compose; `chance` is its own, the rest is as in a `Reading`."""

    frame: Frame
    palette: Palette
    setting: Palette
    traits: frozenset[str]
    chance: Chance

    def has(self, trait: str) -> bool:
        """Whether the words ask for this."""
        return trait in self.traits

    @property
    def energy(self) -> float:
        """How much it moves: 0.5 calm, 1 as usual, 1.8 stormy."""
        return 1.8 if self.has("storm") else 0.5 if self.has("calm") else 1.0

    def clouds(self, name: str, frequency: float, warp: float, *, tall: float = 1.0) -> Field:
        """Domain-warped noise, about -1..1: `warp` is how far, in coordinates, noise displaces noise."""
        grid, chance = self.frame.grid(_SMOOTH), self.chance.of(name)
        base = fractal(chance.of("base"), grid, frequency, 5, tall=tall)
        reach = np.float32(warp * _SMOOTH)
        dx = fractal(chance.of("dx"), grid, frequency * 0.8, 3, tall=tall) * reach
        dy = fractal(chance.of("dy"), grid, frequency * 0.8, 3, tall=tall) * (reach / np.float32(tall))
        once = warped(base, dx, dy)
        return Field.over(grid, warped(once, once * reach * np.float32(0.6), dx * np.float32(0.4)))

    def bristles(self, name: str, lean: tuple[float, float], curl: float, length: int = 14) -> Field:
        """Brush marks, about -1..1, that follow `lean` and stray from it by `curl`."""
        grid, chance = self.frame.grid(_BRISTLES), self.chance.of(name)
        step = np.float32(0.02)
        potential = lattice(chance.of("flow"), 2.2)
        here = potential.at(grid)
        vx = (potential.at(grid.moved(dy=0.02)) - here) / step * np.float32(curl) + np.float32(lean[0])
        vy = (here - potential.at(grid.moved(dx=0.02))) / step * np.float32(curl) + np.float32(lean[1])
        return Field.over(grid, streaks(chance.of("grit"), vx, vy, length))


@dataclass(frozen=True)
class Orb:
    """A sun or a moon."""

    x: float
    y: float
    radius: float
    glow: tuple[float, float, float]
    disc: tuple[float, float, float]
    strength: float

    def glimmer(self, canvas: Planes, view: View) -> None:
        """Its light in the air around it."""
        d = distance(view, self.x, self.y)
        light(canvas, self.glow, falloff(d, self.radius * 4.5) * np.float32(0.38 * self.strength))
        light(canvas, self.glow, falloff(d, self.radius * 1.6) * np.float32(0.5 * self.strength))

    def rise(self, canvas: Planes, view: View, seen: Plane | float = 1.0) -> None:
        """Its disc, where it is to be seen (0..1)."""
        d = distance(view, self.x, self.y)
        over(canvas, self.disc, edge(self.radius - d, max(view.pixel, self.radius * 0.03)) * seen)


def distance(view: View, x: float, y: float) -> Plane:
    """How far each point is from (x, y)."""
    dx, dy = view.x - np.float32(x), view.y - np.float32(y)
    result: Plane = np.sqrt(dx * dx + dy * dy)
    return result


def stars(scene: Scene, name: str, count: int) -> Callable[[Planes, View, Plane], None]:
    """Stars all over; call the result with a canvas, its view, and where they may be seen (0..1)."""
    chance = scene.chance.of(name)
    right, bottom = scene.frame.right, scene.frame.bottom
    places = [(x * right, y * bottom, size, heat) for x, y, size, heat in chance.array(count, 4).tolist()]
    colour = scene.palette.colour("light")

    def sprinkle(canvas: Planes, view: View, seen: Plane) -> None:
        seen = np.broadcast_to(seen, view.shape)
        for x, y, size, heat in within(view, places, 0.03):
            bright = size * size
            bright *= bright * bright
            radius = 0.0007 + 0.0022 * bright
            found = patch(view, x, y, radius * 7 + view.pixel * 2)
            if found is None:
                continue
            rows, columns, part = found
            amount = falloff(distance(part, x, y), radius + view.pixel * 0.35)
            amount *= np.float32(0.42 + 0.38 * heat + bright)
            light(canvas[:, rows, columns], colour, amount * seen[rows, columns])

    return sprinkle


def within(view: View, places: Sequence[Place], reach: float) -> list[Place]:
    """Those (x, y, …) that are, give or take `reach`, in the view's rows."""
    top, bottom = float(view.y.min()) - reach, float(view.y.max()) + reach
    return [place for place in places if top <= place[1] <= bottom]


def patch(view: View, x: float, y: float, radius: float) -> tuple[slice, slice, View] | None:
    """The part of a view within `radius` of (x, y), as slices and a view; None where it is empty."""
    columns, rows = _span(view.x[0], x, radius), _span(view.y[:, 0], y, radius)
    if columns is None or rows is None:
        return None
    return rows, columns, View(view.x[:, columns], view.y[rows], view.pixel)


def _span(points: Plane, centre: float, radius: float) -> slice | None:
    """The shortest slice that holds every point within `radius`; a mirrored view's points are in no order."""
    near = np.flatnonzero(np.abs(points - np.float32(centre)) < radius)
    return slice(int(near[0]), int(near[-1]) + 1) if near.size else None


def vignette(frame: Frame, canvas: Planes, view: View, strength: float = 0.32) -> None:
    """Darken the corners a little."""
    fx, fy = view.x / np.float32(frame.right), view.y / np.float32(frame.bottom)
    canvas *= 1 - np.float32(strength) * smooth(0.5, 2.1, fx * fx + fy * fy)
