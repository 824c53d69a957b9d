"""What a failure of a job says: of the account that it was sent to, and in the record."""

import traceback
from datetime import datetime, timedelta

from darkroom.engine.transitions.settling import Trouble
from darkroom.errors import (
    AccountRefused,
    DarkroomError,
    InvalidOutput,
    SubmissionUncertain,
    Throttled,
    Transient,
)
from darkroom.media.model import Failure
from darkroom.media.routing import Account

LONGEST_TRACEBACK = 16_000
THROTTLED = 5.0
REFUSED = 60.0
"""Seconds for which an account is left alone whose backend refuses it."""


def trouble_of(error: Exception, account: Account, now: datetime) -> Trouble | None:
    """What a failure says of the account that the job was sent to; None: nothing."""
    if not account.guarded:
        return None
    reason = error.message if isinstance(error, DarkroomError) else type(error).__name__
    asked = error.retry_after if isinstance(error, DarkroomError) else None
    match error:
        case Throttled():
            return Trouble(account, reason, now + timedelta(seconds=asked or THROTTLED), is_failure=False)
        case AccountRefused():
            return Trouble(account, reason, now + timedelta(seconds=max(account.cool_down, REFUSED)))
        case InvalidOutput():
            return None
        case Transient() | SubmissionUncertain():
            return Trouble(account, reason, now + timedelta(seconds=asked) if asked else None)
    return None


def caused_by(cause: Exception, error: Exception) -> Exception:
    """`error`, with the traceback of what led to it."""
    error.__cause__ = cause
    return error


def as_failure(error: Exception, provider: str | None) -> Failure:
    """What is saved of `error`. The text of an error that is not ours stays in the traceback: it may say too much."""
    story = _storable("".join(traceback.format_exception(error))[-LONGEST_TRACEBACK:])
    if isinstance(error, DarkroomError):
        return Failure(error.code, _storable(error.message), error.retryable, provider, story)
    what = f"{provider or 'the job'} broke with {type(error).__name__}"
    return Failure("provider_crashed", what, retryable=True, provider=provider, traceback=story)


def _storable(text: str) -> str:
    """`text` without what no database takes: NULs and lone surrogates. A backend's own words may hold any."""
    return text.replace("\0", "").encode(errors="replace").decode()
