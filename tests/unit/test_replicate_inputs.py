"""From Replicate's names to a model's: what is passed on, what is left out, what is refused."""

from typing import Any

import pytest

from darkroom.api.replicate.inputs import wish_of
from darkroom.api.wishes import Wish
from darkroom.engine.catalogue import Model, View
from darkroom.errors import InvalidRequest

ANY: dict[str, Any] = {}
SIDES = {"width": ANY, "height": ANY}
SHAPE = {"type": "string", "pattern": "^[0-9]+:[0-9]+$"}
SIZES = SIDES | {"aspect_ratio": SHAPE}


def wish(given: dict[str, Any], takes: dict[str, Any], **defaults: Any) -> Wish:
    schema = {"type": "object", "properties": takes, "additionalProperties": False}
    model = Model("any", "", "default", (), _view=View((), (), schema, defaults))
    return wish_of({"prompt": "a pier", **given}, model, base="https://pictures.test")


@pytest.mark.parametrize(
    ("given", "takes", "expected"),
    [
        ({"aspect_ratio": "16:9"}, SIZES, {"aspect_ratio": "16:9"}),
        ({"aspect_ratio": "16:9", "megapixels": "1"}, SIZES, {"aspect_ratio": "16:9"}),
        ({"aspect_ratio": "16:9", "megapixels": 0.25}, SIZES, {"width": 688, "height": 384}),
        ({"megapixels": "0.25"}, SIZES, {"width": 512, "height": 512}),
        ({"megapixels": "0.25", "width": 64}, SIZES, {"width": 64, "height": 512}),
        ({"megapixels": "1"}, {"aspect_ratio": SHAPE}, {}),
        ({"megapixels": "0.25"}, {"aspect_ratio": SHAPE}, {"megapixels": "0.25"}),
        ({"megapixels": "0.25"}, {**SIZES, "megapixels": ANY}, {"megapixels": "0.25"}),
        ({"aspect_ratio": "custom", "width": 64, "height": 48}, SIZES, {"width": 64, "height": 48}),
        ({"aspect_ratio": "custom"}, SIDES | {"aspect_ratio": {"enum": ["custom"]}}, {"aspect_ratio": "custom"}),
        ({"aspect_ratio": "match_input_image"}, SIZES, {}),
    ],
)
def test_a_size_is_said_as_the_model_takes_it(given: dict[str, Any], takes: dict[str, Any], expected: Any) -> None:
    assert wish(given, takes).parameters == expected


def test_the_area_that_a_model_makes_by_itself_says_nothing() -> None:
    assert wish({"megapixels": "0.25"}, SIZES, width=512, height=512).parameters == {}
    assert wish({"megapixels": "1"}, SIZES, width=512, height=512).parameters == {"width": 1024, "height": 1024}


def test_an_area_has_the_shape_that_the_model_makes_by_itself() -> None:
    assert wish({"megapixels": "1"}, SIZES, width=512, height=256).parameters == {"width": 1456, "height": 720}
    assert wish({"megapixels": "0.25"}, SIZES, aspect_ratio="16:9").parameters == {"width": 688, "height": 384}
    assert wish({"megapixels": "0.25"}, SIZES, width=768).parameters == {"width": 512, "height": 512}


@pytest.mark.parametrize("given", ["inf", "nan", "many", 0, -1, 101, [], 10**400, 10**300])
def test_what_is_no_area_is_refused(given: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"must be a number such as 1 or 0\.25") as raised:
        wish({"megapixels": given}, SIZES)
    assert raised.value.field == "input.megapixels"


@pytest.mark.parametrize(
    ("given", "takes", "field", "said"),
    [
        ({"num_outputs": 99}, {"n": ANY}, "parameters.n", "input.num_outputs"),
        ({"num_inference_steps": 9999}, {"steps": ANY}, "parameters.steps", "input.num_inference_steps"),
        ({"megapixels": "100"}, SIZES, "parameters.width", "input.megapixels"),
        ({"megapixels": "100", "width": 9999}, SIZES, "parameters.width", "input.width"),
        ({"aspect_ratio": "1:999"}, SIZES, "parameters.aspect_ratio", "input.aspect_ratio"),
        ({"input_images": ["a", "b"]}, {"images": ANY}, "parameters.images.1", "input.input_images.1"),
        ({"seed": 7}, {"seed": ANY}, "parameters.seed", "input.seed"),
        ({}, {}, "parameters", "input"),
        ({}, {}, "webhook", "webhook"),
        ({}, {}, None, None),
    ],
)
def test_errors_name_what_was_sent(given: dict[str, Any], takes: Any, field: str | None, said: str | None) -> None:
    with pytest.raises(InvalidRequest) as raised, wish(given, takes).in_the_callers_words():
        raise InvalidRequest("wrong", field=field)
    assert raised.value.field == said
