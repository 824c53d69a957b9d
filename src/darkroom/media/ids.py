"""Ids: UUID version 7 (RFC 9562), so that they sort by the time they were made."""

from datetime import datetime
from uuid import UUID

import uuid_utils


def new_id() -> UUID:
    """A new id, later than every one this process made before."""
    return UUID(int=uuid_utils.uuid7().int)


def first_id_at(at: datetime) -> UUID:
    """The smallest id that can be made at `at`: turns a bound in time into a bound on the key."""
    milliseconds = max(0, int(at.timestamp() * 1000)) & (2**48 - 1)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | 0b10 << 62)
