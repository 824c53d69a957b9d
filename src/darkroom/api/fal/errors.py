"""Errors as fal's clients read them: what was wrong with a request, and why there is no picture.

The Python client asks again on 408, 409 and 429, and on 502, 503 and 504 of nobody's request that speak of nginx; the
one for JavaScript on 429, 502, 503 and 504. So nothing that has ended is told with one of these.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import Response
from fastapi.responses import JSONResponse

from darkroom.api.problems import FieldProblem, Headers, Problem
from darkroom.media.model import Media
from darkroom.media.states import ENDED, Status
from darkroom.telemetry.logs import request_id

REQUEST_ID: Final = "X-Fal-Request-Id"
NO_SAFE_PROMPT: Final = "content_policy_violation"
TYPES: Final[Mapping[str, str]] = {
    "invalid_request": "bad_request",
    "prompt_rejected": NO_SAFE_PROMPT,
    "gateway_timeout": "request_timeout",
    "provider_unavailable": "runner_server_error",
    "provider_crashed": "runner_server_error",
    "provider_interrupted": "runner_disconnected",
    "worker_lost": "runner_disconnected",
    "invalid_output": "runner_incomplete_response",
    "provider_throttled": "runner_scheduling_failure",
    "no_room": "runner_scheduling_failure",
}
"""Our codes in fal's words; the others are said as they are."""

_PASSING: Final = (429, 503)
_PLACES: Final[Mapping[str, str]] = {
    "logs": "query",
    "sync_mode": "query",
    "webhook": "query",
    "Idempotency-Key": "header",
    "idempotency-key": "header",
    "prefer": "header",
}
"""Where fields are that are not in the body."""
_NAMES: Final[Mapping[str, str]] = {"webhook": "fal_webhook"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error that fal might have answered with. `items`: what is wrong, field by field.

    `passes`: whether the same may succeed another time.
    """

    status: int
    message: str
    type: str
    passes: bool = False
    items: list[dict[str, Any]] = field(default_factory=list)

    @property
    def body(self) -> dict[str, Any]:
        """What these clients look at."""
        return {"detail": self.items or self.message, "error_type": self.type}

    def response(self, headers: Headers) -> Response:
        """The same as an answer."""
        said = {"X-Fal-Error-Type": self.type, "X-Fal-Retryable": str(self.passes).lower()}
        return JSONResponse(self.body, self.status, {**said, **headers})


def shape(problem: Problem, headers: Headers) -> Response:
    """`problem` as these clients read it."""
    return refusal_of(problem).response({REQUEST_ID: request_id(), **headers})


def refusal_of(problem: Problem) -> Refusal:
    """The same in fal's words: a list of fields where the request can be mended, else a sentence."""
    return Refusal(
        status=problem.status,
        message=problem.detail,
        type=TYPES.get(problem.code, problem.code),
        passes=problem.status in _PASSING,
        items=[] if problem.status == 404 else [_item(error) for error in problem.errors],
    )


def _item(error: FieldProblem) -> dict[str, Any]:
    names = _NAMES.get(error.field, error.field).split(".") if error.field != "body" else []
    loc = [int(name) if name.isdecimal() and len(name) < 4 else name for name in names]
    kind = "missing" if error.message == "is required" else "value_error"
    return {"loc": [_PLACES.get(error.field, "body"), *loc], "msg": error.message, "type": kind}


def why_not(media: Media) -> Refusal:
    """Why a media has no pictures: it has not ended, or not well. All that could be tried again was."""
    if media.status not in ENDED:
        return Refusal(400, "Request is still in progress", "bad_request", passes=True)
    if media.status is Status.CANCELLED or media.error is None:
        return Refusal(499, "the request was cancelled", "client_cancelled")
    message, kind = media.error.message, TYPES.get(media.error.code, media.error.code)
    if media.error.retryable:
        return Refusal(500, message, kind, passes=True)
    items = [{"loc": ["body", "prompt"], "msg": message, "type": kind}] if kind == NO_SAFE_PROMPT else []
    return Refusal(422, message, kind, items=items)
