"""How the command line names files, and how it shows times, numbers and other people's words."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from darkroom.cli import shown
from darkroom.cli.exits import CommandError
from darkroom.cli.generate import as_pair
from darkroom.cli.models import kind
from darkroom.cli.saving import LONGEST_SLUG, slug
from darkroom.cli.waiting import describe
from darkroom.media.ages import as_age


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("a lighthouse at dusk", "a-lighthouse-at-dusk"),
        ("  Fox, in the SNOW!  ", "fox-in-the-snow"),
        ("Straße über Öl", "strasse-über-öl"),
        ("../../etc/passwd", "etc-passwd"),
        ("__init__", "init"),
        ("🦊", "picture"),
        ("\x1b[31mred\n", "31mred"),
        ("x" * 500, "x" * LONGEST_SLUG),
        ("word " * 50, "-".join(["word"] * 10)[:-5]),
    ],
)
def test_files_are_named_after_the_words_of_the_prompt(prompt: str, name: str) -> None:
    assert slug(prompt) == name


@pytest.mark.parametrize("prompt", ["word " * 50, "x" * 500, "a/b\\c:d*e?f", "漢字 " * 40, "\x00\x7f"])
def test_a_file_name_is_short_and_plain(prompt: str) -> None:
    assert len(slug(prompt)) <= LONGEST_SLUG
    assert re.fullmatch(r"[\w-]+", slug(prompt))


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("seed=7", ("seed", 7)),
        ("style=forest", ("style", "forest")),
        ("text=a=b", ("text", "a=b")),
        ("resumable=true", ("resumable", True)),
        ("list=[1, 2]", ("list", [1, 2])),
        ("rate=NaN", ("rate", "NaN")),
        ("empty=", ("empty", "")),
    ],
)
def test_a_parameter_is_json_or_text(text: str, pair: tuple[str, Any]) -> None:
    assert as_pair(text) == pair


@pytest.mark.parametrize("text", ["seed", "=7", ""])
def test_a_parameter_without_a_name_or_value_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="KEY=VALUE"):
        as_pair(text)


def test_nothing_that_is_shown_steers_the_terminal() -> None:
    assert shown.plain("\x1b[2Jred\r\nfox\u202e") == "[2Jred  fox"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (7200, "2 h"), (86400 * 3, "3 d"), (86400 * 800, "2 y")],
)
def test_a_time_span_is_shown_in_its_largest_unit(seconds: float, words: str) -> None:
    assert shown.span(seconds) == words


@pytest.mark.parametrize(("count", "words"), [(0, "0 B"), (999, "999 B"), (98_923, "98.9 kB"), (2e13, "20.0 TB")])
def test_a_number_of_bytes_is_shown_in_its_largest_unit(count: float, words: str) -> None:
    assert shown.size(count) == words


def test_times_are_shown_as_ages() -> None:
    now = datetime.now(UTC)
    assert shown.ago((now - timedelta(minutes=5)).isoformat()) == "5 min ago"
    assert shown.ago((now + timedelta(minutes=5, seconds=1)).isoformat()) == "in 5 min"
    assert shown.moment(None) == "-"


def test_an_age_is_a_time() -> None:
    at = datetime.fromisoformat(shown.instant("--after", "2h"))
    assert abs(datetime.now(UTC) - timedelta(hours=2) - at) < timedelta(seconds=5)


def test_a_time_without_a_zone_is_local() -> None:
    at = datetime.fromisoformat(shown.instant("--after", "2026-11-23T18:00"))
    assert at == datetime(2026, 11, 23, 18).astimezone()
    assert shown.instant("--after", "2026-11-23T18:00:00Z")


@pytest.mark.parametrize("text", ["yesterday", "", "999999w", "2026-13-01"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="--after"):
        shown.instant("--after", text)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"enum": ["png", "webp"]}, "png | webp"),
        ({"type": "integer", "minimum": 1, "maximum": 8}, "integer, 1 to 8"),
        ({"type": "number", "minimum": 0}, "number, 0 or more"),
        ({"type": "number", "maximum": 5}, "number, 5 or less"),
        ({"type": ["string", "null"]}, "string | null"),
        ({}, "any"),
    ],
)
def test_a_parameter_is_described_in_a_few_words(rule: dict[str, Any], words: str) -> None:
    assert kind(rule) == words


def test_the_bar_says_how_many_go_first() -> None:
    assert describe({"status": "IN_QUEUE", "queue_position": 3}) == "IN_QUEUE, 3 before it"
    assert describe({"status": "PROCESSING", "queue_position": None}) == "PROCESSING"


@pytest.mark.parametrize(
    ("amount", "words"),
    [("0", "$0.00"), ("0.5", "$0.50"), ("0.003", "$0.003"), ("1234.5", "$1,234.50"), ("0.000001", "$0.000001")],
)
def test_an_amount_is_shown_to_the_cent_or_as_finely_as_it_is_known(amount: str, words: str) -> None:
    assert shown.money({"amount": amount, "currency": "USD"}) == words


@pytest.mark.parametrize(("text", "hours"), [("90m", 1.5), ("24h", 24), ("7d", 168), ("4w", 672), (" 2 h ", 2)])
def test_an_age_is_a_number_and_a_unit(text: str, hours: float) -> None:
    assert as_age(text) == timedelta(hours=hours)


@pytest.mark.parametrize("text", ["", "7", "d", "-7d", "7 years", "1h30m", "1.5h"])
def test_what_is_no_age_is_none(text: str) -> None:
    assert as_age(text) is None
