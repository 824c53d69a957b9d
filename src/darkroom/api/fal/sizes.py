"""Sizes as fal has them."""

from collections.abc import Mapping
from typing import Any, Final

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


def size_of(name: str, value: Any, takes: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters for the size that `value` of `name` is. Raises `InvalidRequest`.

    `takes`: the model's. One that takes no size gets what was sent, for the engine to refuse.
    """
    if value in AS_IT_COMES:
        return {}
    if name == "aspect_ratio" or "size" not in takes:
        return {name: value}
    width, height = _pixels(value)
    return {"size": f"{width}x{height}"}


def _pixels(value: Any) -> tuple[int, int]:
    if isinstance(value, str) and value in PRESETS:
        return PRESETS[value]
    if isinstance(value, Mapping) and value.keys() == {"width", "height"}:
        width, height = value["width"], value["height"]
        if type(width) is int and type(height) is int and width > 0 and height > 0:
            return width, height
    raise InvalidRequest(f"must be one of {', '.join(PRESETS)}, or a width and a height in pixels", field="image_size")
