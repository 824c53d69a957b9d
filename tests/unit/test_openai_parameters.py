"""From OpenAI's names to a model's: what is passed on, what is left out, what is refused."""

from typing import Any

import pytest

from darkroom.api.openai.parameters import NO_PICTURES, Pictures, parameters_of
from darkroom.api.openai.requests import ImagesRequest, of_form
from darkroom.engine.catalogue import Model, View
from darkroom.errors import InvalidRequest

ANY: dict[str, Any] = {}
NUMBER = {"type": "number"}
WHOLE = {"type": "integer"}
SIDES = {"width": WHOLE, "height": WHOLE}
QUALITY = {"type": "string", "enum": ["auto", "low", "high"]}


def model(**takes: Any) -> Model:
    schema = {"type": "object", "properties": takes, "additionalProperties": False}
    return Model("any", "", "default", (), _view=View((), (), schema, {}))


def parameters(wish: dict[str, Any], pictures: Pictures = NO_PICTURES, *, lenient: bool = False, **takes: Any) -> Any:
    request = ImagesRequest(prompt="a pier", **wish)
    return parameters_of(request, pictures, model(**takes), lenient=lenient)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("1536x864", {"size": "1536x864"}),
        ("1536X0864", {"size": "1536x864"}),
        ("auto", {}),
        (None, {}),
    ],
)
def test_a_size_is_left_to_each_backend_to_take_as_it_can(size: str | None, expected: Any) -> None:
    assert parameters({"size": size}, **SIDES) == expected


@pytest.mark.parametrize(
    ("wish", "takes", "expected"),
    [
        ({"quality": "high"}, {"quality": QUALITY}, {"quality": "high"}),
        ({"quality": "hd"}, {"quality": QUALITY}, {}),
        ({"quality": "high"}, {}, {}),
        ({"quality": "hihg"}, {"quality": QUALITY}, {"quality": "hihg"}),
        ({"quality": "hihg"}, {}, {}),
        ({"background": "opaque"}, {}, {}),
        ({"background": "transparent"}, {"background": ANY}, {"background": "transparent"}),
        ({"style": "vivid"}, {"style": {"enum": ["dunes"]}}, {}),
        ({"style": "dunes"}, {"style": {"enum": ["dunes"]}}, {"style": "dunes"}),
        ({"output_compression": 80}, {"output_compression": WHOLE}, {"output_compression": 80}),
        ({"output_compression": 80}, {}, {}),
        ({"n": 2, "output_format": "webp"}, {}, {"n": 2, "output_format": "webp"}),
        ({"frame_count": 2, "svg": {"model": "any"}}, {}, {}),
        ({"seed": 7, "steps": None}, {}, {"seed": 7}),
    ],
)
def test_hints_are_passed_on_where_they_fit(wish: dict[str, Any], takes: dict[str, Any], expected: Any) -> None:
    assert parameters(wish, **takes) == expected


@pytest.mark.parametrize(
    ("images", "takes", "expected"),
    [
        (["a"], {"image": ANY}, {"image": "a"}),
        (["a"], {"image": ANY, "images": ANY}, {"image": "a"}),
        (["a"], {"images": ANY}, {"images": ["a"]}),
        (["a"], {}, {"image": "a"}),
        (["a", "b", "c"], {"image": ANY, "images": ANY}, {"image": "a", "images": ["b", "c"]}),
        (["a", "b"], {}, {"images": ["a", "b"]}),
    ],
)
def test_pictures_go_where_the_model_takes_them(images: list[str], takes: dict[str, Any], expected: Any) -> None:
    assert parameters({}, Pictures(images), **takes) == expected


def test_two_pictures_are_not_one() -> None:
    with pytest.raises(InvalidRequest, match="takes one picture, and not 2"):
        parameters({}, Pictures(["a", "b"]), image=ANY)


def test_what_a_model_cannot_do_is_left_out_only_for_tests() -> None:
    pictures, wish = Pictures(["a"], {"mask": "b", "markup": "c"}), {"background": "transparent"}
    assert parameters(wish, pictures, lenient=True, image=ANY) == {"image": "a"}
    assert parameters({}, pictures, image=ANY) == {"image": "a", "mask": "b", "markup": "c"}
    with pytest.raises(InvalidRequest, match="no transparent background"):
        parameters(wish, pictures, image=ANY)


def test_texts_of_a_form_are_what_the_model_takes() -> None:
    fields = {"prompt": "a pier", "seed": "7", "strength": "0.5", "tiled": "true", "note": "7", "svg": {"model": "any"}}
    takes = {"seed": WHOLE, "strength": NUMBER, "tiled": {"type": "boolean"}, "note": {"type": "string"}}
    asked = parameters_of(of_form(fields), NO_PICTURES, model(**takes), lenient=False)
    assert asked == {"seed": 7, "strength": 0.5, "tiled": True, "note": "7"}
    broken = parameters_of(
        of_form({"prompt": "a pier", "seed": "[" * 9999}), NO_PICTURES, model(seed=WHOLE), lenient=True
    )
    assert broken == {"seed": "[" * 9999}
