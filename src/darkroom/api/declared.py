"""What the schema declares, to tell a caller what would have been right."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from starlette.routing import Route, compile_path


def allowed_methods(app: FastAPI, path: str) -> list[str]:
    """The methods that `path` has, in capitals."""
    declared = {method.upper() for method in _operations(app, path)}
    return sorted(declared or _undeclared(app, path))


def _undeclared(app: FastAPI, path: str) -> set[str]:
    """The methods that the drop-in surfaces, which are not in the schema, have at `path`."""
    routes = (route for route in app.routes if isinstance(route, Route) and route.path_regex.match(path))
    return {method for route in routes for method in route.methods or ()}


def known_names(app: FastAPI, path: str, method: str, where: str) -> Sequence[str]:
    """The names that an operation takes in its body or, for any other `where`, among those parameters."""
    operation = _operations(app, path).get(method.lower(), {})
    if where != "body":
        return [parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == where]
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    return list(app.openapi()["components"]["schemas"].get(name, {}).get("properties", ()))


def _operations(app: FastAPI, path: str) -> Mapping[str, Any]:
    """What can be done at `path`, by method; a path without parameters goes before one with."""
    paths: Mapping[str, Mapping[str, Any]] = app.openapi()["paths"]
    if path in paths:
        return paths[path]
    matching = (operations for template, operations in paths.items() if compile_path(template)[0].match(path))
    return next(matching, {})
