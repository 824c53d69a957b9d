"""What a key, a prefix and a range may look like, for every adapter alike."""

import re

CHUNK = 1024 * 1024
"""The most bytes that `Storage.read` gives at once."""

_SEGMENT = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}"
_KEY = re.compile(rf"{_SEGMENT}(/{_SEGMENT})*")
_LONGEST = 900  # S3 takes 1024 bytes, the store's own prefix included


def is_key(text: str) -> bool:
    """Say if `text` may be a key: a name that begins with a dot is the adapter's own."""
    return len(text) <= _LONGEST and _KEY.fullmatch(text) is not None


def checked_key(key: str) -> str:
    """Return `key`, or raise ValueError: it is absolute, climbs out, is hidden or is not plain ASCII."""
    if not is_key(key):
        raise ValueError(f"not a storage key: {key[:200]!r}")
    return key


def checked_prefix(prefix: str) -> str:
    """Return `prefix`, which must be a key and a `/`; else raise ValueError."""
    if not prefix.endswith("/") or not is_key(prefix[:-1]):
        raise ValueError(f"not a storage prefix (a key and a '/'): {prefix[:200]!r}")
    return prefix


def checked_range(start: int, end: int | None) -> None:
    """Raise ValueError unless 0 <= `start` <= `end` (None: no end)."""
    if start < 0 or (end is not None and end < start):
        raise ValueError(f"not a range of bytes: {start} to {end}")
