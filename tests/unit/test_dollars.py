"""What pictures cost, and what a budget has room for."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.media.money import Budget, Price, Tier, dollars

D = Decimal
GPT_IMAGE = Price(
    tiers=(
        Tier(D("0.011"), quality="low", width=1024, height=1024),
        Tier(D("0.016"), quality="low"),
        Tier(D("0.25"), quality="high"),
        Tier(D("0.50"), width=2048),
    ),
    per_picture=D("0.042"),
)
AMOUNTS = st.decimals(0, 1000, places=6)
SIZES = st.lists(st.tuples(st.integers(1, 4096), st.integers(1, 4096)), max_size=4)


@pytest.mark.parametrize(
    ("price", "pictures", "seconds", "cost"),
    [
        (Price(), [(64, 64)], 5, "0"),
        (Price(per_picture=D("0.003")), [(64, 64)] * 3, 0, "0.009"),
        (Price(per_picture=D("0.003")), [], 9, "0"),
        (Price(per_megapixel=D("0.025")), [(1000, 1000), (2000, 500)], 0, "0.05"),
        (Price(per_megapixel=D("0.025")), [(512, 512)], 0, "0.006554"),
        (Price(per_megapixel=D("0.025"), whole_megapixels=True), [(1024, 1024)], 0, "0.025"),
        (Price(per_megapixel=D("0.025"), whole_megapixels=True), [(1025, 1024)], 0, "0.05"),
        (Price(per_megapixel=D("0.025"), whole_megapixels=True), [(64, 64)] * 2, 0, "0.05"),
        (Price(per_second=D("0.000725")), [(64, 64)] * 4, 2.5, "0.001812"),
        (Price(per_picture=D("0.01"), per_megapixel=D("0.02"), per_second=D("0.001")), [(1000, 1000)], 10, "0.04"),
    ],
)
def test_what_pictures_cost(price: Price, pictures: list[tuple[int, int]], seconds: float, cost: str) -> None:
    assert price.cost({}, pictures, seconds) == D(cost)


@pytest.mark.parametrize(
    ("quality", "size", "cost"),
    [
        ("low", (1024, 1024), "0.011"),
        ("low", (1536, 1024), "0.016"),
        ("high", (1024, 1024), "0.25"),
        ("high", (2048, 1024), "0.25"),  # the first that fits
        ("medium", (2048, 1024), "0.5"),
        ("medium", (1024, 1024), "0.042"),
        (None, (1024, 1024), "0.042"),
    ],
)
def test_the_first_tier_that_fits_counts(quality: str | None, size: tuple[int, int], cost: str) -> None:
    assert GPT_IMAGE.cost({"quality": quality}, [size], 0) == D(cost)


@pytest.mark.parametrize(
    ("price", "parameters", "estimate"),
    [
        (Price(per_picture=D("0.003")), {"n": 4}, "0.012"),
        (Price(per_megapixel=D("1")), {}, "1.048576"),  # of a usual size
        (Price(per_megapixel=D("1")), {"width": 500, "height": 200}, "0.1"),
        (Price(per_megapixel=D("1")), {"width": None, "height": None}, "1.048576"),
        (Price(per_second=D("0.01"), seconds=4.5), {"n": 2}, "0.045"),
        (GPT_IMAGE, {"quality": "low", "n": 2}, "0.022"),
        (GPT_IMAGE, {"quality": "low", "width": 1536, "height": 1024}, "0.016"),
    ],
)
def test_what_a_request_will_cost(price: Price, parameters: dict[str, Any], estimate: str) -> None:
    assert price.estimate(parameters) == D(estimate)


@given(flat=AMOUNTS, pixels=AMOUNTS, time=AMOUNTS, sizes=SIZES, seconds=st.floats(0, 1e5))
def test_a_cost_is_whole_millionths_and_more_pictures_cost_no_less(
    flat: Decimal, pixels: Decimal, time: Decimal, sizes: list[tuple[int, int]], seconds: float
) -> None:
    price = Price(per_picture=flat, per_megapixel=pixels, per_second=time)
    cost = price.cost({}, sizes, seconds)
    assert cost >= 0
    assert cost == cost.quantize(D("0.000001"))
    assert price.cost({}, [*sizes, (8, 8)], seconds) >= cost


# Budgets


@pytest.mark.parametrize(
    ("budget", "covered"),
    [
        (Budget(D(1)), {("m", "ann"), ("m", ""), ("n", "ann"), ("n", "")}),
        (Budget(D(1), model="m"), {("m", "ann"), ("m", "")}),
        (Budget(D(1), owner="ann"), {("m", "ann"), ("n", "ann")}),
        (Budget(D(1), owner="*"), {("m", "ann"), ("m", ""), ("n", "ann"), ("n", "")}),
        (Budget(D(1), model="n", owner="ann"), {("n", "ann")}),
    ],
)
def test_what_falls_under_a_budget(budget: Budget, covered: set[tuple[str, str]]) -> None:
    assert {(model, owner) for model in "mn" for owner in ("ann", "") if budget.covers(model, owner)} == covered


@pytest.mark.parametrize(
    ("used", "estimate", "room"),
    [
        ("0", "0.10", True),
        ("0.90", "0.10", True),  # to the last cent
        ("0.900001", "0.10", False),
        ("1", "0", False),
        ("0.99", None, True),
        ("1", None, False),
        ("2", None, False),
        ("0", "1.01", False),
    ],
)
def test_what_a_budget_has_room_for(used: str, estimate: str | None, room: bool) -> None:
    assert Budget(D(1)).has_room(D(used), None if estimate is None else D(estimate)) is room


def test_a_refusal_says_what_is_spent_and_when_there_is_money_again() -> None:
    at = datetime(2030, 12, 31, 23, 59, tzinfo=UTC)
    said = Budget(D("25"), model="m", owner="*").refusal(D("24.995"), D("0.01"), at)
    for part in ("$25.00 a day", "each owner on m", "$24.995", "$0.01", "2031-01-01T00:00Z"):
        assert part in said


@pytest.mark.parametrize(
    ("amount", "shown"),
    [("0", "$0.00"), ("1.5", "$1.50"), ("0.0003", "$0.0003"), ("1234.5", "$1,234.50"), ("0.123456", "$0.123456")],
)
def test_amounts_are_shown_to_the_cent_or_as_finely_as_they_are_known(amount: str, shown: str) -> None:
    assert dollars(D(amount)) == shown
