"""Errors on the wire: `application/problem+json` (RFC 9457), or what the clients of a drop-in surface read."""

import math
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.types import Scope

from darkroom.api.declared import allowed_methods, known_names
from darkroom.errors import DarkroomError
from darkroom.telemetry.logs import request_id

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
LONGEST_NAME = 200
RETRYABLE = (429, 503)
RETRY_AFTER = {
    "Retry-After": {"description": "Seconds to wait.", "required": True, "schema": {"type": "integer", "minimum": 1}}
}


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    field: str = Field(description="The field, dotted: `parameters.width`.")
    message: str = Field(description="What is wrong, and what would be right.")


class Problem(BaseModel):
    """An error, as RFC 9457 has it, with a code that programs can tell apart."""

    type: str = Field(default="about:blank", description="A URI for the kind of problem.")
    title: str = Field(description="The kind of problem, the same each time.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened this time, and what to do.")
    code: str = Field(description="The kind of problem, for programs.")
    errors: list[FieldProblem] = Field(default=[], description="What is wrong, field by field.")


Responses = dict[int | str, dict[str, Any]]


def responses(*statuses: int) -> Responses:
    """The OpenAPI declaration of error answers with these statuses."""
    return {status: _declared(status) for status in statuses}


def _declared(status: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    answer = {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
    return answer | ({"headers": RETRY_AFTER} if status in RETRYABLE else {})


ALWAYS = responses(403, 408, 413, 500)
"""What every route may answer: by the guards that it stands behind, or when something breaks."""


Headers = Mapping[str, str]
Shape = Callable[[Problem, Headers], Response]
"""How a surface says a problem; `headers` come with it whatever its shape is."""

AS_IT_IS: Headers = {}

SAFETY: Headers = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer"}
"""What every answer says: browsers neither guess at what it is, nor frame it, nor tell others of a signed link."""


def render(problem: Problem, headers: Headers = AS_IT_IS) -> Response:
    """`problem` as RFC 9457 has it."""
    return Response(problem.model_dump_json(), problem.status, dict(headers), MEDIA_TYPE)


def say(scope: Scope, problem: Problem, headers: Headers = AS_IT_IS) -> Response:
    """`problem` in the shape of the surface that a request of this `scope` came to."""
    shapes: Mapping[str, Shape] = scope["app"].state.shapes
    of_surface = (shape for prefix, shape in shapes.items() if f"{scope['path']}/".startswith(prefix))
    return next(of_surface, render)(problem, headers)


def refuse(scope: Scope, error: DarkroomError) -> Response:
    """An error of ours as an answer to a request of this `scope`."""
    errors = [FieldProblem(field=error.field, message=error.message)] if error.field else []
    problem = Problem(
        title=error.title, status=error.status, detail=error.message, code=error.code, errors=errors
    )  # fmt: skip
    headers = {}
    if error.status in RETRYABLE:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after or 1)))
    return say(scope, problem, headers)


def install(app: FastAPI, shapes: Mapping[str, Shape] | None = None) -> None:
    """Have every error that leaves a route of `app` said as a problem; below the prefixes of `shapes`, in these."""
    app.state.shapes = dict(shapes or {})
    app.add_exception_handler(DarkroomError, _darkroom_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)


async def _darkroom_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DarkroomError)
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("request_failed", path=request.url.path, code=error.code, reason=error.message)
    return refuse(request.scope, error)


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return _invalid(request, [_field_problem(item, request) for item in error.errors()], 422)


def _invalid(request: Request, errors: list[FieldProblem], status: int) -> Response:
    problem = Problem(
        title="The request is not valid",
        status=status,
        detail="; ".join(f"{item.field}: {item.message}" for item in errors),
        code="invalid_request",
        errors=errors,
    )
    return say(request.scope, problem)


def _field_problem(item: Mapping[str, Any], request: Request) -> FieldProblem:
    return FieldProblem(field=_name(item["loc"]), message=printable(_message(item, request)))


def _message(item: Mapping[str, Any], request: Request) -> str:
    match item["type"]:
        case "json_invalid":
            return f"this is not JSON: {item['ctx']['error']}"
        case "model_attributes_type":
            return "must be a JSON object, sent with Content-Type: application/json"
        case "extra_forbidden":
            known = known_names(request.app, request.url.path, request.method, item["loc"][0])
            return f"there is no such field; there are: {', '.join(known)}"
        case "string_unicode":
            return "may not hold half of a surrogate pair"
        case "string_pattern_mismatch":
            return "must be visible ASCII characters, without a space"
    message: str = item["msg"]
    return message.removeprefix("Value error, ")


def _name(location: Sequence[Any]) -> str:
    """The field's name, dotted; of what is no JSON at all, `body`."""
    parts = [str(part) for part in location if part != "[key]"]
    is_position = len(location) == 2 and location[0] == "body" and isinstance(location[1], int)
    inside = [] if is_position else parts[1:]
    return printable(".".join(inside))[:LONGEST_NAME] or parts[0]


def printable(text: str) -> str:
    """`text` as it can be sent: half a surrogate pair cannot."""
    return text.encode(errors="replace").decode()


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.BAD_REQUEST and error.__cause__ is not None:
        return _invalid(request, [FieldProblem(field="body", message=_unreadable(error.__cause__))], error.status_code)
    phrase = HTTPStatus(error.status_code).phrase
    headers, detail = dict(error.headers or {}), str(error.detail)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(allowed_methods(request.app, request.url.path))
        detail = f"this path takes {headers['Allow']}"
    elif error.status_code == HTTPStatus.NOT_FOUND:
        detail = "there is nothing at this path"
    problem = Problem(title=phrase, status=error.status_code, detail=detail, code=phrase.lower().replace(" ", "_"))
    return say(request.scope, problem, headers)


def _unreadable(cause: BaseException) -> str:
    """Why a body could not be read, which the framework answers with 400."""
    match cause:
        case UnicodeError():
            return "must be UTF-8"
        case RecursionError():
            return "is nested too deeply"
        case ValueError():
            return "holds a number that is too long"
    return "cannot be read"


async def _unexpected(request: Request, error: Exception) -> Response:
    """The traceback is logged; the caller learns nothing of it but the id to look for.

    It is answered outside of all middleware, and the server closes the connection after it.
    """
    problem = Problem(title="Internal error", status=500, detail="something broke here", code="internal_error")
    return say(request.scope, problem, {**SAFETY, "X-Request-ID": request_id(), "Connection": "close"})
