"""Lengths of time as people write them: `30m`, `24h`, `7d`, `4w`."""

import re
from datetime import timedelta

PATTERN = r"[0-9]{1,6}[smhdw]"
_AGE = re.compile(r"([0-9]{1,6}) ?([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def as_age(text: str) -> timedelta | None:
    """The length of time that `text` says; None: it says none."""
    age = _AGE.fullmatch(text.strip())
    return timedelta(**{_UNITS[age[2]]: int(age[1])}) if age else None
