"""Errors as OpenAI's clients read them: what was wrong with a request, and why there is no picture.

These clients ask again on 408, 409, 429 and every 5xx, unless they are told not to.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Response
from fastapi.responses import JSONResponse

from darkroom.api.problems import Headers, Problem
from darkroom.media.model import Media
from darkroom.media.states import Status

CODES: Final[Mapping[str, str]] = {
    "unknown_model": "model_not_found",
    "invalid_request": "invalid_value",
    "queue_full": "rate_limit_exceeded",
    "budget_exhausted": "insufficient_quota",
    "prompt_rejected": "moderation_blocked",
}
"""Ours to theirs; the others are said as they are."""

STATUSES: Final[Mapping[int, int]] = {402: 429, 415: 400, 422: 400}
TYPES: Final[Mapping[int, str]] = {403: "permission_error", 429: "rate_limit_error"}
PASSING: Final = frozenset({"queue_full", "internal_error"})
"""What may be better the next time, beside all that is answered with 503."""

NEVER_AGAIN: Final = {"x-should-retry": "false"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error that OpenAI might have answered with."""

    status: int
    message: str
    type: str
    code: str
    param: str | None = None
    passes: bool = False

    @property
    def error(self) -> dict[str, Any]:
        """What these clients look at."""
        return {"message": self.message, "type": self.type, "param": self.param, "code": self.code}

    def response(self, headers: Headers) -> Response:
        """The same as an answer."""
        again = {} if self.passes else NEVER_AGAIN
        return JSONResponse({"error": self.error}, self.status, {**headers, **again})


def shape(problem: Problem, headers: Headers) -> Response:
    """`problem` as these clients read it."""
    return refusal_of(problem).response(headers)


def refusal_of(problem: Problem) -> Refusal:
    """The same in OpenAI's words."""
    status = STATUSES.get(problem.status, problem.status)
    usual = "server_error" if status >= 500 else "invalid_request_error"
    kind = "insufficient_quota" if problem.status == 402 else TYPES.get(status, usual)
    return Refusal(
        status=status,
        message=problem.detail,
        type=kind,
        code=CODES.get(problem.code, problem.code),
        param=problem.errors[0].field.removeprefix("parameters.") if problem.errors else None,
        passes=problem.status == 503 or problem.code in PASSING,
    )


def why_not(media: Media) -> Refusal:
    """Why an ended media has no pictures. All that could be tried again was, so nothing of it passes."""
    if media.status is Status.CANCELLED or media.error is None:
        return Refusal(409, "the request was cancelled", "invalid_request_error", "cancelled")
    code = CODES.get(media.error.code, media.error.code)
    if media.error.code == "prompt_rejected":
        return Refusal(400, media.error.message, "image_generation_user_error", code, "prompt")
    return Refusal(502, media.error.message, "server_error", code)
