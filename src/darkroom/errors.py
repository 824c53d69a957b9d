"""Every error that Darkroom raises on purpose.

    DarkroomError
    ├── InvalidRequest             422  bad input; names the field
    │   ├── UnknownModel           404
    │   ├── PayloadTooLarge        413
    │   └── IdempotencyMismatch    422
    ├── NotFound                   404
    ├── Forbidden                  403
    ├── Conflict                   409  the media's state does not allow it
    │   └── NotCompleted           409
    ├── Unavailable                503  a part of ours does not answer; try again
    │   ├── DatabaseUnavailable
    │   └── StorageUnavailable
    ├── MissingObject              500  the store has no such object
    ├── LeaseLost                  500  the job is no longer this worker's
    └── ProviderError              502  a try at making the picture failed
        ├── Transient                   try again later
        │   └── InvalidOutput           what came back is no picture
        ├── Throttled                   try again later; the try does not count
        └── Permanent                   trying again cannot help
            ├── Rejected                the backend refuses this prompt
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


class PayloadTooLarge(InvalidRequest):
    code = "payload_too_large"
    title = "The request body is too large"
    status = 413


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


class Unavailable(DarkroomError):
    code = "unavailable"
    title = "Temporarily unavailable"
    status = 503
    retryable = True


class DatabaseUnavailable(Unavailable):
    code = "database_unavailable"
    title = "The database does not answer"


class StorageUnavailable(Unavailable):
    code = "storage_unavailable"
    title = "The object store does not answer"


class MissingObject(DarkroomError):
    code = "missing_object"
    title = "The stored file is missing"


class LeaseLost(DarkroomError):
    code = "lease_lost"
    title = "The job is no longer this worker's"


class ProviderError(DarkroomError):
    code = "provider_error"
    title = "The backend failed"
    status = 502


class Transient(ProviderError):
    code = "provider_unavailable"
    title = "The backend failed for now"
    retryable = True


class InvalidOutput(Transient):
    code = "invalid_output"
    title = "The backend returned something that is not a picture"


class Throttled(ProviderError):
    code = "provider_throttled"
    title = "The backend takes no more work at the moment"
    retryable = True


class Permanent(ProviderError):
    code = "provider_failed"
    title = "The backend cannot do this"


class Rejected(Permanent):
    code = "prompt_rejected"
    title = "The backend refuses this prompt"


class OutputTooLarge(Permanent):
    code = "output_too_large"
    title = "The backend returned a picture beyond the limits"
