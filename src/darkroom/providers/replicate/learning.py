"""What a model takes, read from its own OpenAPI document, in the words of the vocabulary."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import jsonschema_rs

from darkroom.providers.parameters import VOCABULARY, Parameter, schema_of

ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "width": ("width",),
    "height": ("height",),
    "aspect_ratio": ("aspect_ratio",),
    "n": ("num_outputs", "number_of_images", "num_images", "n"),
    "seed": ("seed",),
    "steps": ("num_inference_steps", "steps"),
    "guidance": ("guidance", "guidance_scale", "cfg"),
    "negative_prompt": ("negative_prompt",),
    "output_format": ("output_format",),
    "quality": ("quality",),
    "image": ("image", "input_image", "init_image"),
    "mask": ("mask",),
    "strength": ("prompt_strength", "strength"),
}
"""Our names, and what models at Replicate call them. Whatever else a model takes is passed through, not checked."""

CUSTOM: Final = "custom"
"""The aspect ratio of models that take `width` and `height` only then."""
_ONE: Final = {**VOCABULARY["n"], "maximum": 1}
_FORMATS: Final = {"jpg": "jpeg"}
_TYPES: Final = {"number": ("number", "integer")}
_LARGEST_NEST: Final = 4


@dataclass(frozen=True, slots=True)
class Learned:
    """What a model takes: its parameters, and the JSON Schema of them."""

    parameters: tuple[Parameter, ...]
    schema: Mapping[str, Any]


def learned_from(document: Mapping[str, Any]) -> Learned | None:
    """Read a version's `openapi_schema`; None if it says nothing of an input."""
    schemas = _table(document, "components", "schemas")
    stated = _table(schemas, "Input", "properties")
    required = _table(schemas, "Input").get("required") or ()
    if not stated:
        return None
    parameters = []
    for name, aliases in ALIASES.items():
        alias = next((each for each in aliases if each in stated), None)
        known = alias and _parameter(name, alias, _resolved(stated[alias], schemas))
        if known:
            parameters.append(replace(known, required=alias in required and "default" not in known.rule))
    parameters = _with_custom_sizes(parameters)
    schema = schema_of(parameters)
    schema["properties"].setdefault("n", _ONE)
    return Learned(tuple(parameters), schema)


def _parameter(name: str, alias: str, stated: Mapping[str, Any]) -> Parameter | None:
    """A parameter as narrow as both the vocabulary and the model say; None if nothing fits both."""
    rule = dict(VOCABULARY[name])
    if stated.get("type") not in _TYPES.get(rule["type"], (rule["type"],)):
        return None
    words = _words(stated)
    if words:
        rule["enum"] = [ours for ours in words if ours in rule.get("enum", words)]
        rule.pop("pattern", None)
    _narrow(rule, stated)
    if name == "n":
        rule.setdefault("maximum", max(rule.get("enum", [1])))
    if rule.get("enum") == [] or rule.get("minimum", 0) > rule.get("maximum", rule.get("minimum", 0)):
        return None
    default = rule.pop("default", stated.get("default"))
    default = next((ours for ours, theirs in words.items() if theirs == default), default)
    if name != "seed" and default is not None and jsonschema_rs.Draft202012Validator(rule).is_valid(default):
        rule["default"] = default
    return Parameter(name, rule, alias, {ours: theirs for ours, theirs in words.items() if ours != theirs})


def _words(stated: Mapping[str, Any]) -> dict[Any, Any]:
    """The values that it may have, by our words for them."""
    values = [each for each in stated.get("enum") or () if isinstance(each, (str, int, float))]
    return {_FORMATS.get(str(each), each): each for each in values}


def _narrow(rule: dict[str, Any], stated: Mapping[str, Any]) -> None:
    for bound, tighter in (("minimum", max), ("maximum", min)):
        if isinstance(stated.get(bound), (int, float)):
            rule[bound] = tighter(stated[bound], rule.get(bound, stated[bound]))


def _with_custom_sizes(parameters: list[Parameter]) -> list[Parameter]:
    """Where a size asks for the aspect ratio `custom`, that has no default: a size alone would change nothing."""
    named = {each.name: each for each in parameters}
    shape = named.get("aspect_ratio")
    if shape is None or not {"width", "height"} & named.keys() or CUSTOM not in shape.rule.get("enum", ()):
        return parameters
    open_rule = {key: value for key, value in shape.rule.items() if key != "default"}
    freed = replace(shape, rule=open_rule)
    return [freed if each is shape else each for each in parameters]


def _resolved(stated: Any, schemas: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """A property with what it refers to laid under it: enums are schemas of their own, through `allOf` and `$ref`."""
    if not isinstance(stated, Mapping) or depth > _LARGEST_NEST:
        return {}
    under: dict[str, Any] = {}
    if isinstance(stated.get("$ref"), str):
        under |= _resolved(schemas.get(stated["$ref"].rpartition("/")[2]), schemas, depth + 1)
    for part in (*stated.get("allOf", ()), *_without_null(stated.get("anyOf", ()))[:1]):
        under |= _resolved(part, schemas, depth + 1)
    return {**under, **{key: value for key, value in stated.items() if key not in ("$ref", "allOf", "anyOf")}}


def _without_null(choices: Any) -> list[Any]:
    return [each for each in choices if each != {"type": "null"}]


def _table(of: Any, *path: str) -> Mapping[str, Any]:
    for name in path:
        of = of.get(name) if isinstance(of, Mapping) else None
    return of if isinstance(of, Mapping) else {}
