"""A size, said in pixels, as a text or as a shape: in whichever of these ways a backend takes it.

So that one request can be served by backends that differ in this.
"""

import math
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
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


def problem(parameters: Mapping[str, Any], backends: Sequence[Takes]) -> InvalidRequest | None:
    """What is wrong with a size in a way that is added for one of `backends`: it is none, or is said twice."""
    for name in (TEXT, SHAPE):
        if name in parameters and any(name in added(takes) for takes in backends):
            if not _is_one(name, parameters[name]):
                return InvalidRequest(_RIGHT[name], field=f"parameters.{name}")
            if others := _besides(name, parameters):
                return InvalidRequest(f"says the size once more, after {others[0]}", field=f"parameters.{name}")
    return None


def _is_one(name: str, value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(_RULES[name]["pattern"], value) is not None


def _besides(name: str, parameters: Mapping[str, Any]) -> list[str]:
    return [other for other in (TEXT, SHAPE, *PIXELS) if other in parameters and other != name]


def beside(parameters: Mapping[str, Any], defaults: Mapping[str, Any], backends: Sequence[Takes]) -> dict[str, Any]:
    """`defaults`, without a size where `parameters` say one, unless all `backends` know both ways by themselves."""
    said = {_way_of(name) for name in parameters} - {None}
    ours = {way for takes in backends for way in added(takes)}
    dropped = {way for way in (TEXT, SHAPE, *PIXELS[:1]) if said - {way} and (said | {way}) & ours}
    return {name: value for name, value in defaults.items() if _way_of(name) not in dropped}


def _way_of(name: str) -> str | None:
    return PIXELS[0] if name in PIXELS else name if name in (TEXT, SHAPE) else None


def fitted(parameters: Mapping[str, Any], takes: Takes, declared: Mapping[str, Any]) -> Mapping[str, Any]:
    """`parameters` with their size as a backend takes it. One that it cannot take stays as it is.

    `declared`: the model's own defaults. A shape has about as many pixels as these, or else the backend's.
    """
    said = next((name for name in (TEXT, SHAPE) if name in parameters and name in added(takes)), None)
    if said is None or not _is_one(said, parameters[said]) or _besides(said, parameters):
        return parameters
    others = {name: value for name, value in parameters.items() if name != said}
    size = _of_text(parameters[TEXT], takes) if said == TEXT else _of_shape(parameters[SHAPE], takes, declared)
    return {**others, **size}


def _of_text(text: str, takes: Takes) -> dict[str, Any]:
    width, height = _sides_of(text)
    if takes.keys() >= set(PIXELS):
        return {"width": width, "height": height}
    common = math.gcd(width, height)
    return {SHAPE: f"{width // common}:{height // common}"}


def _of_shape(shape: str, takes: Takes, declared: Mapping[str, Any]) -> dict[str, Any]:
    width, height = map(int, shape.split(":"))
    own = {name: takes[name]["default"] for name in PIXELS if "default" in takes[name]}
    return sides(width / height, area_of(declared, area_of(own)), takes)


def area_of(defaults: Mapping[str, Any], otherwise: int = USUAL * USUAL) -> int:
    """The pixels of a picture by `defaults`."""
    if defaults.keys() >= set(PIXELS):
        return int(defaults["width"] * defaults["height"])
    return math.prod(_sides_of(defaults[TEXT])) if _is_one(TEXT, defaults.get(TEXT)) else otherwise


def _sides_of(text: str) -> tuple[int, int]:
    width, height = map(int, text.split("x"))
    return width, height


def sides(shape: float, area: float, takes: Takes = MappingProxyType({})) -> dict[str, int]:
    """The width and height of about so many pixels in a shape (width by height), in steps that a backend takes."""
    wanted = {"width": math.sqrt(area * shape), "height": math.sqrt(area / shape)}
    return {name: _even(side, takes.get(name, {})) for name, side in wanted.items()}


def _even(side: float, rule: Mapping[str, Any]) -> int:
    step = math.lcm(STEP, int(rule.get("multipleOf", 1)) or 1)
    return step * max(1, round(side / step))


def said_as(name: str, parameters: Mapping[str, Any]) -> str:
    """What a caller said for `name`, which their size was made into."""
    if name in parameters or name not in (*PIXELS, SHAPE):
        return name
    return next((way for way in (TEXT, SHAPE) if way in parameters), name)
