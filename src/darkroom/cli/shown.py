"""What people see: tables, times, numbers. Nothing that came from outside may steer the terminal."""

import json
import sys
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import typer

from darkroom.cli.exits import REFUSED, CommandError
from darkroom.media.ages import as_age
from darkroom.media.money import dollars

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PIPED_WIDTH = 200
_STEPS = (("s", 60), ("min", 60), ("h", 24), ("d", 365))


def print_json(value: Any) -> None:
    """Print `value` as JSON on standard output."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def console() -> "Console":
    """Standard output, for tables. In a pipe, lines are long instead of broken."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, markup=False, highlight=False, emoji=False)


def table(*columns: str) -> "Table":
    """A table with these headings."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for index, column in enumerate(columns):
        made.add_column(column, no_wrap=index == 0)
    return made


def pairs() -> "Table":
    """A table without headings: names, and what is behind them."""
    made = table("", "")
    made.show_header = False
    made.columns[0].style = "bold"
    return made


def plain_line(text: str) -> str:
    """`text` without control characters."""
    return "".join(character if character.isprintable() else " " for character in text)


def plain(value: object) -> str:
    """`value` in one line without control characters."""
    return plain_line(str(value)).strip()


def moment(at: str | None) -> str:
    """A time of the API in local time, and how long ago that is."""
    if at is None:
        return "-"
    then = datetime.fromisoformat(at).astimezone()
    return f"{then:%Y-%m-%d %H:%M:%S} ({ago(at)})"


def clock(at: str) -> str:
    """A time of the API in local time, to the millisecond."""
    then = datetime.fromisoformat(at).astimezone()
    return f"{then:%Y-%m-%d %H:%M:%S}.{then.microsecond // 1000:03}"


def seconds_between(start: str, end: str) -> float:
    """Seconds between two times of the API."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def instant(option: str, text: str) -> str:
    """A time that a person wrote, as RFC 3339: a date or time (local unless it says), or how long ago (`2h`, `7d`).

    Raises `CommandError`.
    """
    now = datetime.now().astimezone()
    back = as_age(text)
    try:
        at = now - back if back is not None else datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError) as error:
        raise CommandError(
            f"{option} {text}: neither a time like 2026-11-23T18:00 nor an age like 2h", REFUSED
        ) from error
    return at.isoformat()


def ago(at: str) -> str:
    """How long ago, or how far ahead, a time of the API is."""
    seconds = (datetime.now().astimezone() - datetime.fromisoformat(at)).total_seconds()
    return f"in {span(-seconds)}" if seconds < 0 else f"{span(seconds)} ago"


def span(seconds: float) -> str:
    """A length of time in its largest whole unit."""
    amount = float(seconds)
    for unit, size in _STEPS:
        if amount < size:
            return f"{int(amount)} {unit}"
        amount /= size
    return f"{int(amount)} y"


def money(cost: dict[str, str]) -> str:
    """An amount of the API."""
    return dollars(Decimal(cost["amount"]))


def size(count: float) -> str:
    """A number of bytes in its largest unit."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
