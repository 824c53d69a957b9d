"""What is sent: a request of ours in the words of the Images API."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from darkroom.media.model import Request
from darkroom.providers.openai.models import Model
from darkroom.providers.parameters import Parameter, picture_of, size_of, to_backend

PICTURES: Final = ("image", "images", "mask")
SEVERAL: Final = "image[]"
"""The part of a form that is repeated for each of several pictures."""
File = tuple[str, bytes, str]
"""A name, the bytes, a content type."""
OURS: Final = frozenset(
    ("model", "prompt", "n", "size", "stream", "partial_images", "response_format", "image", "image[]", "mask")
)
"""What callers cannot pass through: it says what is made and how much of it."""


@dataclass(frozen=True, slots=True)
class Call:
    """A `POST` to `path`; `content`: the body, as arguments of the HTTP client."""

    path: str
    content: Mapping[str, Any]


def call_of(model: Model, request: Request) -> Call:
    """The call that makes what `request` asks for. With a picture to start from it is an edit, which is a form."""
    body, files = _body(model, request), _files(model, request)
    if not files:
        return Call("images/generations", {"json": body})
    return Call("images/edits", {"data": {name: _field(value) for name, value in body.items()}, "files": files})


def _files(model: Model, request: Request) -> list[tuple[str, File]]:
    """The pictures to start from as parts of a form; several go by one name."""
    named = {each.name: each.backend for each in model.parameters if each.name in PICTURES}
    given = {name: request.parameters[name] for name in named if request.parameters.get(name)}
    starts = [*([given["image"]] if "image" in given else []), *given.get("images", ())]
    name = named.get("image", SEVERAL) if len(starts) == 1 else SEVERAL
    files = [(name, _file(f"image-{number}", uri)) for number, uri in enumerate(starts)]
    return files + ([(named["mask"], _file("mask", given["mask"]))] if "mask" in given else [])


def _body(model: Model, request: Request) -> dict[str, Any]:
    shaping = [each for each in model.parameters if _shapes(each, model)]
    plain = [each for each in model.parameters if each not in shaping and each.name not in PICTURES]
    extra = {name: value for name, value in request.extra.items() if name not in OURS}
    body = {"model": model.name, "prompt": request.prompt, **to_backend(plain, replace(request, extra=extra))}
    if size := _size(model, shaping, request):
        body["size"] = size
    if model.response_format:
        body["response_format"] = model.response_format
    if model.partial_images and request.n == 1:  # OpenAI streams no more than one
        body |= {"stream": True, "partial_images": model.partial_images}
    return body


def _shapes(parameter: Parameter, model: Model) -> bool:
    """Whether a parameter is a part of `size`. A ratio can only be where the sizes are known."""
    return parameter.name in ("width", "height") or (parameter.name == "aspect_ratio" and bool(model.family.sizes))


def _size(model: Model, shaping: list[Parameter], request: Request) -> str | None:
    given = {each.name: request.parameters.get(each.name, each.rule.get("default")) for each in shaping}
    width, height = given.get("width"), given.get("height")
    if model.family.any_size and width and height:
        return f"{width}x{height}"
    size = size_of(given, model.family.sizes)
    return f"{size[0]}x{size[1]}" if size else None


def _file(name: str, uri: str) -> File:
    kind, content = picture_of(uri)
    return f"{name}.{kind.removeprefix('image/')}", content, kind


def _field(value: Any) -> str | int | float | bool:
    return value if isinstance(value, str | int | float | bool) else json.dumps(value)
