"""Errors on the wire: `application/problem+json` (RFC 9457), rendered here and nowhere else."""

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from darkroom.errors import DarkroomError

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"


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
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def render(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """`problem` as an answer."""
    return Response(problem.model_dump_json(), problem.status, dict(headers or {}), MEDIA_TYPE)


def of_error(error: DarkroomError) -> Response:
    """An error of ours as an answer."""
    errors = [FieldProblem(field=error.field, message=error.message)] if error.field else []
    problem = Problem(
        title=error.title, status=error.status, detail=error.message, code=error.code, errors=errors
    )  # fmt: skip
    headers = {}
    if error.status in (429, 503):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after or 1)))
    return render(problem, headers)


def install(app: FastAPI) -> None:
    """Have every error that leaves a route of `app` rendered as a problem."""
    app.add_exception_handler(DarkroomError, _darkroom_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)


async def _darkroom_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DarkroomError)
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("request_failed", path=request.url.path, code=error.code, reason=error.message)
    return of_error(error)


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [_field_problem(item) for item in error.errors()]
    problem = Problem(
        title="The request is not valid",
        status=422,
        detail="; ".join(f"{item.field}: {item.message}" for item in errors),
        code="invalid_request",
        errors=errors,
    )
    return render(problem)


def _field_problem(item: Mapping[str, Any]) -> FieldProblem:
    if item["type"] == "json_invalid":
        return FieldProblem(field="body", message=f"this is not JSON: {item['ctx']['error']}")
    return FieldProblem(field=_name(item["loc"]), message=printable(item["msg"].removeprefix("Value error, ")))


def _name(location: Sequence[Any]) -> str:
    parts = [str(part) for part in location]
    inside = parts[1:] if parts[0] in ("body", "query", "path", "header", "cookie") else parts
    return printable(".".join(inside)) or parts[0]


def printable(text: str) -> str:
    """`text` as it can be sent: half a surrogate pair cannot."""
    return text.encode(errors="replace").decode()


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    phrase = HTTPStatus(error.status_code).phrase
    problem = Problem(
        title=phrase,
        status=error.status_code,
        detail=printable(str(error.detail)),
        code=phrase.lower().replace(" ", "_"),
    )
    return render(problem, error.headers)


async def _unexpected(request: Request, error: Exception) -> Response:
    """Starlette logs the traceback; the caller learns nothing of it."""
    return render(Problem(title="Internal error", status=500, detail="something broke here", code="internal_error"))
