"""What an app of fal's takes, read from the OpenAPI document that fal has of it, in Darkroom's names."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from darkroom.errors import Permanent
from darkroom.providers.parameters import Parameter, Rule, parameter

NAMES: Final = {
    "n": "num_images",
    "seed": "seed",
    "steps": "num_inference_steps",
    "guidance": "guidance_scale",
    "aspect_ratio": "aspect_ratio",
    "negative_prompt": "negative_prompt",
    "output_format": "output_format",
    "image": "image_url",
    "mask": "mask_url",
    "strength": "strength",
}
"""Our names and fal's. What else an app takes can be passed through."""

KEPT: Final = ("minimum", "maximum", "enum", "default")
SHAPES: Final = {
    "1:1": "square_hd",
    "4:3": "landscape_4_3",
    "16:9": "landscape_16_9",
    "3:4": "portrait_4_3",
    "9:16": "portrait_16_9",
}
"""Aspect ratios, and fal's names for sizes."""


def parameters_of(catalogue: Any, model: str) -> tuple[Parameter, ...]:
    """The parameters of an app, from the catalogue's answer. Raises `Permanent` where it does not say them."""
    try:
        document = next(each["openapi"] for each in catalogue["models"] if each["endpoint_id"] == model)
        schemas = document["components"]["schemas"]
        post = document["paths"][f"/{model}"]["post"]
        properties = _resolved(post["requestBody"]["content"]["application/json"]["schema"], schemas)["properties"]
    except (KeyError, TypeError, StopIteration) as error:
        raise Permanent(f"fal does not say what {model} takes: declare it in the route's options.parameters") from error
    named = {name: theirs for name, theirs in NAMES.items() if theirs in properties}
    plain = {name: {"as": theirs, **_rule(properties[theirs])} for name, theirs in named.items()}
    rules = {**_sizes(properties.get("image_size", {}), schemas), **plain}
    return tuple(parameter(name, rule) for name, rule in rules.items())


def _rule(stated: Mapping[str, Any]) -> Rule:
    """The part of their rule that is laid over ours; an optional value is stated as `anyOf` it and null."""
    branches = [stated, *stated.get("anyOf", ())]
    return {key: branch[key] for branch in branches for key in KEPT if branch.get(key) is not None}


def _sizes(stated: Mapping[str, Any], schemas: Mapping[str, Any]) -> dict[str, Rule]:
    """`image_size` is a name, or a width and a height; by itself it is what fal's default says."""
    rules: dict[str, Rule] = {}
    for branch in _branches(stated, schemas):
        if {"width", "height"} <= branch.get("properties", {}).keys():
            rules |= {name: {"as": f"image_size.{name}"} for name in ("width", "height")}
        shapes = {ours: theirs for ours, theirs in SHAPES.items() if theirs in branch.get("enum", ())}
        if shapes:
            rules["aspect_ratio"] = {"as": "image_size", "enum": list(shapes), "values": shapes}
    return rules


def _branches(stated: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for branch in (stated, *stated.get("anyOf", ()), *stated.get("allOf", ())):
        yield _resolved(branch, schemas)


def _resolved(stated: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    name = str(stated.get("$ref", "")).rpartition("/")[2]
    found: Mapping[str, Any] = schemas[name] if name else stated
    return found
