"""Where a picture is looked at, and smooth fields over it.

Coordinates: x to the right and y down from the centre; the shorter side of a picture is 1 long (beyond
3:1 the longer side is 3), so a composition is the same at every resolution.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from darkroom.providers.sketch.chance import Chance

Plane = NDArray[np.float32]


@dataclass(frozen=True)
class View:
    """A rectangle of sample points: `x` is (1, columns), `y` is (rows, 1), `pixel` their distance."""

    x: Plane
    y: Plane
    pixel: float

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.y.shape[0], self.x.shape[1]

    def moved(self, dx: float = 0.0, dy: float = 0.0) -> "View":
        """The same rectangle, elsewhere."""
        return View(self.x + np.float32(dx), self.y + np.float32(dy), self.pixel)

    def scaled(self, sx: float, sy: float) -> "View":
        """The same points, with each axis multiplied: noise looked at through it is finer."""
        return View(self.x * np.float32(sx), self.y * np.float32(sy), self.pixel)


@dataclass(frozen=True)
class Frame:
    """The size of a picture in pixels, and in coordinates."""

    width: int
    height: int

    @cached_property
    def pixel(self) -> float:
        """The side of one pixel, in coordinates."""
        return 1.0 / max(min(self.width, self.height), max(self.width, self.height) / 3)

    @property
    def right(self) -> float:
        """The x of the right edge; the left one is its negative."""
        return self.width * self.pixel / 2

    @property
    def bottom(self) -> float:
        """The y of the bottom edge; the top one is its negative."""
        return self.height * self.pixel / 2

    def rows(self, start: int, stop: int) -> View:
        """The pixels of rows `start` to `stop`."""
        x = (np.arange(self.width, dtype=np.float32) + np.float32(0.5)) * np.float32(self.pixel)
        y = (np.arange(start, stop, dtype=np.float32) + np.float32(0.5)) * np.float32(self.pixel)
        return View((x - np.float32(self.right))[None], (y - np.float32(self.bottom))[:, None], self.pixel)

    def grid(self, density: int) -> View:
        """Sample points over all of the picture and a margin around it, `density` to a unit."""
        step = 1.0 / density
        nx, ny = (int((side + 0.12) * density) + 2 for side in (self.right, self.bottom))
        x = np.arange(-nx, nx + 1, dtype=np.float32) * np.float32(step)
        y = np.arange(-ny, ny + 1, dtype=np.float32) * np.float32(step)
        return View(x[None], y[:, None], step)


class Field:
    """Samples on a lattice, seen as a smooth function: a uniform cubic B-spline, clamped at the edges."""

    def __init__(self, samples: Plane, left: float, top: float, step_x: float, step_y: float) -> None:
        self._samples = samples
        self._origin = (left, top)
        self._steps = (step_x, step_y)

    @classmethod
    def over(cls, grid: View, samples: Plane) -> "Field":
        """The field whose samples were taken at the points of `grid`."""
        return cls(samples, float(grid.x[0, 0]), float(grid.y[0, 0]), grid.pixel, grid.pixel)

    def at(self, view: View) -> Plane:
        """The field's values over `view`, (rows, columns)."""
        ix, wx = _taps(view.x[0], self._origin[0], self._steps[0])
        iy, wy = _taps(view.y[:, 0], self._origin[1], self._steps[1])
        low, high = int(iy.min()) - 1, int(iy.max()) + 3
        rows, columns = self._samples.shape
        band = self._samples[np.clip(np.arange(low, high), 0, rows - 1)]
        across = _weighted(band, np.clip(ix - 1, 0, columns - 1), wx[0], 1)
        for k in (1, 2, 3):
            across += _weighted(band, np.clip(ix + (k - 1), 0, columns - 1), wx[k], 1)
        result = _weighted(across, iy - (low + 1), wy[0][:, None], 0)
        for k in (1, 2, 3):
            result += _weighted(across, iy - (low + 1) + k, wy[k][:, None], 0)
        return result


def _weighted(samples: Plane, places: NDArray[np.intp], weights: Plane, axis: int) -> Plane:
    part = samples.take(places, axis=axis, mode="clip")
    part *= weights
    return part


def _taps(points: Plane, origin: float, step: float) -> tuple[NDArray[np.intp], list[Plane]]:
    """For each point, the lattice cell it lies in and the weights of the four samples around it."""
    place = (points - np.float32(origin)) / np.float32(step)
    cell = np.floor(place)
    t = place - cell
    s = 1 - t
    t2, s2 = t * t, s * s
    outer, inner = np.float32(1 / 6), np.float32(2 / 3)
    near = inner - t2 + t2 * t * np.float32(0.5)
    far = inner - s2 + s2 * s * np.float32(0.5)
    return cell.astype(np.intp), [s2 * s * outer, near, far, t2 * t * outer]


def noise(chance: Chance, view: View, fx: float, fy: float | None = None) -> Plane:
    """Smooth noise, about -1..1, with `fx` bumps a unit across and `fy` down, over `view`."""
    return lattice(chance, fx, fy).at(view)


def lattice(chance: Chance, fx: float, fy: float | None = None, reach: float = 2.0) -> Field:
    """A field of noise that covers ±`reach` units, with `fx` bumps a unit across and `fy` down."""
    fy = fx if fy is None else fy
    nx, ny = int(2 * reach * fx) + 4, int(2 * reach * fy) + 4
    samples = chance.array(ny, nx) * np.float32(1.7)
    return Field(samples, -reach - 1 / fx, -reach - 1 / fy, 1 / fx, 1 / fy)


def fractal(chance: Chance, view: View, frequency: float, octaves: int = 5, *, tall: float = 1.0) -> Plane:
    """Noise upon noise, about -1..1: each octave twice as fine and half as strong. `tall` > 1 lies it down."""
    total = np.zeros(view.shape, np.float32)
    for octave in range(octaves):
        scale = float(1 << octave)
        layer = noise(chance.of(str(octave)), view, frequency * scale, frequency * scale * tall)
        total += layer * np.float32(0.62 / scale)
    return total


class Curve:
    """Noise along a line, about -1..1, as a table that is looked up linearly."""

    _DENSITY, _REACH = 640, 2.0

    def __init__(self, chance: Chance, frequency: float, octaves: int = 5, rough: float = 0.5) -> None:
        """`frequency`: bumps a unit. `rough`: how much each octave keeps of the one before."""
        points = np.arange(int(2 * self._REACH * self._DENSITY) + 2, dtype=np.float32)
        place, weight = points * np.float32(1 / self._DENSITY), 0.98
        self._table = np.zeros_like(place)
        for octave in range(octaves):
            f = frequency * (1 << octave)
            samples = chance.of(str(octave)).array(int(2 * self._REACH * f) + 5)
            cell, weights = _taps(place, 0.0, 1 / f)
            for k, w in enumerate(weights):
                self._table += w * samples[cell + k] * np.float32(weight)
            weight *= rough

    def at(self, points: Plane) -> Plane:
        """Its values at `points`, in their shape."""
        place = (points + np.float32(self._REACH)) * np.float32(self._DENSITY)
        place = np.clip(place, 0, len(self._table) - 2)
        cell = place.astype(np.intp)
        low = self._table.take(cell, mode="clip")
        result: Plane = low + (self._table.take(cell + 1, mode="clip") - low) * (place - cell.astype(np.float32))
        return result


def warped(samples: Plane, dx: Plane, dy: Plane) -> Plane:
    """`samples`, each taken (dx, dy) samples away from its place, bilinearly."""
    rows, columns = samples.shape
    x = np.clip(np.arange(columns, dtype=np.float32)[None] + dx, 0, columns - 1.001)
    y = np.clip(np.arange(rows, dtype=np.float32)[:, None] + dy, 0, rows - 1.001)
    ix, iy = np.floor(x), np.floor(y)
    tx, ty = x - ix, y - iy
    flat, at = samples.ravel(), (iy.astype(np.intp) * columns + ix.astype(np.intp))
    top = flat.take(at, mode="clip") + (flat.take(at + 1, mode="clip") - flat.take(at, mode="clip")) * tx
    low = (
        flat.take(at + columns, mode="clip")
        + (flat.take(at + columns + 1, mode="clip") - flat.take(at + columns, mode="clip")) * tx
    )
    result: Plane = top + (low - top) * ty
    return result


def dabs(chance: Chance, view: View, pitch: float) -> tuple[Plane, Plane]:
    """Round dabs, one to a cell of side `pitch`, shaken out of line: their cover 0..1, and a tone -1..1 each."""
    draws = chance.array(3, 64, 64)
    v = view.y * np.float32(1 / pitch)
    row = np.floor(v)
    u = view.x * np.float32(1 / pitch) + row * np.float32(0.37)
    column = np.floor(u)
    at = (row.astype(np.int32) & 63) * 64 + (column.astype(np.int32) & 63)
    at = at.astype(np.intp)
    off_x, off_y, tone = (draw.take(at, mode="clip") for draw in draws)
    dx = u - column - np.float32(0.5) - off_x * np.float32(0.17)
    dy = v - row - np.float32(0.5) - off_y * np.float32(0.17)
    lean = off_y * np.float32(0.8)
    across, along = dx + lean * dy, dy * np.float32(1.25) - lean * dx
    inside = np.float32(0.31) - np.sqrt(across * across + along * along)
    return np.clip(inside * np.float32(pitch / view.pixel) + np.float32(0.5), 0, 1), tone


def streaks(chance: Chance, vx: Plane, vy: Plane, length: int) -> Plane:
    """Brush marks, about -1..1: white noise averaged `length` samples each way along the flow (vx, vy)."""
    rows, columns = np.broadcast_shapes(vx.shape, vy.shape)
    speed = np.sqrt(vx * vx + vy * vy) + np.float32(1e-6)
    vx, vy = np.broadcast_to(vx / speed, (rows, columns)), np.broadcast_to(vy / speed, (rows, columns))
    flow_x, flow_y, grit = vx.ravel(), vy.ravel(), chance.array(rows, columns).ravel()
    total = grit.copy()
    for sign in (np.float32(1), np.float32(-1)):
        total += _walk(flow_x * sign, flow_y * sign, grit, (rows, columns), length)
    # The mean of m uniform draws narrows with the square root of m.
    scale = np.float32(0.95) / np.sqrt(np.float32(2 * length + 1))
    result: Plane = np.clip(total * scale, -1, 1).reshape(rows, columns)
    return result


def _walk(flow_x: Plane, flow_y: Plane, grit: Plane, shape: tuple[int, int], length: int) -> Plane:
    rows, columns = shape
    x = np.tile(np.arange(columns, dtype=np.float32), rows)
    y = np.repeat(np.arange(rows, dtype=np.float32), columns)
    at = np.arange(rows * columns, dtype=np.intp)
    total = np.zeros(rows * columns, np.float32)
    for _ in range(length):
        x += flow_x.take(at, mode="clip")
        y += flow_y.take(at, mode="clip")
        np.clip(x, 0, columns - 1, out=x)
        np.clip(y, 0, rows - 1, out=y)
        at = (y + np.float32(0.5)).astype(np.intp) * columns + (x + np.float32(0.5)).astype(np.intp)
        total += grit.take(at, mode="clip")
    return total
