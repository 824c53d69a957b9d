"""The compositions, by name: each takes a scene and answers with a shader."""

from collections.abc import Callable

from darkroom.providers.sketch.families.abstract import paper, silk
from darkroom.providers.sketch.families.city import city
from darkroom.providers.sketch.families.cosmos import cosmos
from darkroom.providers.sketch.families.figures import figure
from darkroom.providers.sketch.families.growth import bloom, forest
from darkroom.providers.sketch.families.land import horizon, ridges
from darkroom.providers.sketch.scene import Scene, Shader

FAMILIES: dict[str, Callable[[Scene], Shader]] = {
    "horizon": horizon,
    "ridges": ridges,
    "forest": forest,
    "city": city,
    "bloom": bloom,
    "cosmos": cosmos,
    "figure": figure,
    "paper": paper,
    "silk": silk,
}
