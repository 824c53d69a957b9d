"""Ids: UUID version 7 (RFC 9562), so that they sort by the time they were made."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import uuid_utils

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def new_id() -> UUID:
    """A new id, later than every one this process made before."""
    return UUID(int=uuid_utils.uuid7().int)


def first_id_at(at: datetime) -> UUID:
    """The smallest id that can be made at `at`: turns a bound in time into a bound on the key."""
    milliseconds = max(0, (at - _EPOCH) // timedelta(milliseconds=1)) & (2**48 - 1)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | 0b10 << 62)
