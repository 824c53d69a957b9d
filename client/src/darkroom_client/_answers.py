"""What an answer means."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from darkroom_client._decoding import Json
from darkroom_client._effects import Answer, Headers
from darkroom_client.errors import APIError, FieldError, Problem, UnexpectedAnswer, error_for

_LONGEST_EXCERPT = 200


def body_of(answer: Answer) -> Json:
    """The JSON object of a success. Raises `APIError`, `UnexpectedAnswer`."""
    check(answer)
    found = _json(answer.content)
    if not isinstance(found, Mapping):
        raise UnexpectedAnswer("what answers there is no Darkroom: this is no JSON object")
    return found


def check(answer: Answer) -> None:
    """Raise the `APIError` of an answer that is no success."""
    if not answer.is_success:
        raise refusal(answer)


def refusal(answer: Answer) -> APIError:
    """An answer that says no, as an error; a proxy may have said it in its own words."""
    found = _json(answer.content)
    told: Json = found if isinstance(found, Mapping) else {}
    phrase = _phrase(answer.status)
    return error_for(
        Problem(
            status=answer.status,
            code=str(told.get("code") or phrase.lower().replace(" ", "_")),
            title=str(told.get("title") or phrase),
            detail=str(told.get("detail") or _excerpt(answer) or phrase),
            errors=tuple(_field_errors(told.get("errors"))),
            request_id=answer.headers.get("x-request-id"),
            retry_after=retry_after(answer.headers),
        )
    )


def retry_after(headers: Headers, now: datetime | None = None) -> float | None:
    """The seconds that `Retry-After` asks to wait for, whichever way it says it."""
    said = headers.get("retry-after", "").strip()
    if said.isdecimal():
        return float(said)
    try:
        at = parsedate_to_datetime(said)
    except (ValueError, TypeError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - (now or datetime.now(UTC))).total_seconds())


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"


def _field_errors(told: Any) -> list[FieldError]:
    errors = told if isinstance(told, list) else []
    return [
        FieldError(str(error.get("field", "")), str(error.get("message", "")))
        for error in errors
        if isinstance(error, Mapping)
    ]


def _excerpt(answer: Answer) -> str:
    if 300 <= answer.status < 400:
        return f"it is elsewhere: {answer.headers.get('location', '')}"
    return answer.content[:_LONGEST_EXCERPT].decode(errors="replace").strip()


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
