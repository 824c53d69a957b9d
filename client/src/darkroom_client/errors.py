"""Every error that the SDK raises on purpose.

DarkroomError
├── APIConnectionError            no answer: refused, cut, or lost on its way; `sent` says whether it may have arrived
│   └── APITimeoutError           none in time (a TimeoutError, too)
├── APIError                      an answer that says no: `status`, `code`, `title`, `detail`, `errors`, …
│   ├── BadRequest           400  it could not be read
│   ├── Unauthorized         401  no API key, or a wrong one
│   ├── BudgetExhausted      402  the money set aside for the day is spent
│   ├── Forbidden            403
│   ├── NotFound             404  no such media, job, file or model
│   ├── Conflict             409  the media's status does not allow it
│   ├── PayloadTooLarge      413
│   ├── UnsupportedMedia     415  what was given is no picture that is taken
│   ├── InvalidRequest       422  `errors` names the fields
│   ├── RateLimited          429  the queue is full, or you ask too often: `retry_after`
│   └── ServerError          5xx
│       └── Unavailable      503  a part of the service does not answer: `retry_after`
├── GenerationError               it was accepted, and came to no picture: `media`
│   ├── GenerationFailed          ERROR: `code`, `message`, `provider`, `retryable`
│   ├── GenerationCancelled       CANCELLED
│   └── WaitTimeout               it goes on, but you wait no longer (a TimeoutError, too)
├── MediaDeleted                  somebody deleted it while you waited: `media_id`
├── DamagedFile                   the bytes that came are not those that were stored
├── UnexpectedAnswer              what answers is no Darkroom, or not one that this SDK understands
└── WebhookVerificationError      it was not signed by your Darkroom, or not lately
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from darkroom_client.media import BaseMedia

_PASSING = frozenset({429, 502, 503, 504})


class DarkroomError(Exception):
    """The root. `retryable`: whether the same may go well later."""

    retryable: bool = False


class APIConnectionError(DarkroomError):
    """There was no answer. `sent`: whether the request may have arrived, and been followed.

    `retryable`: False if the request was such that it could not be sent.
    """

    def __init__(self, message: str, sent: bool = True, retryable: bool = True) -> None:
        super().__init__(message)
        self.message = message
        self.sent = sent
        self.retryable = retryable


class APITimeoutError(APIConnectionError, TimeoutError):
    """There was no answer in time."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field, named with dots: `parameters.width`."""

    field: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What an answer says is wrong (RFC 9457)."""

    status: int
    code: str
    title: str
    detail: str
    errors: tuple[FieldError, ...] = ()
    request_id: str | None = None
    retry_after: float | None = None

    def __str__(self) -> str:
        fields = "; ".join(f"{error.field}: {error.message}" for error in self.errors)
        return f"{self.status} {self.code}: {fields or self.detail}"


class APIError(DarkroomError):
    """The answer says no. `code` is for programs, `detail` for people; `request_id` is in the server's log."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem
        self.status = problem.status
        self.code = problem.code
        self.title = problem.title
        self.detail = problem.detail
        self.errors = problem.errors
        self.request_id = problem.request_id
        self.retry_after = problem.retry_after
        self.retryable = problem.status in _PASSING


class BadRequest(APIError):
    """400: the request could not be read."""


class Unauthorized(APIError):
    """401: there is no API key, or it is wrong."""


class BudgetExhausted(APIError):
    """402: the money set aside for the day is spent."""


class Forbidden(APIError):
    """403: this is not for you."""


class NotFound(APIError):
    """404: there is no such media, job, file or model."""


class Conflict(APIError):
    """409: the media's status does not allow it."""


class PayloadTooLarge(APIError):
    """413: the request is too large."""


class UnsupportedMedia(APIError):
    """415: what was given is no picture that is taken."""


class InvalidRequest(APIError):
    """422: `errors` names the fields and says what would be right."""


class RateLimited(APIError):
    """429: the queue is full, or you ask too often. `retry_after`: seconds."""


class ServerError(APIError):
    """5xx: something broke there."""


class Unavailable(ServerError):
    """503: a part of the service does not answer. `retry_after`: seconds."""


class GenerationError(DarkroomError):
    """A media was accepted, and there is no picture of it. `media`: as it was last seen."""

    def __init__(self, media: "BaseMedia[Any]") -> None:
        super().__init__(media)
        self.media = media

    def __str__(self) -> str:
        return f"media {self.media.id} is {self.media.status}"


class GenerationFailed(GenerationError):
    """It ended as ERROR. `retryable`: whether trying again (`client.retry(media)`) may help."""

    def __init__(self, media: "BaseMedia[Any]") -> None:
        super().__init__(media)
        error = media.error
        self.code = error.code if error else "unknown"
        self.message = error.message if error else "it ended as ERROR"
        self.provider = error.provider if error else None
        self.retryable = error.retryable if error else False

    def __str__(self) -> str:
        return f"media {self.media.id} failed: {self.code}: {self.message}"


class GenerationCancelled(GenerationError):
    """Somebody cancelled it."""


class WaitTimeout(GenerationError, TimeoutError):
    """It has not ended, and goes on: `client.wait(error.media)` waits for longer."""

    retryable = True


class MediaDeleted(DarkroomError):
    """Somebody deleted the media."""

    def __init__(self, media_id: str) -> None:
        super().__init__(media_id)
        self.media_id = media_id

    def __str__(self) -> str:
        return f"media {self.media_id} was deleted"


class DamagedFile(DarkroomError):
    """The bytes that came are not those that were stored."""


class UnexpectedAnswer(DarkroomError):
    """What answers is no Darkroom, or not one that this SDK understands."""


class WebhookVerificationError(DarkroomError):
    """A call that claims to be a webhook's was not signed with a secret of yours, or not lately."""


_BY_STATUS: Mapping[int, type[APIError]] = {
    HTTPStatus.BAD_REQUEST: BadRequest,
    HTTPStatus.UNAUTHORIZED: Unauthorized,
    HTTPStatus.PAYMENT_REQUIRED: BudgetExhausted,
    HTTPStatus.FORBIDDEN: Forbidden,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.CONFLICT: Conflict,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: PayloadTooLarge,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: UnsupportedMedia,
    HTTPStatus.UNPROCESSABLE_ENTITY: InvalidRequest,
    HTTPStatus.TOO_MANY_REQUESTS: RateLimited,
    HTTPStatus.SERVICE_UNAVAILABLE: Unavailable,
}


def error_for(problem: Problem) -> APIError:
    """The error that says `problem`."""
    other = ServerError if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR else APIError
    return _BY_STATUS.get(problem.status, other)(problem)
