"""When webhooks are tried again, and what they are signed with."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from standardwebhooks import Webhook

from darkroom.delivery import signing
from darkroom.delivery.policy import LONGEST, TRIES, wait_after


def waits(rng: Random) -> list[timedelta]:
    made = [wait_after(tries, rng=rng) for tries in range(1, TRIES)]
    assert None not in made
    return [wait for wait in made if wait is not None]


def test_ten_tries_take_about_a_day() -> None:
    for seed in range(100):
        total = sum(waits(Random(seed)), timedelta())
        assert timedelta(hours=18) < total < timedelta(hours=30)


def test_the_first_waits_are_short_and_each_is_longer() -> None:
    made = waits(Random(1))
    assert made[0] < timedelta(seconds=10)
    assert made[:7] == sorted(made[:7])


def test_waits_are_spread() -> None:
    assert len({wait_after(3, rng=Random(seed)) for seed in range(50)}) > 40


def test_after_the_last_there_is_none() -> None:
    assert wait_after(TRIES, rng=Random(1)) is None
    assert wait_after(TRIES + 1, rng=Random(1)) is None


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        (timedelta(seconds=0), timedelta(seconds=4), timedelta(seconds=6)),
        (timedelta(minutes=10), timedelta(minutes=10), timedelta(minutes=10)),
        (timedelta(days=30), LONGEST, LONGEST),
    ],
)
def test_a_target_may_ask_for_longer_within_bounds(asked: Any, least: timedelta, most: timedelta) -> None:
    wait = wait_after(1, asked=asked, rng=Random(1))
    assert wait is not None
    assert least <= wait <= most


def test_each_secret_signs() -> None:
    at = datetime.now(UTC)
    first, second = signing.new_secret(), signing.new_secret()
    assert first != second
    headers = signing.headers("msg_1", at, '{"a": "é"}', [first, second])
    for secret in (first, second):
        assert Webhook(secret).verify('{"a": "é"}', headers) == {"a": "é"}
    assert int(headers["webhook-timestamp"]) == int(at.timestamp())
