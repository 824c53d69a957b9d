"""From the `input` of a prediction to a prompt and parameters in our words."""

import math
from collections.abc import Mapping
from typing import Any, Final

from darkroom.api.wishes import as_many, our_name, our_value, prompt_of, says_nothing, shape_of, sides
from darkroom.engine.catalogue import Model
from darkroom.errors import InvalidRequest

ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "num_outputs": ("n",),
    "num_images": ("n",),
    "number_of_images": ("n",),
    "num_inference_steps": ("steps",),
    "num_steps": ("steps",),
    "guidance_scale": ("guidance",),
    "cfg_scale": ("guidance",),
    "cfg": ("guidance",),
    "prompt_strength": ("strength",),
    "input_image": ("image", "images"),
    "init_image": ("image", "images"),
    "image_prompt": ("image", "images"),
    "image_input": ("images", "image"),
    "input_images": ("images", "image"),
    "image": ("images",),
    "images": ("image",),
    "mask_image": ("mask",),
}
"""What models at Replicate call what ours may take under these names."""

HINTS: Final = frozenset(("output_quality", "go_fast", "disable_safety_checker", "apply_watermark", "safety_tolerance"))
"""What applications send along that does not say what the picture shows: left out where the model has no such thing."""

_SIZES: Final = ("aspect_ratio", "megapixels")
_AS_IT_COMES: Final = ("custom", "match_input_image")
_MEGAPIXEL: Final = 1024 * 1024


def prompt_and_parameters(given: Mapping[str, Any], model: Model, *, base: str) -> tuple[str, dict[str, Any]]:
    """What `given` asks of `model`. `base`: what our own links start with. Raises `InvalidRequest`.

    Names that neither the model nor these clients know are left for the engine to refuse.
    """
    said = {name: value for name, value in given.items() if value is not None}
    prompt = prompt_of(said.pop("prompt", None), field="input.prompt")
    takes = model.schema.get("properties", {})
    parameters: dict[str, Any] = {}
    sizes: dict[str, Any] = {}
    for name, value in said.items():
        if name in takes:
            parameters[name] = value
        elif name in _SIZES and {"width", "height"} <= takes.keys():
            sizes[name] = value
        elif name not in HINTS and not says_nothing(value):
            target = our_name(name, ALIASES, takes, said)
            parameters[target] = as_many(target, value)
    parameters = {**_size(sizes, model), **parameters}
    return prompt, {name: our_value(name, value, base=base) for name, value in parameters.items()}


def _size(said: Mapping[str, Any], model: Model) -> dict[str, int]:
    """The width and height of a shape and an area, where the model takes only these; those of a size are even."""
    said = {name: value for name, value in said.items() if value not in _AS_IT_COMES}
    if not said:
        return {}
    width, height = model.defaults.get("width", 1024), model.defaults.get("height", 1024)
    area, shape = width * height, width / height
    if "megapixels" in said:
        area = _number(said["megapixels"]) * _MEGAPIXEL
    if "aspect_ratio" in said:
        shape = shape_of(said["aspect_ratio"], field="input.aspect_ratio")
    return sides(shape, area)


def _number(text: Any) -> float:
    try:
        number = float(text)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number <= 100:
        raise InvalidRequest("must be a number such as 1 or 0.25", field="input.megapixels")
    return number
