"""From fal's names to a model's: what is passed on, what is left out, what is refused."""

from typing import Any

import pytest

from darkroom.api.fal.inputs import Wish, wants_inline, wish_of
from darkroom.engine.catalogue import Model, View
from darkroom.errors import InvalidRequest

BASE = "https://pictures.test"
UPLOADED = "0199a000-0000-7000-8000-000000000000"
ANY: dict[str, Any] = {}
SIZED = {"size": ANY, "aspect_ratio": {"pattern": "^[0-9]+:[0-9]+$"}}


def model(takes: dict[str, Any], **defaults: Any) -> Model:
    schema = {"type": "object", "properties": takes, "additionalProperties": False}
    return Model("any", "", "default", (), _view=View((), (), schema, defaults))


def wish(given: dict[str, Any], takes: dict[str, Any], **defaults: Any) -> Wish:
    return wish_of({"prompt": "a pier", **given}, model(takes, **defaults), base=BASE)


@pytest.mark.parametrize(
    ("given", "takes", "expected"),
    [
        ("square_hd", SIZED, {"size": "1024x1024"}),
        ("portrait_16_9", SIZED, {"size": "576x1024"}),
        ({"width": 70, "height": 50}, SIZED, {"size": "70x50"}),
        ("landscape_16_9", {"image_size": ANY}, {"image_size": "landscape_16_9"}),
        ("landscape_16_9", {}, {"image_size": "landscape_16_9"}),
        ("auto", SIZED, {}),
        (None, SIZED, {}),
    ],
)
def test_a_size_is_left_to_each_backend_to_take_as_it_can(given: Any, takes: dict[str, Any], expected: Any) -> None:
    assert wish({"image_size": given}, takes).parameters == expected


def test_a_shape_is_one_here_too() -> None:
    assert wish({"aspect_ratio": "16:9"}, SIZED).parameters == {"aspect_ratio": "16:9"}
    assert wish({"aspect_ratio": "auto"}, SIZED).parameters == {}
    assert wish({"aspect_ratio": "16:9"}, {}).parameters == {"aspect_ratio": "16:9"}


def test_of_two_sizes_the_one_in_pixels_counts() -> None:
    assert wish({"aspect_ratio": "16:9", "image_size": "square"}, SIZED).parameters == {"size": "512x512"}


@pytest.mark.parametrize(
    "given",
    ["huge", 64, [], {"width": 64}, *({"width": width, "height": 64} for width in (0, -1, 1.5, True, "64"))],
)
def test_what_is_no_size_is_refused(given: Any) -> None:
    with pytest.raises(InvalidRequest, match="must be one of square_hd") as raised:
        wish({"image_size": given}, SIZED)
    assert raised.value.field == "image_size"


@pytest.mark.parametrize(
    ("given", "takes", "expected"),
    [
        ({"num_images": 2, "num_inference_steps": 4}, {"n": ANY, "steps": ANY}, {"n": 2, "steps": 4}),
        ({"guidance_scale": 3.5, "seed": 0}, {"guidance": ANY, "seed": ANY}, {"guidance": 3.5, "seed": 0}),
        ({"guidance_scale": 3.5}, {"guidance": ANY, "guidance_scale": ANY}, {"guidance_scale": 3.5}),
        ({"format": "jpg"}, {"output_format": ANY}, {"output_format": "jpeg"}),
        ({"image_url": "data:,a"}, {"image": ANY}, {"image": "data:,a"}),
        ({"image_url": "data:,a"}, {"images": ANY}, {"images": ["data:,a"]}),
        ({"image_urls": ["data:,a", "data:,b"]}, {"images": ANY}, {"images": ["data:,a", "data:,b"]}),
        ({"image_urls": ["data:,a"]}, {"image": ANY}, {"image": "data:,a"}),
        ({"mask_url": "data:,a"}, {"mask": ANY}, {"mask": "data:,a"}),
        ({"image_url": f"{BASE}/files/{UPLOADED}/content"}, {"image": ANY}, {"image": UPLOADED}),
        ({"image_url": f"{BASE}/files/{UPLOADED}?a=b"}, {"image": ANY}, {"image": UPLOADED}),
        ({"image_url": f"{BASE}/files/other"}, {"image": ANY}, {"image": f"{BASE}/files/other"}),
        ({"sync_mode": True, "enable_safety_checker": False, "acceleration": "high"}, {}, {}),
        ({"acceleration": "high"}, {"acceleration": ANY}, {"acceleration": "high"}),
        ({"negative_prompt": "", "loras": [], "raw": False, "embeddings": {}, "expand": None}, {}, {}),
        ({"text": "", "raw": False}, {"text": ANY, "raw": ANY}, {"text": "", "raw": False}),
        ({"loras": ["a"], "strength": 0}, {}, {"loras": ["a"], "strength": 0}),
    ],
)  # fmt: skip
def test_names_are_those_of_the_model(given: dict[str, Any], takes: dict[str, Any], expected: Any) -> None:
    assert wish(given, takes).parameters == expected


@pytest.mark.parametrize(
    ("given", "takes", "field", "said"),
    [
        ({"num_images": 9}, {"n": ANY}, "parameters.n", "num_images"),
        ({"image_size": "square"}, SIZED, "parameters.size", "image_size"),
        ({"image_urls": ["a", "b"]}, {"images": ANY}, "parameters.images.1", "image_urls.1"),
        ({"seed": 7}, {"seed": ANY}, "parameters.seed", "seed"),
        ({}, {}, "parameters", "body"),
        ({}, {}, "model", "model"),
        ({}, {}, None, None),
    ],
)
def test_errors_name_what_was_sent(given: dict[str, Any], takes: Any, field: str | None, said: str | None) -> None:
    with pytest.raises(InvalidRequest) as raised, wish(given, takes).in_the_callers_words():
        raise InvalidRequest("wrong", field=field)
    assert raised.value.field == said


@pytest.mark.parametrize(("prompt", "message"), [(None, "is required"), (3, "valid string"), ("\n", "say something")])
def test_a_prompt_is_needed(prompt: Any, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message) as raised:
        wish({"prompt": prompt}, {})
    assert raised.value.field == "prompt"


def test_only_true_wants_pictures_within_the_result() -> None:
    assert [wants_inline({"sync_mode": value}) for value in (True, False, None, "true", 1)] == [True, *[False] * 4]
    assert not wants_inline({})
