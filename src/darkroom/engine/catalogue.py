"""The models that callers may ask for: their routes, their parameters, and what is wrong with a request."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jsonschema_rs

from darkroom.errors import InvalidRequest, UnknownModel
from darkroom.providers.base import Provider

OUTPUT_FORMAT = {
    "type": "string",
    "enum": ["png", "jpeg", "webp"],
    "description": "What the pictures are stored as. Left out: as the backend made them, untouched.",
}

LONGEST_ECHO = 100
"""Characters of a name from a caller that an error repeats."""


@dataclass(frozen=True, slots=True)
class Route:
    """One way to serve a model: a provider, by its name here, and its own name for the model."""

    provider_name: str
    provider: Provider
    model: str


@dataclass(frozen=True, slots=True)
class Model:
    """A name that callers pick, and all it takes to serve it."""

    name: str
    description: str
    lane: str
    routes: tuple[Route, ...]
    schema: Mapping[str, Any]
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def route_of(self, provider_name: str) -> Route | None:
        """The route by which an earlier job went, if the model still has it."""
        return next((route for route in self.routes if route.provider_name == provider_name), None)


class Catalogue:
    """The models by name. Checks parameters against the schema of the model's first route."""

    def __init__(self, models: Sequence[Model], *, default: str) -> None:
        self._models = {model.name: model for model in models}
        self._validators = {name: validator_of(model.schema) for name, model in self._models.items()}
        self.default = default

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models.values())

    def find(self, name: str) -> Model | None:
        """The model of that name."""
        return self._models.get(name)

    def get(self, name: str | None) -> Model:
        """The model of that name, or the default one. Raises `UnknownModel`, listing those there are."""
        model = self._models.get(name or self.default)
        if model is None:
            known = ", ".join(sorted(self._models))
            raise UnknownModel(f"there is no model {name!r}; there are: {known}", field="model")
        return model

    def complete(self, model: Model, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """`parameters` with the model's defaults filled in. Raises `InvalidRequest` at the first that is wrong."""
        completed = {**model.defaults, **parameters}
        for error in self._validators[model.name].iter_errors(completed):
            raise _as_invalid(error, model)
        return {name: _whole(value) for name, value in completed.items()}


def validator_of(schema: Mapping[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """A validator of parameters, compiled; its messages do not repeat the value. `ValueError` if `schema` is none."""
    return jsonschema_rs.Draft202012Validator(dict(schema), mask="this")


def with_output_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A provider's parameter schema and what Darkroom itself adds to it."""
    return {**schema, "properties": {**schema.get("properties", {}), "output_format": OUTPUT_FORMAT}}


def defaults_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults that a schema states for its properties."""
    properties = schema.get("properties", {})
    return {name: rule["default"] for name, rule in properties.items() if "default" in rule}


def checked_defaults(name: str, schema: Mapping[str, Any], defaults: Mapping[str, Any]) -> Mapping[str, Any]:
    """`defaults`, if they suit `schema`. Raises `InvalidRequest`."""
    model = Model(name, "", "", (), schema)
    return Catalogue([model], default=name).complete(model, defaults)


def _whole(value: Any) -> Any:
    """JSON Schema holds 7.0 for an integer; a provider gets 7."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _as_invalid(error: jsonschema_rs.ValidationError, model: Model) -> InvalidRequest:
    path = [str(part) for part in error.instance_path]
    known = model.schema.get("properties", {})
    if not path and error.kind.name == "additionalProperties":
        unknown = error.kind.as_dict()["unexpected"][0][:LONGEST_ECHO]
        return InvalidRequest(
            f"{model.name} has no parameter {unknown!r}; it takes: {', '.join(sorted(known))}",
            field=f"parameters.{unknown}",
        )
    rule = known.get(path[0], {}) if path else {}
    facts = {key: rule[key] for key in ("type", "enum", "minimum", "maximum") if key in rule}
    right = f"; it must be {json.dumps(facts)}" if facts else ""
    return InvalidRequest(f"{error.message}{right}", field=".".join(["parameters", *path]))
