"""From the `input` of a prediction to a prompt and parameters in our words."""

from collections.abc import Mapping
from typing import Any, Final

from darkroom.api.wishes import Wish, Words, leaves_to_model, prompt_of, shape_of, translated
from darkroom.engine.catalogue import Model
from darkroom.engine.sizes import area_of, sides
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
"""What applications send along that does not say what the picture shows: left out where no backend has such a thing."""
WORDS: Final = Words("replicate", ALIASES, HINTS)

_AS_IT_COMES: Final = ("custom", "match_input_image")
_MEGAPIXEL: Final = 1024 * 1024


def wish_of(given: Mapping[str, Any], model: Model, *, base: str) -> Wish:
    """What `given` asks of `model`. `base`: what our own links start with. Raises `InvalidRequest`.

    Names that neither the model nor its backends at Replicate can take are left for the engine to refuse.
    """
    said = {name: value for name, value in given.items() if value is not None}
    prompt = prompt_of(said.pop("prompt", None), field="input.prompt")
    sized = _taken_out(said, model)
    parameters, names = translated(said, model, WORDS, base=base)
    own = {ours: "megapixels" for ours in sized if ours not in parameters}
    return Wish(prompt, {**sized, **parameters}, {**own, **names}, "input")


def _taken_out(said: dict[str, Any], model: Model) -> dict[str, int]:
    """The sides for the area in `said`, which loses it, and the shape with it. They are even.

    What leaves the size to the model, or says the area that it makes by itself, is taken out too.
    """
    takes = model.schema.get("properties", {})
    in_pixels = {"width", "height"} <= takes.keys()
    if in_pixels and leaves_to_model("aspect_ratio", said.get("aspect_ratio"), _AS_IT_COMES, takes):
        del said["aspect_ratio"]
    if "megapixels" not in said or "megapixels" in takes:
        return {}
    area = _number(said["megapixels"]) * _MEGAPIXEL
    own = area_of(model.defaults)
    if area != own and not in_pixels:
        return {}
    del said["megapixels"]
    if area == own:
        return {}
    shape = said.pop("aspect_ratio", None) or model.defaults.get("aspect_ratio")
    if shape:
        return sides(shape_of(shape, field="input.aspect_ratio"), area)
    has_both = {"width", "height"} <= model.defaults.keys()
    return sides(model.defaults["width"] / model.defaults["height"] if has_both else 1, area)


def _number(text: Any) -> float:
    try:
        number = float(text)
    except (TypeError, ValueError, OverflowError):
        number = 0.0
    if not 0 < number <= 100:
        raise InvalidRequest("must be a number such as 1 or 0.25", field="input.megapixels")
    return number
