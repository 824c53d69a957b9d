"""What callers may say for a model, as JSON Schema: what its backends take, and what is added to it here."""

from collections.abc import Mapping, Sequence
from typing import Any

import jsonschema_rs

from darkroom.engine import sizes

OUTPUT_FORMAT = {
    "type": "string",
    "enum": ["png", "jpeg", "webp"],
    "description": "What the pictures are stored as. Left out: as the backend made them, untouched.",
}

ONE = {"type": "integer", "minimum": 1, "maximum": 1, "default": 1, "description": "How many pictures."}

REFERENCE = {"type": "string", "minLength": 1}
"""What callers may say for a picture, which is looked at when it is taken in; providers get `data:` URIs."""
HOW = "a file's id, a data: URI, or an https URL"
PICTURES: Mapping[str, Mapping[str, Any]] = {
    "image": {**REFERENCE, "description": f"The picture to start from: {HOW}."},
    "mask": {**REFERENCE, "description": f"Where to paint: {HOW}."},
    "images": {"type": "array", "items": REFERENCE, "description": f"The pictures to go by, each {HOW}."},
}
PROVIDER_OPTIONS = {
    "type": "object",
    "additionalProperties": {"type": "object"},
    "description": "What is passed through to a backend in its own words, by the account's name.",
}


def merged(schemas: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A schema of what any of `schemas` takes; where they differ about a parameter, either way will do."""
    if len(schemas) == 1:
        return dict(schemas[0])
    properties: dict[str, Any] = {}
    for schema in schemas:
        for name, rule in schema["properties"].items():
            if properties.setdefault(name, rule) != rule:
                properties[name] = _either(properties[name], rule)
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _either(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    said = {key: one[key] for key in ("description", "default") if key in one}
    ways = [*one.get("anyOf", [_bare(one)]), _bare(other)]
    return {**said, "anyOf": ways}


def _bare(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in rule.items() if key not in ("description", "default")}


def validator_of(schema: Mapping[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """A validator of parameters, compiled; its messages do not repeat the value. `ValueError` if `schema` is none."""
    return jsonschema_rs.Draft202012Validator(dict(schema), mask="this")


def with_our_own(schema: Mapping[str, Any], passes_to: str | None) -> dict[str, Any]:
    """A provider's parameter schema and what Darkroom itself adds to it. `passes_to`: whom `provider_options` reach.

    One picture can be asked for everywhere.
    """
    stated = {name: _as_callers_say_it(name, rule) for name, rule in schema.get("properties", {}).items()}
    properties = {"n": ONE, **stated, "output_format": OUTPUT_FORMAT}
    if passes_to is not None:
        properties["provider_options"] = PROVIDER_OPTIONS
    return {**schema, "properties": properties}


def with_sizes(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema with the ways of saying a size that are added to it."""
    return {**schema, "properties": {**schema["properties"], **sizes.added(schema["properties"])}}


def _as_callers_say_it(name: str, rule: Mapping[str, Any]) -> Mapping[str, Any]:
    """A provider's rule for a parameter, without what it says of `data:` URIs where that is a picture."""
    said = PICTURES.get(name)
    if said is None or rule.get("type") != said["type"]:
        return rule
    return {**said, **{key: rule[key] for key in ("minItems", "maxItems") if key in rule}}


def defaults_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults that a schema states for its properties."""
    properties = schema.get("properties", {})
    return {name: rule["default"] for name, rule in properties.items() if "default" in rule}
