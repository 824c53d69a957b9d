"""From what an app at fal takes to a prompt and parameters in our words."""

from collections.abc import Mapping
from typing import Any, Final

from darkroom.api.fal.sizes import AS_IT_COMES, SIZES, size_of
from darkroom.api.wishes import Wish, Words, leaves_to_model, prompt_of, translated
from darkroom.engine.catalogue import Model

ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "num_images": ("n",),
    "num_inference_steps": ("steps",),
    "guidance_scale": ("guidance",),
    "format": ("output_format",),
    "image_url": ("image", "images"),
    "image_urls": ("images", "image"),
    "mask_url": ("mask",),
    "mask_image_url": ("mask",),
}
"""What apps at fal call what ours may take under these names."""

HINTS: Final = frozenset(
    ("sync_mode", "enable_safety_checker", "safety_checker_version", "safety_tolerance", "acceleration")
)
"""What does not say what the picture shows: left out where no backend has such a thing."""
WORDS: Final = Words("fal", ALIASES, HINTS)


def wish_of(given: Mapping[str, Any], model: Model, *, base: str) -> Wish:
    """What `given` asks of `model`. `base`: what our own links start with. Raises `InvalidRequest`.

    Names that neither the model nor its backends at fal can take are left for the engine to refuse.
    """
    said = {name: value for name, value in given.items() if value is not None}
    prompt = prompt_of(said.pop("prompt", None), field="prompt")
    sized, sizes = _taken_out(said, model)
    parameters, names = translated(said, model, WORDS, base=base)
    own = {ours: name for ours, name in sizes.items() if ours not in parameters}
    return Wish(prompt, {**sized, **parameters}, {**own, **names})


def _taken_out(said: dict[str, Any], model: Model) -> tuple[dict[str, Any], dict[str, str]]:
    """The parameters for the size in `said`, which loses it, and what it is called there. The first one wins."""
    takes = model.schema.get("properties", {})
    sized: dict[str, Any] = {}
    names: dict[str, str] = {}
    for name in (name for name in SIZES if name in said):
        if name in takes and not sized and not leaves_to_model(name, said[name], AS_IT_COMES, takes):
            continue
        found = size_of(name, said.pop(name), takes)
        if not sized:
            sized, names = found, dict.fromkeys(found, name)
    return sized, names


def wants_inline(given: Mapping[str, Any]) -> bool:
    """Whether pictures are to come within the result, and not as links."""
    return given.get("sync_mode") is True
