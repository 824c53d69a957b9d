"""Ids: UUID version 7 (RFC 9562), so that they sort by the time they were made."""

import secrets
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_VERSION = 0x7 << 76 | 0b10 << 62
_numbers = count(secrets.randbits(30))
"""Numbers the ids of this process, so that those of one microsecond grow, too."""


def new_id(at: datetime) -> UUID:
    """A new id, made at `at`: later than every one that this process made for the same time or an earlier one.

    48 bits of milliseconds, 12 of the microseconds within (RFC 9562, 6.2, method 3), 30 that count, 32 of chance.
    """
    milliseconds, rest = divmod(at - _EPOCH, _MILLISECOND)
    fraction = rest.microseconds * 4096 // 1000
    number = next(_numbers) & (2**30 - 1)
    return UUID(int=_time_bits(milliseconds) | _VERSION | fraction << 64 | number << 32 | secrets.randbits(32))


def first_id_at(at: datetime) -> UUID:
    """The smallest id that can be made at `at`: turns a bound in time into a bound on the key."""
    return UUID(int=_time_bits((at - _EPOCH) // _MILLISECOND) | _VERSION)


def _time_bits(milliseconds: int) -> int:
    return (max(0, milliseconds) & (2**48 - 1)) << 80
