"""Open land and water: a horizon, or ridges behind ridges, under a painted sky."""

import numpy as np

from darkroom.providers.sketch.families.motifs import beacon, sails
from darkroom.providers.sketch.field import Curve, Plane, View, lattice
from darkroom.providers.sketch.paint import Planes, blend, edge, falloff, light, over, smooth
from darkroom.providers.sketch.palette import Ramp, colour, mix
from darkroom.providers.sketch.scene import Orb, Scene, Shader, distance, stars, vignette

# The sky from top to horizon: by night, in a storm, by day.
_AIR = (
    ("deep", "deep", "shade", "body"),
    ("deep", "shade", "body", "glow"),
    ("shade", "body", "glow", "light"),
)


class Sky:
    """A gradient with brushed clouds, lit by an orb near the horizon at `ground`."""

    def __init__(self, scene: Scene, ground: float) -> None:
        chance, palette = scene.chance.of("sky"), scene.palette.mixed(scene.setting, 0.5)
        self._top, self._ground = -scene.frame.bottom, ground
        night = scene.has("night")
        dark = night or scene.has("storm")
        self._air = palette.ramp(*_AIR[0 if night else 1 if dark else 2])
        self._mist = palette.ramp("shade", "body", "glow") if dark else palette.ramp("shade", "body", "glow", "light")
        self._clouds = scene.clouds("clouds", 1.1, 0.10 * scene.energy, tall=2.6)
        self._brush = scene.bristles("brush", (1.0, chance.uniform(-0.3, 0.3)), 0.25 * scene.energy)
        self._heavy = 0.35 * (scene.energy - 1) + (-0.15 if night else 0.0)
        self._stars = stars(scene, "stars", 260) if scene.has("stars") else None
        self.orb = _orb(scene, ground)

    def paint(self, view: View) -> Planes:
        """The sky all over the view."""
        brush = self._brush.at(view)
        height = (view.y - np.float32(self._top)) * np.float32(1 / (self._ground - self._top))
        near = falloff(distance(view, self.orb.x, self.orb.y), 0.55)
        canvas = self._air.at(height * np.float32(0.86) + near * np.float32(0.16) + brush * np.float32(0.05))
        if self._stars:
            self._stars(canvas, view, smooth(0.95, 0.45, height))
        self.orb.glimmer(canvas, view)
        veil = self._cloud(canvas, view, brush, near)
        self.orb.rise(canvas, view, 1 - veil * np.float32(0.6))
        return canvas

    def _cloud(self, canvas: Planes, view: View, brush: Plane, near: Plane) -> Plane:
        """Paint the clouds, and say how dense they are (0..1)."""
        mass = self._clouds.at(view) + brush * np.float32(0.13) + np.float32(self._heavy)
        above = self._clouds.at(view.moved(dx=0.012, dy=0.03))
        lit = (mass - above) * np.float32(0.9) + near * np.float32(0.42) + np.float32(0.36) + brush * np.float32(0.1)
        dense = smooth(-0.02, 0.62, mass)
        blend(canvas, self._mist.at(lit), dense * np.float32(0.82))
        return dense


def _orb(scene: Scene, ground: float) -> Orb:
    chance, palette = scene.chance.of("orb"), scene.palette
    night = scene.has("night")
    radius = chance.uniform(0.035, 0.06) if night else chance.uniform(0.05, 0.11)
    x = chance.pick((-1, 1)) * chance.uniform(0.08, 0.32) * min(1.0, scene.frame.right * 2)
    sky = ground + scene.frame.bottom
    y = ground - sky * (chance.uniform(0.45, 0.72) if night else chance.uniform(0.1, 0.42))
    glow = mix(palette["glow"], palette["light"], 0.35)
    # Brighter than white, so that it stands out of its own glow.
    disc = colour(mix(palette["light"], (1.2, 0.0, 0.02), 0.45))
    strength = 0.6 if night else 0.85 if scene.has("storm") else 1.1
    return Orb(x, y, radius, colour(glow), disc, strength)


def horizon(scene: Scene) -> Shader:
    """A wide sky over water that mirrors it."""
    chance = scene.chance.of("horizon")
    ground = scene.frame.bottom * chance.uniform(0.12, 0.4)
    sky = Sky(scene, ground)
    water = _Water(scene, ground, sky.orb)
    coast = _Coast(scene, ground)
    things = ([beacon(scene, ground, -1.0 if sky.orb.x > 0 else 1.0)] if scene.has("beacon") else []) + (
        [sails(scene, ground)] if scene.has("sail") else []
    )

    def shade(view: View) -> Planes:
        mirrored = water.mirrored(view)
        canvas = sky.paint(mirrored)
        coast.paint(canvas, mirrored)
        for thing in things:
            thing(canvas, mirrored)
        water.paint(canvas, view)
        vignette(scene.frame, canvas, view)
        return canvas

    return shade


class _Water:
    """Everything below `ground`: a mirror with waves, brighter under the orb."""

    def __init__(self, scene: Scene, ground: float, orb: Orb) -> None:
        chance, palette = scene.chance.of("water"), scene.palette
        self._ground, self._orb, self._energy = ground, orb, scene.energy
        self._depth = scene.frame.bottom - ground
        self._ramp = palette.ramp("body", "shade", "deep")
        self._glint = colour(mix(palette["light"], palette["glow"], 0.3))
        self._crest = palette.colour("glow")
        self._swell = [lattice(chance.of(f"swell{k}"), f, f * 8) for k, f in enumerate((4.0, 10.0, 24.0))]
        self._jitter = lattice(chance.of("jitter"), 2.0, 60.0)

    def mirrored(self, view: View) -> View:
        """The view, folded up at the horizon, rows shaken as waves do."""
        below = view.y - np.float32(self._ground)
        column = View(np.zeros((1, 1), np.float32), view.y, view.pixel)
        shake = self._jitter.at(column) * np.minimum(np.abs(below), np.float32(0.2)) * np.float32(0.32 * self._energy)
        folded = np.float32(self._ground) - np.abs(below * np.float32(0.9) + shake)
        return View(view.x, np.where(below > 0, folded, view.y), view.pixel)

    def paint(self, canvas: Planes, view: View) -> None:
        """Turn what the canvas shows below the horizon from a mirror image into water."""
        below = view.y - np.float32(self._ground)
        wet = edge(below, view.pixel)
        if not wet.any():
            return
        depth = np.clip(below * np.float32(1 / self._depth), 0, 1)
        waves = self._waves(view, depth)
        body = self._ramp.at(depth * np.float32(0.9) + waves * np.float32(0.12))
        blend(canvas, body, wet * (np.float32(0.4) + np.float32(0.36) * depth - waves * np.float32(0.14)))
        self._sparkle(canvas, view, waves, wet, depth)

    def _waves(self, view: View, depth: Plane) -> Plane:
        """Ripples that are fine far away and broad at one's feet."""
        broad, middle, fine = (swell.at(view) for swell in self._swell)
        far = fine * (1 - depth) * (1 - depth) * np.float32(0.9)
        waves: Plane = far + middle * np.float32(0.75) + broad * depth * np.float32(0.7)
        return waves

    def _sparkle(self, canvas: Planes, view: View, waves: Plane, wet: Plane, depth: Plane) -> None:
        width = self._orb.radius * (0.7 + 1.9 * depth)
        off = np.abs(view.x - np.float32(self._orb.x)) / width
        path = 1 / (1 + off * off * off)
        glitter = smooth(0.72, 1.0, waves * np.float32(0.85) + path * np.float32(0.62))
        light(canvas, self._glint, glitter * path * wet * np.float32(0.75 * self._orb.strength))
        crest = smooth(0.6, 1.3, waves * np.float32(self._energy)) * wet
        light(canvas, self._crest, crest * np.float32(0.2 * self._orb.strength))


class _Coast:
    """One or two far shores on the horizon."""

    def __init__(self, scene: Scene, ground: float) -> None:
        chance, palette = scene.chance.of("coast"), scene.palette
        self._ground = ground
        self._lines = [Curve(chance.of(f"line{k}"), 1.3, 6) for k in range(2)]
        self._shores = [
            (chance.uniform(0.03, 0.10), chance.uniform(-0.5, 0.1), colour(mix(palette["body"], palette["shade"], s)))
            for s in (0.25, 0.85)
        ]

    def paint(self, canvas: Planes, view: View) -> None:
        """Their silhouettes, over what the canvas shows."""
        for line, (height, level, tone) in zip(self._lines, self._shores, strict=True):
            hills = line.at(view.x) + np.float32(level)
            top = np.float32(self._ground) - np.maximum(hills, 0) * np.float32(height)
            over(canvas, tone, edge(view.y - top, view.pixel) * (hills > 0) * np.float32(0.88))


def ridges(scene: Scene) -> Shader:
    """Ridge behind ridge, each one paler with distance, under a brushed sky."""
    chance = scene.chance.of("ridges")
    ground = scene.frame.bottom * chance.uniform(-0.05, 0.25)
    sky = Sky(scene, ground)
    count = chance.integer(5, 7)
    layers = [_Ridge(scene, k / (count - 1), ground, sky.orb) for k in range(count)]

    def shade(view: View) -> Planes:
        hidden = [k for k, layer in enumerate(layers) if layer.covers(view)]
        canvas = np.zeros((3, *view.shape), np.float32) if hidden else sky.paint(view)
        for layer in layers[max(hidden, default=0) :]:
            layer.paint(canvas, view)
        vignette(scene.frame, canvas, view)
        return canvas

    return shade


class _Ridge:
    """One ridge. `near`: 0 at the horizon, 1 at one's feet."""

    def __init__(self, scene: Scene, near: float, ground: float, orb: Orb) -> None:
        chance = scene.chance.of(f"ridge{near:.2f}")
        self._near, self._orb = near, orb
        self._dunes, self._snow = scene.has("dunes"), scene.has("snow")
        span = scene.frame.bottom - ground
        self._base = ground - 0.1 + span * 1.02 * near
        self._height = 0.22 - 0.1 * near
        dune = Curve(chance.of("mass"), 0.9 + near * 0.5, 2, 0.35)
        self._mass = dune if self._dunes else Curve(chance.of("mass"), 1.1 + near * 0.5, 8, 0.46)
        self._crest = Curve(chance.of("crest"), 1.7, 6)
        self._ramp = _depth_ramp(scene, near)
        self._texture = scene.clouds(f"rock{near:.2f}", 3.0 + 2.0 * near, 0.06, tall=3.0 if self._dunes else 1.0)
        self._fog = 0.75 if scene.has("fog") else 0.42
        self._haze = _depth_ramp(scene, max(near - 0.3, 0.0)).one(0.75)
        self._rim = colour(scene.palette["light"])

    def covers(self, view: View) -> bool:
        """Whether nothing behind it is to be seen."""
        return float(view.y.min()) > float(self._top(view.x).max()) + view.pixel

    def paint(self, canvas: Planes, view: View) -> None:
        """Lay the ridge over the canvas."""
        top = self._top(view.x)
        inside = view.y - top
        cover = edge(inside, view.pixel)
        if not cover.any():
            return
        lit = self._slope(view, top, inside)
        texture = self._texture.at(view)
        tone = lit * np.float32(0.5) + texture * np.float32(0.2) + np.float32(0.38)
        layer = self._ramp.at(tone - smooth(0.0, 0.5, inside) * np.float32(0.2))
        if self._snow:
            self._cap(layer, inside, texture, lit)
        over(layer, self._haze, smooth(0.03, 0.34, inside) * np.float32(self._fog * (1 - self._near * 0.7)))
        blend(canvas, layer, cover)

    def _top(self, x: Plane) -> Plane:
        line = self._mass.at(x)
        if not self._dunes:
            crest = 1 - np.abs(self._crest.at(x)) * np.float32(2.2)
            line = line * np.float32(0.7) + crest * np.float32(0.55 - 0.3 * self._near)
        return np.float32(self._base) - line * np.float32(self._height)

    def _slope(self, view: View, top: Plane, inside: Plane) -> Plane:
        """-1..1: how much the ground turns to the orb, from the outline and, below it, from the texture."""
        step = 0.02
        rise = (self._top(view.x + np.float32(step)) - top) * np.float32(1 / step)
        side = 1.0 if self._orb.x > 0 else -1.0
        facet = np.clip(rise * np.float32(side * 0.8), -1, 1) * smooth(0.2 if self._dunes else 0.09, 0.0, inside)
        rock = self._texture.at(view.moved(dx=0.016 * side, dy=-0.016))
        here = self._texture.at(view)
        lit: Plane = facet * np.float32(0.6) + (here - rock) * np.float32(2.0)
        return lit

    def _cap(self, layer: Planes, inside: Plane, texture: Plane, lit: Plane) -> None:
        reach = np.float32(0.085 - 0.03 * self._near) + texture * np.float32(0.1) + lit * np.float32(0.08)
        over(
            layer,
            self._rim,
            smooth(0.03, -0.03, inside - reach) * (np.float32(0.5) + np.clip(lit, -1, 1) * np.float32(0.4)),
        )


def _depth_ramp(scene: Scene, near: float) -> Ramp:
    """Dark to light for a ridge: far ones are all haze, near ones deep."""
    palette = scene.palette
    far = ("shade", "body", "glow") if scene.has("night") or scene.has("snow") else ("body", "glow", "light")
    close = ("deep", "shade", "body")
    pairs = [mix(palette[a], palette[b], near) for a, b in zip(far, close, strict=True)]
    return Ramp([mix(pairs[0], pairs[1], 0.25), pairs[1], mix(pairs[1], pairs[2], 0.75)])
