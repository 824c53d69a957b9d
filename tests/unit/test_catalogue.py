"""What models take, by way of the routes that serve them."""

import asyncio

import pytest

from darkroom.engine import catalogue as module
from darkroom.engine.catalogue import Catalogue, check_declared
from darkroom.engine.parameters import merged
from darkroom.errors import InvalidRequest, Unavailable, UnknownModel, UnusableModel
from services.catalogues import Rules, Told, complete, model, refusal

pytestmark = pytest.mark.anyio

STEPS = {"type": "integer", "minimum": 1, "maximum": 50, "description": "Steps."}


# What is accepted


def test_what_one_route_takes_is_accepted_and_goes_to_that_route() -> None:
    of = model(Told({"n": {"type": "integer", "maximum": 1}}), Told({"n": {"type": "integer", "maximum": 4}}))
    assert complete(of, n=3) == {"n": 3}
    assert [route.account.name for route in of.capable({"n": 3})] == ["b"]
    assert [route.account.name for route in of.capable({"n": 1})] == ["a", "b"]


def test_what_no_route_takes_is_refused_in_the_words_of_the_first() -> None:
    of = model(Told({"n": {"type": "integer", "maximum": 2}}), Told({"n": {"type": "integer", "maximum": 4}}))
    error = refusal(of, n=9)
    assert error.field == "parameters.n"
    assert "9" not in error.message.partition(";")[0].replace("this", "")


def test_parameters_that_only_different_routes_take_are_refused_together() -> None:
    of = model(Told({"steps": STEPS}), Told({"style": {"type": "string"}}))
    assert complete(of, steps=4)["steps"] == 4
    assert complete(of, style="vivid")["style"] == "vivid"
    assert refusal(of, steps=4, style="vivid").field == "parameters.style"


def test_a_parameter_that_is_none_is_named_with_those_that_are() -> None:
    error = refusal(model(Told({"steps": STEPS})), stpes=4)
    assert error.field == "parameters.stpes"
    assert error.message == "m has no parameter 'stpes'; it takes: n, output_format, provider_options, steps"


def test_a_long_name_is_not_repeated_in_full() -> None:
    assert len(refusal(model(Told({})), **{"x" * 5000: 1}).message) < 300


def test_numbers_that_are_whole_become_integers() -> None:
    assert complete(model(Told({"steps": STEPS})), steps=4.0) == {"n": 1, "steps": 4}
    assert type(complete(model(Told({"steps": STEPS})), steps=4.0)["steps"]) is int


def test_one_picture_may_be_asked_for_everywhere() -> None:
    assert complete(model(Told({})), n=1)["n"] == 1
    assert refusal(model(Told({})), n=2).field == "parameters.n"


# What is filled in


def test_a_default_is_filled_in_where_all_routes_take_it() -> None:
    ours, theirs = {**STEPS, "default": 4}, {**STEPS, "default": 28}
    assert complete(model(Told({"steps": ours}), Told({"steps": theirs})))["steps"] == 4


@pytest.mark.parametrize("other", [{}, {"steps": {**STEPS, "minimum": 10}}])
def test_a_default_is_left_to_the_routes_where_one_does_not_take_it(other: Rules) -> None:
    of = model(Told({"steps": {**STEPS, "default": 4}}), Told(other))
    assert "steps" not in complete(of)
    assert len(of.capable(complete(of))) == 2


def test_what_the_settings_declare_is_filled_in_and_callers_have_the_last_word() -> None:
    of = model(Told({"steps": {**STEPS, "default": 4}}), declared={"steps": 8})
    assert complete(of)["steps"] == 8
    assert complete(of, steps=9)["steps"] == 9


def test_declared_values_that_no_route_takes_are_a_mistake_in_the_settings() -> None:
    check_declared(model(Told({"steps": STEPS}), Told({}), declared={"steps": 8}))
    check_declared(model(Told({}, secret=True), declared={"steps": 8}))  # nobody knows yet
    with pytest.raises(InvalidRequest, match="steps"):
        check_declared(model(Told({}), declared={"steps": 8}))


# What callers are told


def test_one_schema_is_told_as_it_is() -> None:
    schema = model(Told({"steps": STEPS})).schema
    assert schema["properties"]["steps"] == STEPS
    assert schema["additionalProperties"] is False


def test_where_routes_differ_either_way_is_told() -> None:
    one, other = {**STEPS, "default": 4}, {"type": "integer", "maximum": 100, "description": "More steps."}
    schema = merged([{"properties": {"steps": one, "a": STEPS}}, {"properties": {"steps": other}}])
    assert schema["properties"]["a"] == STEPS
    steps = schema["properties"]["steps"]
    assert (steps["description"], steps["default"]) == ("Steps.", 4)
    assert steps["anyOf"] == [{"type": "integer", "minimum": 1, "maximum": 50}, {"type": "integer", "maximum": 100}]


@pytest.mark.parametrize("maximum", range(1, 8))
def test_the_schema_that_is_told_takes_what_some_route_takes(maximum: int) -> None:
    of = model(*(Told({"n": {"type": "integer", "minimum": 1, "maximum": most}}) for most in (2, 4, 6)))
    validator = module.validator_of(of.schema)
    assert validator.is_valid({"n": maximum}) == bool(of.capable({"n": maximum})) == (maximum <= 6)


# What a route gets of it


def test_a_route_gets_what_it_takes_and_no_more() -> None:
    first, second = model(Told({"steps": STEPS}), Told({})).routes
    given = {"steps": 4, "n": 1, "output_format": "png", "provider_options": {"a": {"tiling": True}, "b": {"x": 1}}}
    assert first.narrowed(given, {}) == ({"steps": 4}, {"tiling": True})
    assert second.narrowed(given, {}) == ({}, {"x": 1})
    assert first.narrowed({}, {}) == ({}, {})


def test_a_format_that_the_backend_cannot_make_is_made_by_us() -> None:
    formats = {"output_format": {"type": "string", "enum": ["png", "jpeg"]}}
    (route,) = model(Told(formats)).routes
    assert route.error({"output_format": "webp"}, {}) is None
    assert route.narrowed({"output_format": "webp"}, {}) == ({}, {})
    assert route.narrowed({"output_format": "jpeg"}, {}) == ({"output_format": "jpeg"}, {})


def test_what_is_passed_through_must_be_for_a_backend_of_the_model() -> None:
    of = model(Told({}), Told({}))
    assert complete(of, provider_options={"b": {"x": 1}})["provider_options"] == {"b": {"x": 1}}
    error = refusal(of, provider_options={"openai": {}})
    assert error.field == "parameters.provider_options"
    assert error.message == "m has no backend 'openai'; it has: a, b"
    assert refusal(of, provider_options={"a": 1}).field.startswith("parameters.provider_options")  # type: ignore[union-attr]


def test_nothing_is_passed_through_to_what_runs_here() -> None:
    of = model(Told({}), guarded=False)
    assert "provider_options" not in of.schema["properties"]
    assert refusal(of, provider_options={"a": {}}).field == "parameters.provider_options"


# What cannot be used


def test_a_route_that_is_not_set_up_is_left_out() -> None:
    of = model(Told({"steps": STEPS}, wrong="A_KEY is not set"), Told({}))
    assert refusal(of, steps=4).field == "parameters.steps"
    assert [route.account.name for route in of.capable({})] == ["b"]
    assert of.problem is None


def test_a_model_without_a_route_that_is_set_up_says_what_to_do() -> None:
    of = model(Told({}, wrong="A_KEY is not set"), Told({}, wrong="B_KEY is not set"))
    with pytest.raises(UnusableModel, match="m cannot be used here: A_KEY is not set; B_KEY is not set"):
        complete(of)
    assert of.problem == "A_KEY is not set; B_KEY is not set"
    assert "n" in of.schema["properties"]  # what it would take is told all the same


def test_a_model_that_is_not_there_is_told_from_those_that_are() -> None:
    usable, not_yet = model(Told({})), model(Told({}, wrong="A_KEY is not set"))
    not_yet.name = "later"
    with pytest.raises(UnknownModel, match="there is no model 'x'; there are: m, and 1 that cannot be used yet"):
        Catalogue([usable, not_yet], default="m").get("x")


# What only the backend knows


async def test_what_only_the_backend_knows_it_is_asked_once() -> None:
    provider = Told({"steps": STEPS}, secret=True)
    of = model(provider)
    catalogue = Catalogue([of], default="m")
    with pytest.raises(Unavailable, match="no backend of m says at present what it takes"):
        catalogue.complete(of, {})
    for _ in range(3):
        assert await catalogue.ready("m") is of
    assert provider.asked == 1
    assert catalogue.complete(of, {"steps": 4})["steps"] == 4


async def test_what_is_known_is_not_asked_for() -> None:
    provider = Told({})
    await Catalogue([model(provider)], default="m").ready(None)
    assert provider.asked == 0


@pytest.mark.parametrize("how", ["refuses", "hangs"])
async def test_a_backend_that_does_not_say_is_left_out_until_it_does(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setattr(module, "LEARNING", 0.01)
    monkeypatch.setattr(module, "SILENT_FOR", 0.0)
    silent = Told({"steps": STEPS}, secret=True)
    setattr(silent, how, True)
    of = model(silent, Told({}))
    catalogue = Catalogue([of], default="m")
    await catalogue.ready("m")
    assert [route.account.name for route in of.capable({})] == ["b"]
    setattr(silent, how, False)
    await catalogue.ready("m")
    assert catalogue.complete(of, {"steps": 4})["steps"] == 4


async def test_a_backend_is_asked_again_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Told({"steps": STEPS}, secret=True)
    of = model(provider)
    catalogue = Catalogue([of], default="m")
    await catalogue.ready("m")
    monkeypatch.setattr(module, "LEARNT_FOR", -1.0)
    provider._rules = {"steps": {**STEPS, "maximum": 99}}
    await catalogue.ready("m")
    assert provider.asked == 2
    assert catalogue.complete(of, {"steps": 80})["steps"] == 80


async def test_what_a_backend_said_goes_on_to_count_when_it_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Told({"steps": STEPS}, secret=True)
    of = model(provider)
    catalogue = Catalogue([of], default="m")
    await catalogue.ready("m")
    monkeypatch.setattr(module, "LEARNT_FOR", -1.0)
    provider.refuses = True
    await catalogue.ready("m")
    assert catalogue.complete(of, {"steps": 4})["steps"] == 4


async def test_a_backend_that_does_not_say_keeps_nobody_waiting_for_a_while() -> None:
    silent = Told({"steps": STEPS}, secret=True)
    silent.refuses = True
    catalogue = Catalogue([model(silent, Told({}))], default="m")
    for _ in range(3):
        await catalogue.ready("m")
    assert silent.asked == 1


async def test_many_who_ask_at_the_same_time_ask_once() -> None:
    provider = Told({"steps": STEPS}, secret=True)
    catalogue = Catalogue([model(provider)], default="m")
    await asyncio.gather(*(catalogue.ready("m") for _ in range(20)))
    assert provider.asked == 1
