"""From what an app at fal takes to a prompt and parameters in our words."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from darkroom.api.fal.sizes import SIZES, size_of
from darkroom.api.wishes import as_many, our_name, our_value, prompt_of, says_nothing
from darkroom.engine.catalogue import Model
from darkroom.errors import InvalidRequest

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
"""What does not say what the picture shows: left out where the model has no such thing."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of a model. `names`: what the caller calls parameters that go by another name here."""

    prompt: str
    parameters: Mapping[str, Any]
    names: Mapping[str, str]

    @contextmanager
    def in_the_callers_words(self) -> Iterator[None]:
        """Errors name what the caller sent."""
        try:
            yield
        except InvalidRequest as error:
            if error.field and error.field.startswith("parameters"):
                first, dot, rest = error.field.removeprefix("parameters").lstrip(".").partition(".")
                error.field = f"{self.names.get(first, first)}{dot}{rest}" or "body"
            raise


def wish_of(given: Mapping[str, Any], model: Model, *, base: str) -> Wish:
    """What `given` asks of `model`. `base`: what our own links start with. Raises `InvalidRequest`.

    Names that neither the model nor these clients know are left for the engine to refuse.
    """
    said = {name: value for name, value in given.items() if value is not None}
    prompt = prompt_of(said.pop("prompt", None), field="prompt")
    takes = model.schema.get("properties", {})
    parameters: dict[str, Any] = {}
    names: dict[str, str] = {}
    for name, value in said.items():
        if name in takes:
            parameters[name] = value
        elif name not in HINTS and name not in SIZES and not says_nothing(value):
            ours = our_name(name, ALIASES, takes, said)
            parameters[ours], names[ours] = as_many(ours, value), name
    for name in (name for name in SIZES if name in said and name not in takes):
        sized = size_of(name, said[name], takes, model.defaults)
        parameters, names = {**sized, **parameters}, {**dict.fromkeys(sized, name), **names}
    return Wish(prompt, {name: our_value(name, value, base=base) for name, value in parameters.items()}, names)


def wants_inline(given: Mapping[str, Any]) -> bool:
    """Whether pictures are to come within the result, and not as links."""
    return given.get("sync_mode") is True
