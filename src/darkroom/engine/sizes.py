"""A size, said in pixels, as a text or as a shape: in whichever of these ways a backend takes it.

So that one request can be served by backends that differ in this.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from darkroom.errors import InvalidRequest

PIXELS: Final = ("width", "height")
TEXT: Final = "size"
SHAPE: Final = "aspect_ratio"
_RULES: Final[Mapping[str, Mapping[str, Any]]] = {
    TEXT: {
        "type": "string",
        "pattern": "^[1-9][0-9]{0,4}x[1-9][0-9]{0,4}$",
        "description": "Width and height in pixels, such as 1024x768; of a backend that knows only shapes, the shape.",
    },
    SHAPE: {
        "type": "string",
        "pattern": "^[1-9][0-9]{0,2}:[1-9][0-9]{0,2}$",
        "description": "Width to height, such as 16:9; instead of width and height.",
    },
}
_RIGHT: Final = {TEXT: "must be a size such as 1024x768", SHAPE: "must be a shape such as 16:9"}
USUAL: Final = 1024
STEP: Final = 16
"""Sides that are made of a shape are whole steps of so many pixels, as most backends want them."""

Takes = Mapping[str, Any]
"""What a backend takes, by name."""


def added(takes: Takes) -> dict[str, Any]:
    """The ways of saying a size that Darkroom adds to those that a backend takes, with their rules."""
    in_pixels = takes.keys() >= set(PIXELS)
    ways = [TEXT] if in_pixels or SHAPE in takes else []
    return {name: _RULES[name] for name in (*ways, *([SHAPE] if in_pixels else [])) if name not in takes}


def check(parameters: Mapping[str, Any], backends: Sequence[Takes]) -> None:
    """Raise `InvalidRequest` for a size in a way that is added for all `backends`, if it is none or is said twice."""
    for name in (TEXT, SHAPE):
        if name in parameters and all(name in added(takes) for takes in backends):
            if not re.fullmatch(_RULES[name]["pattern"], str(parameters[name])):
                raise InvalidRequest(_RIGHT[name], field=f"parameters.{name}")
            others = [other for other in (TEXT, SHAPE, *PIXELS) if other in parameters and other != name]
            if others:
                raise InvalidRequest(f"says the size once more, after {others[0]}", field=f"parameters.{name}")


def beside(parameters: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """`defaults`, without those for a size where `parameters` say one in another way."""
    if TEXT in parameters:
        said_otherwise: tuple[str, ...] = (*PIXELS, SHAPE)
    elif SHAPE in parameters:
        said_otherwise = (*PIXELS, TEXT)
    elif parameters.keys() & set(PIXELS):
        said_otherwise = (TEXT,)
    else:
        said_otherwise = ()
    return {name: value for name, value in defaults.items() if name not in said_otherwise}


def fitted(parameters: Mapping[str, Any], takes: Takes, defaults: Mapping[str, Any]) -> Mapping[str, Any]:
    """`parameters` with their size as a backend takes it. One that it cannot take stays as it is.

    `defaults`: of the model; a shape has about as many pixels as these.
    """
    said = [name for name in (TEXT, SHAPE) if name in parameters and name in added(takes)]
    if not said or not re.fullmatch(_RULES[said[0]]["pattern"], str(parameters[said[0]])):
        return parameters
    others = {name: value for name, value in parameters.items() if name != said[0]}
    size = _of_text(parameters[TEXT], takes) if said[0] == TEXT else _of_shape(parameters[SHAPE], defaults)
    return {**others, **size}


def _of_text(text: str, takes: Takes) -> dict[str, Any]:
    width, height = map(int, text.split("x"))
    if takes.keys() >= set(PIXELS):
        return {"width": width, "height": height}
    common = math.gcd(width, height)
    return {SHAPE: f"{width // common}:{height // common}"}


def _of_shape(shape: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    width, height = map(int, shape.split(":"))
    return sides(width / height, defaults.get("width", USUAL) * defaults.get("height", USUAL))


def sides(shape: float, area: float) -> dict[str, int]:
    """The width and height of about so many pixels in a shape (width by height), both whole steps."""
    return {"width": _even(math.sqrt(area * shape)), "height": _even(math.sqrt(area / shape))}


def _even(side: float) -> int:
    return max(STEP, round(side / STEP) * STEP)


def said_as(name: str, parameters: Mapping[str, Any]) -> str:
    """What a caller said for `name`, which their size was made into."""
    if name in parameters or name not in (*PIXELS, SHAPE):
        return name
    return next((way for way in (TEXT, SHAPE) if way in parameters), name)
