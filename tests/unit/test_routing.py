"""Which way a media goes next, and in which order it tries its routes."""

import json
import random
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.media.routing import Routing, in_order

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LATER = datetime(2030, 1, 2, tzinfo=UTC)
LABELS = st.lists(st.sampled_from(["a", "b", "c", "d"]), unique=True)
IDS = [UUID(int=random.Random(n).getrandbits(128)) for n in range(4000)]


def test_nothing_was_tried_at_first() -> None:
    assert Routing().left(["a", "b"]) == ["a", "b"]
    assert Routing().as_json() is None


def test_a_route_that_failed_is_left_out_until_the_next_round() -> None:
    routing = Routing().after("a", NOW, for_good=False)
    assert routing.left(["a", "b"]) == ["b"]
    assert routing.next_round().left(["a", "b"]) == ["a", "b"]


def test_a_route_that_cannot_do_it_is_left_out_of_all_rounds() -> None:
    routing = Routing().after("a", NOW, for_good=True)
    assert routing.left(["a", "b"]) == ["b"]
    assert routing.next_round().left(["a", "b"]) == ["b"]


def test_the_first_failure_is_remembered() -> None:
    routing = Routing().after(None, NOW, for_good=True).after("a", LATER, for_good=False)
    assert routing.since == NOW
    assert routing.next_round().since == NOW
    assert routing.spent == ()


@given(spent=LABELS, failed=LABELS, since=st.none() | st.datetimes(timezones=st.just(UTC)))
def test_what_was_tried_is_kept_as_json(spent: list[str], failed: list[str], since: datetime | None) -> None:
    routing = Routing(tuple(spent), tuple(failed), since)
    kept = json.loads(json.dumps(routing.as_json()))
    assert Routing.from_json(kept) == routing


# Weights


def test_without_weights_routes_are_tried_in_the_order_given() -> None:
    assert all(in_order({"b": None, "a": None, "c": None}, media_id) == ["b", "a", "c"] for media_id in IDS[:50])


@given(
    weights=st.dictionaries(st.text(min_size=1), st.floats(0.001, 1e6), min_size=1, max_size=6), n=st.integers(0, 99)
)
def test_every_worker_has_the_same_order_of_all_routes(weights: dict[str, float], n: int) -> None:
    order = in_order(weights, IDS[n])
    assert sorted(order) == sorted(weights)
    assert in_order(dict(weights), UUID(str(IDS[n]))) == order


@pytest.mark.parametrize("weights", [{"a": 1.0, "b": 1.0}, {"a": 3.0, "b": 1.0}, {"a": 70.0, "b": 20.0, "c": 10.0}])
def test_routes_are_first_by_their_share(weights: dict[str, float]) -> None:
    firsts = [in_order(weights, media_id)[0] for media_id in IDS]
    for label, weight in weights.items():
        share = weight / sum(weights.values())
        assert firsts.count(label) / len(firsts) == pytest.approx(share, abs=0.03)


def test_those_that_follow_have_their_share_too() -> None:
    orders = [in_order({"a": 8.0, "b": 3.0, "c": 1.0}, media_id) for media_id in IDS]
    after_a = [order[1] for order in orders if order[0] == "a"]
    assert after_a.count("b") / len(after_a) == pytest.approx(0.75, abs=0.04)
