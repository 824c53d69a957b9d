"""From OpenAI's names to the parameters of a model of ours.

A hint, which sways cost, safety or manner, is left out where the model cannot take it. What would visibly be
another picture is an error then.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from darkroom.api.openai.requests import ImagesRequest
from darkroom.engine.catalogue import Catalogue, Model
from darkroom.engine.parameters import validator_of
from darkroom.errors import InvalidRequest

_SIZE: Final = re.compile(r"([0-9]{1,9})[xX]([0-9]{1,9})")
_QUALITIES: Final = frozenset({"auto", "low", "medium", "high", "xhigh", "max", "standard", "hd"})
_LEVELS: Final = frozenset({"auto", "low", "medium", "high"})
HINTS: Final[Mapping[str, frozenset[Any]]] = {
    "quality": _QUALITIES,
    "style": frozenset({"vivid", "natural"}),
    "moderation": _LEVELS,
    "complexity": _LEVELS,
    "input_fidelity": _LEVELS,
    "output_compression": frozenset(range(101)),
    "background": frozenset({"auto", "opaque"}),
}
"""What OpenAI knows of each: other values are left to the model to refuse."""
OF_OTHER_FORMATS: Final = frozenset({"frame_count", "frame_duration_ms", "svg"})
"""These say how a GIF or an SVG is made, which are refused as formats."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """What an edit starts from, each as text that says where it is: a `data:` URI, an address, a file's id."""

    images: Sequence[str] = ()
    others: Mapping[str, str] = field(default_factory=dict)


NO_PICTURES: Final = Pictures()


def model_called(catalogue: Catalogue, name: str | None) -> Model:
    """The model of that name, or one that goes by it at a backend of its own. Raises `UnknownModel`."""
    if name and catalogue.find(name) is None:
        served = [model for model in catalogue if any(route.model == name for route in model.routes)]
        if served:
            return min(served, key=lambda model: model.problem is not None)
    return catalogue.get(name)


def parameters_of(wish: ImagesRequest, pictures: Pictures, model: Model, *, lenient: bool) -> dict[str, Any]:
    """What `wish` asks of `model`; `lenient`: what the model cannot do is left out. Raises `InvalidRequest`."""
    takes: Mapping[str, Any] = model.schema.get("properties", {})
    asked = {name: value for name in ("n", "output_format") if (value := getattr(wish, name)) is not None}
    asked |= _more(wish.more, takes) | _size(wish.size) | _hints(wish, takes)
    given = _start(pictures.images, takes) | dict(pictures.others)
    if wish.background == "transparent" and "background" not in asked:
        given["background"] = wish.background
    if lenient:
        given = {name: value for name, value in given.items() if name in takes}
    elif "background" in given:
        raise InvalidRequest(f"{model.name} makes no transparent background", field="background")
    return asked | given


def _more(fields: Mapping[str, Any], takes: Mapping[str, Any]) -> dict[str, Any]:
    """What OpenAI does not know, for the model to take or to refuse; texts of a form as what they stand for."""
    return {name: _plain(value, takes.get(name, {})) for name, value in fields.items() if name not in OF_OTHER_FORMATS}


def _plain(value: Any, rule: Mapping[str, Any]) -> Any:
    if not isinstance(value, str) or _fits(value, rule):
        return value
    try:
        read = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return read if _fits(read, rule) else value


def _size(size: str | None) -> dict[str, Any]:
    if size in (None, "auto"):
        return {}
    found = _SIZE.fullmatch(size or "")
    if found is None:
        raise InvalidRequest("must be a size such as 1024x1024, or auto", field="size")
    return {"size": f"{int(found[1])}x{int(found[2])}"}


def _hints(wish: ImagesRequest, takes: Mapping[str, Any]) -> dict[str, Any]:
    said = {name: getattr(wish, name) for name in HINTS}
    return {
        name: value
        for name, value in said.items()
        if value is not None and name in takes and (value not in HINTS[name] or _fits(value, takes[name]))
    }


def _fits(value: Any, rule: Mapping[str, Any]) -> bool:
    return validator_of(rule).is_valid(value)


def _start(images: Sequence[str], takes: Mapping[str, Any]) -> dict[str, Any]:
    if not images:
        return {}
    if len(images) == 1 and ("image" in takes or "images" not in takes):
        return {"image": images[0]}
    if "image" not in takes or not images[1:]:
        return {"images": list(images)}
    if "images" not in takes:
        raise InvalidRequest(f"this model takes one picture, and not {len(images)}", field="image")
    return {"image": images[0], "images": list(images[1:])}
