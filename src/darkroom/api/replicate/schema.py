"""What a model takes, as the OpenAPI document that Replicate gives each version."""

from collections.abc import Mapping
from typing import Any, Final

from darkroom.engine.catalogue import Model
from darkroom.media.model import WEBHOOK_EVENTS
from darkroom.media.states import Status

STATUSES: Final[Mapping[Status, str]] = {
    Status.IN_QUEUE: "starting",
    Status.PROCESSING: "processing",
    Status.COMPLETED: "succeeded",
    Status.ERROR: "failed",
    Status.CANCELLED: "canceled",
}
EVENTS: Final[Mapping[str, str]] = dict(zip(("start", "logs", "output", "completed"), WEBHOOK_EVENTS, strict=True))
"""What the clients call the events of webhooks, and what we do."""

_ADDRESS = {"type": "string", "format": "uri"}
_PICTURES: Final[Mapping[str, Mapping[str, Any]]] = {
    "image": _ADDRESS,
    "mask": _ADDRESS,
    "images": {"type": "array", "items": _ADDRESS},
}
_PROMPT = {"type": "string", "title": "Prompt", "description": "What the picture shows.", "x-order": 0}
_OUTPUT = {"type": "array", "items": _ADDRESS, "title": "Output"}


def openapi(model: Model) -> dict[str, Any]:
    """The document; its `Input` is the prompt and the parameters of `model`."""
    schemas = {
        "Input": _input(model),
        "Output": _OUTPUT,
        "Status": {"type": "string", "title": "Status", "enum": list(STATUSES.values())},
        "WebhookEvent": {"type": "string", "title": "WebhookEvent", "enum": list(EVENTS)},
        "PredictionRequest": _request(),
        "PredictionResponse": _response(),
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": model.name, "version": "0.1.0"},
        "paths": {"/predictions": {"post": _operation()}},
        "components": {"schemas": schemas},
    }


def _input(model: Model) -> dict[str, Any]:
    rules = model.schema.get("properties", {})
    properties = {name: _property(model, name, order) for order, name in enumerate(rules, start=1) if name != "prompt"}
    beside = ("$schema", "properties", "additionalProperties", "required", "type")
    return {
        **{word: value for word, value in model.schema.items() if word not in beside},
        "type": "object",
        "title": "Input",
        "required": ["prompt", *model.schema.get("required", ())],
        "properties": {"prompt": _PROMPT, **properties},
    }


def _property(model: Model, name: str, order: int) -> dict[str, Any]:
    rule: Mapping[str, Any] = model.schema["properties"][name]
    if name in _PICTURES:
        rule = {**_PICTURES[name], "description": "A picture: an uploaded file, an https: address or a data: URI."}
    default = {"default": model.defaults[name]} if name in model.defaults else {}
    return {**rule, **default, "title": name.replace("_", " ").capitalize(), "x-order": order}


def _request() -> dict[str, Any]:
    events = {"type": "array", "items": _of("WebhookEvent")}
    properties = {"input": _of("Input"), "webhook": _ADDRESS, "webhook_events_filter": events}
    return {"type": "object", "title": "PredictionRequest", "required": ["input"], "properties": properties}


def _response() -> dict[str, Any]:
    properties = {
        "id": {"type": "string"},
        "status": _of("Status"),
        "input": _of("Input"),
        "output": _of("Output"),
        "error": {"type": "string"},
        "logs": {"type": "string"},
    }
    return {"type": "object", "title": "PredictionResponse", "properties": properties}


def _operation() -> dict[str, Any]:
    return {
        "operationId": "predict",
        "requestBody": {"content": {"application/json": {"schema": _of("PredictionRequest")}}},
        "responses": {
            "200": {"description": "OK", "content": {"application/json": {"schema": _of("PredictionResponse")}}}
        },
    }


def _of(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
