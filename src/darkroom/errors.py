"""Every error that Darkroom raises on purpose.

    DarkroomError
    ├── InvalidRequest             422  bad input; names the field
    │   ├── UnknownModel           404
    │   ├── UnusableModel          422  no route of the model can be used: a key is missing, say
    │   ├── PayloadTooLarge        413
    │   ├── UnsupportedPicture     415  what a caller gave is no picture that is taken
    │   └── IdempotencyMismatch    422
    ├── NotFound                   404
    ├── Forbidden                  403
    ├── Conflict                   409  the media's state does not allow it
    │   └── NotCompleted           409
    ├── BudgetExhausted            402  the money set aside for the day is spent
    ├── QueueFull                  429  the lane takes no more for now
    ├── Unavailable                503  a part of ours does not answer; try again
    │   ├── DatabaseUnavailable
    │   ├── BrokerUnavailable
    │   └── StorageUnavailable
    ├── MissingObject              500  the store has no such object
    ├── LeaseLost                  500  the job is no longer this worker's
    ├── NotInstalled               500  a program that is needed is not on this machine
    └── ProviderError              502  a try at making the picture failed
        ├── Transient                   try again, at another route or later
        │   ├── Interrupted             the backend went on: resume there
        │   └── InvalidOutput           what came back is no picture
        ├── Throttled                   try elsewhere or later; the try does not count
        │   └── NoRoom                  our own limits of its account, not the backend, say so
        ├── AccountRefused              the backend does not take our credentials, or has no credit for us
        ├── SubmissionUncertain         nobody knows whether the backend took it, so nobody asks for it again
        └── Permanent                   this backend cannot do it
            ├── Rejected                it refuses this prompt
            ├── UnusableOutput          it made something that is no picture, and wants to be paid for it
            ├── OutputExpired           it made the picture, and does not have it any more
            ├── InputExpired            a picture to start from is not kept any more
            └── OutputTooLarge          a picture beyond the limits (a decompression bomb)

The wire facts (`code`, `status`, `retryable`) are on the class; each surface renders them in one place.
"""

from typing import ClassVar


class DarkroomError(Exception):
    """The root. `message` is for the caller: it holds no secret, no path and no traceback."""

    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, field: str | None = None, retry_after: float | None = None) -> None:
        """`field`: the input's name, dotted (`parameters.width`). `retry_after`: seconds."""
        super().__init__(message)
        self.message = message
        self.field = field
        self.retry_after = retry_after


class InvalidRequest(DarkroomError):
    code = "invalid_request"
    title = "The request is not valid"
    status = 422


class UnknownModel(InvalidRequest):
    code = "unknown_model"
    title = "No such model"
    status = 404


class UnusableModel(InvalidRequest):
    code = "unusable_model"
    title = "The model cannot be used at present"


class PayloadTooLarge(InvalidRequest):
    code = "payload_too_large"
    title = "The request body is too large"
    status = 413


class UnsupportedPicture(InvalidRequest):
    code = "unsupported_picture"
    title = "This is no picture that is taken"
    status = 415


class IdempotencyMismatch(InvalidRequest):
    code = "idempotency_mismatch"
    title = "This Idempotency-Key was used for another request"


class NotFound(DarkroomError):
    code = "not_found"
    title = "Not found"
    status = 404


class Forbidden(DarkroomError):
    code = "forbidden"
    title = "Forbidden"
    status = 403


class Conflict(DarkroomError):
    code = "conflict"
    title = "The media's state does not allow this"
    status = 409


class NotCompleted(Conflict):
    code = "not_completed"
    title = "The media is not completed"


class BudgetExhausted(DarkroomError):
    code = "budget_exhausted"
    title = "The budget is spent"
    status = 402


class QueueFull(DarkroomError):
    code = "queue_full"
    title = "The queue is full"
    status = 429
    retryable = True


class Unavailable(DarkroomError):
    code = "unavailable"
    title = "Temporarily unavailable"
    status = 503
    retryable = True


class DatabaseUnavailable(Unavailable):
    code = "database_unavailable"
    title = "The database does not answer"


class BrokerUnavailable(Unavailable):
    code = "broker_unavailable"
    title = "The broker does not answer"


class StorageUnavailable(Unavailable):
    code = "storage_unavailable"
    title = "The object store does not answer"


class MissingObject(DarkroomError):
    code = "missing_object"
    title = "The stored file is missing"


class LeaseLost(DarkroomError):
    code = "lease_lost"
    title = "The job is no longer this worker's"


class NotInstalled(DarkroomError):
    code = "not_installed"
    title = "A program is not installed"


class ProviderError(DarkroomError):
    """`moves_on`: whether another route may do what this one could not."""

    code = "provider_error"
    title = "The backend failed"
    status = 502
    moves_on: ClassVar[bool] = True


class Transient(ProviderError):
    code = "provider_unavailable"
    title = "The backend failed for now"
    retryable = True


class Interrupted(Transient):
    code = "provider_interrupted"
    title = "The backend went on without us"
    moves_on = False


class InvalidOutput(Transient):
    code = "invalid_output"
    title = "The backend returned something that is not a picture"


class Throttled(ProviderError):
    code = "provider_throttled"
    title = "The backend takes no more work at the moment"
    retryable = True


class NoRoom(Throttled):
    code = "no_room"
    title = "Every route is at its limit"


class AccountRefused(ProviderError):
    code = "account_refused"
    title = "The backend does not accept our account"


class SubmissionUncertain(ProviderError):
    code = "submission_uncertain"
    title = "It is not known whether the backend took the request"
    moves_on = False


class Permanent(ProviderError):
    code = "provider_failed"
    title = "The backend cannot do this"


class Rejected(Permanent):
    code = "prompt_rejected"
    title = "The backend refuses this prompt"
    moves_on = False


class UnusableOutput(Permanent):
    code = "unusable_output"
    title = "The backend made something that is not a picture"
    moves_on = False


class OutputExpired(Permanent):
    code = "output_expired"
    title = "The backend does not have the picture any more"
    moves_on = False


class InputExpired(Permanent):
    code = "input_expired"
    title = "A picture to start from is not kept any more"
    moves_on = False


class OutputTooLarge(Permanent):
    code = "output_too_large"
    title = "The backend returned a picture beyond the limits"
    moves_on = False
