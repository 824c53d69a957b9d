"""How many messages go to whom at once."""

from darkroom.delivery.places import (
    AT_ONCE,
    FOR_UNPROVEN,
    REMEMBERED,
    SOON,
    TO_AN_UNPROVEN_ONE,
    TO_ONE_HOST,
    Places,
)


def filled(places: Places, hosts: list[str]) -> dict[str, int]:
    room = places.room(hosts)
    for host, some in room.items():
        for _ in range(some):
            places.take(host)
    return room


def test_a_host_gets_a_few_places_and_more_once_it_answered_soon() -> None:
    places = Places()
    assert places.room(["a"]) == {"a": TO_AN_UNPROVEN_ONE}
    places.note("a", 0.1, answered=True)
    assert filled(places, ["a"]) == {"a": TO_ONE_HOST}
    assert places.room(["a"]) == {}
    places.leave("a")
    assert places.room(["a"]) == {"a": 1}


def test_those_that_are_slow_leave_half_of_all_places() -> None:
    places = Places()
    filled(places, [f"slow-{number}" for number in range(1000)])
    assert places.room(["another"]) == {}
    for number in range(1000):
        places.note(f"quick-{number}", 0.1, answered=True)
    room = filled(places, ["another", *(f"quick-{number}" for number in range(1000))])
    assert sum(room.values()) == AT_ONCE - FOR_UNPROVEN
    assert not places.has_room


def test_one_that_becomes_slow_or_silent_is_proven_no_more() -> None:
    places = Places()
    for seconds, answered in ((SOON, True), (0.1, False)):
        places.note("a", 0.1, answered=True)
        places.note("a", seconds, answered=answered)
        assert places.room(["a"]) == {"a": TO_AN_UNPROVEN_ONE}


def test_only_so_many_are_remembered() -> None:
    places = Places()
    for number in range(REMEMBERED + 1):
        places.note(str(number), 0.1, answered=True)
    assert places.room(["0", str(REMEMBERED)]) == {"0": TO_AN_UNPROVEN_ONE, str(REMEMBERED): TO_ONE_HOST}
