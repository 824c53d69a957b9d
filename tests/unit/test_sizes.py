"""A size that is said in one way, for backends that know another."""

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from darkroom.engine.ways import routes_of
from services.catalogues import Told, complete, model, refusal

EDGE = {"type": "integer", "minimum": 16, "maximum": 2048}
PIXELS: dict[str, Any] = {"width": {**EDGE, "default": 512}, "height": {**EDGE, "default": 512}}
SHAPES: dict[str, Any] = {"aspect_ratio": {"type": "string", "enum": ["1:1", "16:9", "4:3"], "default": "1:1"}}


def served(of: Any, **parameters: Any) -> list[dict[str, Any]]:
    """What each provider that can serve the request gets of it."""
    accepted = complete(of, **parameters)
    return [route.narrowed(accepted, of.defaults)[0] for route in of.capable(accepted)]


def test_a_size_is_made_what_the_only_backend_takes() -> None:
    assert complete(model(Told(PIXELS)), size="640x480") == {"n": 1, "width": 640, "height": 480}
    assert complete(model(Told(SHAPES)), size="640x480") == {"n": 1, "aspect_ratio": "4:3"}


def test_a_shape_has_about_as_many_pixels_as_a_model_makes_by_itself() -> None:
    assert complete(model(Told(PIXELS)), aspect_ratio="1:1") == {"n": 1, "width": 512, "height": 512}
    declared = model(Told(PIXELS), declared={"width": 1024, "height": 1024})
    assert complete(declared, aspect_ratio="16:9") == {"n": 1, "width": 1360, "height": 768}
    bare = dict.fromkeys(PIXELS, EDGE)
    assert complete(model(Told(bare)), aspect_ratio="1:1") == {"n": 1, "width": 1024, "height": 1024}


@pytest.mark.parametrize(
    ("said", "first", "second"),
    [
        ({"size": "1024x768"}, {"aspect_ratio": "4:3"}, {"width": 1024, "height": 768}),
        ({"aspect_ratio": "4:3"}, {"aspect_ratio": "4:3"}, {"width": 1184, "height": 880}),
    ],
)
def test_backends_that_differ_can_all_serve_a_request(said: Any, first: Any, second: Any) -> None:
    both = model(Told(SHAPES), Told(dict.fromkeys(PIXELS, EDGE)))
    assert complete(both, **said) == {"n": 1, **said}
    assert served(both, **said) == [first, second]


def test_pixels_that_are_said_are_kept_to() -> None:
    both = model(Told(SHAPES), Told(PIXELS))
    assert served(both, width=640, height=480) == [{"width": 640, "height": 480}]


def test_a_backend_that_does_not_have_the_shape_is_left_out() -> None:
    both = model(Told(SHAPES), Told(PIXELS))
    assert served(both, size="700x500") == [{"width": 700, "height": 500}]
    assert served(both, size="4000x4000") == [{"aspect_ratio": "1:1"}]


@pytest.mark.parametrize(
    ("said", "field", "what"),
    [
        ({"size": "large"}, "parameters.size", "must be a size such as 1024x768"),
        ({"size": 1024}, "parameters.size", "must be a size such as 1024x768"),
        ({"aspect_ratio": "wide"}, "parameters.aspect_ratio", "must be a shape such as 16:9"),
        ({"size": "640x480", "width": 640}, "parameters.size", "says the size once more, after width"),
        ({"aspect_ratio": "4:3", "height": 480}, "parameters.aspect_ratio", "says the size once more, after height"),
        ({"size": "640x480", "aspect_ratio": "4:3"}, "parameters.size", "says the size once more, after aspect_ratio"),
        ({"size": "640x4800"}, "parameters.size", "height: "),
        ({"aspect_ratio": "100:1"}, "parameters.aspect_ratio", "width: "),
    ],
)
def test_what_is_wrong_with_a_size_is_said_in_the_callers_words(said: Any, field: str, what: str) -> None:
    error = refusal(model(Told(PIXELS)), **said)
    assert error.field == field
    assert error.message.startswith(what)


def test_the_ways_of_saying_a_size_are_in_the_schema() -> None:
    assert {"size", "aspect_ratio"} <= model(Told(PIXELS)).schema["properties"].keys()
    assert "size" in model(Told(SHAPES)).schema["properties"]
    assert model(Told(SHAPES)).schema["properties"]["aspect_ratio"] == SHAPES["aspect_ratio"]
    assert not {"size", "aspect_ratio"} & model(Told({})).schema["properties"].keys()


def test_a_backends_own_size_is_its_own() -> None:
    own = {"size": {"type": "string", "enum": ["small", "large"]}, **PIXELS}
    assert complete(model(Told(own)), size="large", width=64, height=64)["size"] == "large"
    assert refusal(model(Told(own)), size="640x480").field == "parameters.size"


def test_what_is_said_goes_before_what_is_declared() -> None:
    declared = model(Told(PIXELS), declared={"aspect_ratio": "16:9"})
    assert complete(declared) == {"n": 1, "width": 688, "height": 384}
    assert complete(declared, width=320, height=240) == {"n": 1, "width": 320, "height": 240}
    assert complete(declared, size="320x240") == {"n": 1, "width": 320, "height": 240}
    both = model(Told(SHAPES), Told(PIXELS), declared={"aspect_ratio": "16:9"})
    assert served(both, width=800, height=600) == [{"width": 800, "height": 600}]


def test_two_sizes_are_too_many_for_backends_that_differ() -> None:
    error = refusal(model(Told(SHAPES), Told(PIXELS)), width=640, height=480, aspect_ratio="16:9")
    assert (error.field, error.message) == ("parameters.aspect_ratio", "says the size once more, after width")
    assert refusal(model(Told(SHAPES), Told(PIXELS)), aspect_ratio=5).message == "must be a shape such as 16:9"


def test_a_backends_own_ways_stand_beside_each_other() -> None:
    own = {"size": {"type": "string", "enum": ["2K", "4K"]}, **SHAPES}
    of = model(Told(own), declared={"size": "4K", "aspect_ratio": "16:9"})
    assert complete(of, aspect_ratio="4:3") == {"n": 1, "size": "4K", "aspect_ratio": "4:3"}
    assert complete(of, size="2K") == {"n": 1, "size": "2K", "aspect_ratio": "16:9"}


def test_the_pixels_of_a_shape_are_the_models_or_else_the_backends_own_whoever_stands_beside() -> None:
    wide = {"width": 688, "height": 384}
    assert served(model(Told(PIXELS)), aspect_ratio="16:9") == [wide]
    assert served(model(Told(SHAPES), Told(PIXELS)), aspect_ratio="16:9") == [{"aspect_ratio": "16:9"}, wide]
    declared = model(Told(PIXELS), declared={"size": "1024x1024"})
    assert complete(declared, aspect_ratio="1:1") == {"n": 1, "width": 1024, "height": 1024}


def test_sides_are_multiples_of_what_a_backend_wants() -> None:
    steps = {name: {**rule, "multipleOf": 32} for name, rule in PIXELS.items()}
    assert served(model(Told(steps)), aspect_ratio="16:9") == [{"width": 672, "height": 384}]


def test_a_size_is_kept_as_it_was_said_while_a_backend_has_yet_to_say_what_it_takes() -> None:
    of = model(Told(PIXELS), Told(SHAPES, secret=True))
    assert complete(of, size="1024x768")["size"] == "1024x768"


def test_those_come_first_to_whom_something_is_passed_through() -> None:
    of = model(Told(SHAPES), Told(SHAPES))
    assert list(routes_of(of, asked_for(of))) == ["a:x", "b:x"]
    assert list(routes_of(of, asked_for(of, provider_options={"b": {"lora": "x"}}))) == ["b:x", "a:x"]


def asked_for(of: Any, **parameters: Any) -> Any:
    """As much of a media as says the order of its routes."""
    return SimpleNamespace(id=UUID(int=0), parameters=complete(of, **parameters))
