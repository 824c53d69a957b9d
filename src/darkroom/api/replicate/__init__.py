"""The service as clients of Replicate know it."""

import json

from fastapi import Response
from starlette.routing import BaseRoute

from darkroom.api.problems import MEDIA_TYPE, Headers, Problem
from darkroom.api.replicate import files, models, predictions

PREFIX = "/replicate/"


def shape(problem: Problem, headers: Headers) -> Response:
    """`problem` as these clients read it."""
    detail = problem.detail
    wrong = [{"field": error.field, "description": error.message} for error in problem.errors]
    if wrong:
        detail = "\n".join(f"- {each['field']}: {each['description']}" for each in wrong)
    body = {
        "type": problem.type, "title": problem.title, "detail": detail, "status": problem.status,
        **({"invalid_fields": wrong} if wrong else {}),
    }  # fmt: skip
    return Response(json.dumps(body), problem.status, dict(headers), MEDIA_TYPE)


def routes() -> list[BaseRoute]:
    """Every route, in the order in which they are tried."""
    return [route for part in (predictions, models, files) for route in part.router.routes]
