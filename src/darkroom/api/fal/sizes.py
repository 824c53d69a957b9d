"""Sizes as fal has them, in whatever a model takes for one."""

import math
from collections.abc import Mapping
from typing import Any, Final

from darkroom.api.wishes import shape_of, sides
from darkroom.errors import InvalidRequest

SIZES: Final = ("image_size", "aspect_ratio")
"""The parameters that say a size; the first one wins."""

PRESETS: Final[Mapping[str, tuple[int, int]]] = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}
"""fal's names for sizes, in pixels."""

AS_IT_COMES: Final = ("auto", "default")


def size_of(name: str, value: Any, takes: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters for the size that `value` of `name` is. Raises `InvalidRequest`.

    `takes`: the model's. One that takes none of ours for a size gets what was sent, for the engine to refuse.
    """
    if value in AS_IT_COMES:
        return {}
    both = {"width", "height"} <= takes.keys()
    if name == "aspect_ratio":
        return _shaped(value, defaults) if both else {name: value}
    width, height = _pixels(value)
    if both:
        return {"width": width, "height": height}
    if "size" in takes:
        return {"size": f"{width}x{height}"}
    common = math.gcd(width, height)
    return {"aspect_ratio": f"{width // common}:{height // common}"} if "aspect_ratio" in takes else {name: value}


def _pixels(value: Any) -> tuple[int, int]:
    if isinstance(value, str) and value in PRESETS:
        return PRESETS[value]
    if isinstance(value, Mapping) and value.keys() == {"width", "height"}:
        width, height = value["width"], value["height"]
        if type(width) is int and type(height) is int and width > 0 and height > 0:
            return width, height
    raise InvalidRequest(f"must be one of {', '.join(PRESETS)}, or a width and a height in pixels", field="image_size")


def _shaped(value: Any, defaults: Mapping[str, Any]) -> dict[str, int]:
    """The width and height of a shape, of about as many pixels as the model makes by itself; both are even."""
    area = defaults.get("width", 1024) * defaults.get("height", 1024)
    return sides(shape_of(value, field="aspect_ratio"), area)
