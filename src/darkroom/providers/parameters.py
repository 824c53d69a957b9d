"""Parameters once: the names that callers use, and what each backend calls them.

A route's options say what its backend takes, where the backend cannot say it itself:

    [models.flux-schnell.routes.options.parameters]
    aspect_ratio = { enum = ["1:1", "16:9"], default = "1:1" }
    n = { as = "num_outputs", maximum = 4, default = 1 }

Each is a name of ours with a JSON Schema of its own, which is laid over ours; `as` is the backend's name, where dots
may stand for levels: `width = { as = "image_size.width" }` (see `nested`). `values` are the backend's words for ours,
`required = true` is for what it does not do without, and `form = "base64"` for a picture without its `data:` prefix.
"""

import base64
import binascii
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

import jsonschema_rs

from darkroom.errors import InvalidRequest, Permanent
from darkroom.media.model import Request

Rule = Mapping[str, Any]

PICTURE: Final = {
    "type": "string",
    "pattern": r"^data:image/(png|jpeg|webp);base64,[A-Za-z0-9+/]+={0,2}$",
    "description": "A picture as a data: URI in base64 (PNG, JPEG or WebP).",
}

VOCABULARY: Final[Mapping[str, Rule]] = {
    "width": {"type": "integer", "minimum": 16, "maximum": 16384, "description": "Width in pixels."},
    "height": {"type": "integer", "minimum": 16, "maximum": 16384, "description": "Height in pixels."},
    "aspect_ratio": {
        "type": "string",
        "pattern": r"^[1-9][0-9]{0,2}:[1-9][0-9]{0,2}$",
        "description": "Width to height, such as 16:9; instead of width and height.",
    },
    "n": {"type": "integer", "minimum": 1, "default": 1, "description": "How many pictures."},
    "seed": {
        "type": "integer",
        "minimum": 0,
        "maximum": 2**31 - 1,
        "description": "The same seed gives the same picture, as far as the backend can.",
    },
    "steps": {"type": "integer", "minimum": 1, "maximum": 500, "description": "Steps of denoising."},
    "guidance": {
        "type": "number",
        "minimum": 0,
        "maximum": 100,
        "description": "How closely the picture follows the prompt.",
    },
    "negative_prompt": {"type": "string", "maxLength": 32_000, "description": "What is not to be seen."},
    "output_format": {
        "type": "string",
        "enum": ["png", "jpeg", "webp"],
        "description": "What the pictures are made as.",
    },
    "quality": {"type": "string", "description": "The backend's level of quality."},
    "image": {**PICTURE, "description": "The picture to start from, as a data: URI in base64 (PNG, JPEG or WebP)."},
    "mask": {**PICTURE, "description": "Where to paint, as a data: URI in base64 (PNG, JPEG or WebP)."},
    "images": {
        "type": "array",
        "items": PICTURE,
        "minItems": 1,
        "maxItems": 16,
        "description": "The pictures to go by, as data: URIs in base64 (PNG, JPEG or WebP).",
    },
    "strength": {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "description": "How far to go from `image`: 0 keeps it, 1 forgets it.",
    },
}
"""What callers may ask for, where the model can do it."""


FORMS: Final = ("uri", "base64")
NO_SCHEMA: Final = frozenset(("as", "values", "required", "form"))
"""What a declaration says of the backend beside the JSON Schema."""


PRICED: Final = frozenset(
    (
        *("n", "num_images", "num_outputs", "number_of_images", "num_samples", "max_images", "batch_size"),
        *("sequential_image_generation", "sequential_image_generation_options"),
        *("image_size", "size", "resolution", "width", "height", "megapixels", "quality", "rendering_speed"),
        *("webhook", "webhook_url", "webhook_secret", "webhook_events_filter", "callback_url"),
    )
)
"""What backends call how many pictures are made, how large or how well, and where they go."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of one route: our name (or one that only this backend knows), its rule, the backend's name.

    `values`: what the backend calls a value of ours, where it differs (`jpeg` is `jpg`). `form`: how it wants a
    picture, as a `data:` URI or as its base64 alone.
    """

    name: str
    rule: Rule
    backend: str
    values: Mapping[str, Any]
    required: bool = False
    form: str = FORMS[0]


def declared(options: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """The parameters that a route's options state. Raises `InvalidRequest` naming the one that is wrong."""
    stated = options.get("parameters", {})
    if not isinstance(stated, Mapping):
        raise InvalidRequest("must be a table of parameters", field="options.parameters")
    parameters = tuple(parameter(name, rule) for name, rule in stated.items())
    for each in parameters:
        _check(each)
    return parameters


def _check(parameter: Parameter) -> None:
    """Raise `InvalidRequest` if its rule is no JSON Schema."""
    try:
        jsonschema_rs.Draft202012Validator(dict(parameter.rule))
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        why = getattr(error, "message", None) or str(error)
        raise InvalidRequest(f"is no JSON Schema: {why}", field=f"options.parameters.{parameter.name}") from error


def parameter(name: str, rule: Rule) -> Parameter:
    """A parameter, its rule laid over that of the vocabulary. Raises `InvalidRequest`."""
    at = f"options.parameters.{name}"
    if not isinstance(rule, Mapping):
        raise InvalidRequest('must be a table, such as { as = "num_outputs", maximum = 4 }', field=at)
    known = VOCABULARY.get(name, {})
    own = {key: value for key, value in rule.items() if key not in NO_SCHEMA}
    whole = {**known, **own}
    if not whole.get("description"):
        raise InvalidRequest("needs a description: it is no name that Darkroom knows", field=at)
    if "enum" in own:
        whole.pop("pattern", None)
    form = rule.get("form", FORMS[0])
    if form not in FORMS:
        raise InvalidRequest(f"has the form {form!r}; there are: {', '.join(FORMS)}", field=at)
    values = rule.get("values", {})
    if not isinstance(values, Mapping):
        raise InvalidRequest('needs a table for its values, such as { jpeg = "jpg" }', field=at)
    theirs = rule.get("as", name)
    if not isinstance(theirs, str) or not theirs:
        raise InvalidRequest("needs a text for the backend's name", field=at)
    return Parameter(name, whole, theirs, dict(values), rule.get("required") is True, form)


def schema_of(parameters: Iterable[Parameter]) -> dict[str, Any]:
    """The JSON Schema of these parameters."""
    parameters = tuple(parameters)
    properties = {each.name: dict(each.rule) for each in parameters}
    required = [each.name for each in parameters if each.required]
    must = {"required": required} if required else {}
    return {"type": "object", "properties": properties, "additionalProperties": False, **must}


def to_backend(parameters: Iterable[Parameter], request: Request, *, denied: Collection[str] = ()) -> dict[str, Any]:
    """What `request` asks for in the backend's names: what the caller passes through, and ours over it.

    Defaults of the schema are filled in.
    """
    parameters = tuple(parameters)
    body = passed_through(parameters, request.extra, denied=denied)
    for each in parameters:
        value = request.parameters.get(each.name, each.rule.get("default"))
        if value is not None:
            body[each.backend] = _in_their_words(each, value)
    return body


def passed_through(
    parameters: Iterable[Parameter], extra: Mapping[str, Any], *, denied: Collection[str] = ()
) -> dict[str, Any]:
    """What of `extra` goes to a backend: nothing that a parameter of ours sets, nor what is `denied` at any level.

    That could make a request dearer than it was priced.
    """
    ours = {each.backend for each in parameters}
    levels = {name.partition(".")[0] for name in ours}
    allowed = _without(denied, extra)
    return {name: value for name, value in allowed.items() if name not in levels and ours.isdisjoint(_paths(name))}


def _without(denied: Collection[str], extra: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _allowed(denied, value)
        for name, value in extra.items()
        if not any(part in denied for part in name.split("."))
    }


def _allowed(denied: Collection[str], value: Any) -> Any:
    if isinstance(value, Mapping):
        return _without(denied, value)
    return [_allowed(denied, each) for each in value] if isinstance(value, list) else value


def _paths(name: str) -> Iterable[str]:
    """A dotted name and the levels above it."""
    return accumulate(name.split("."), "{}.{}".format)


def _in_their_words(parameter: Parameter, value: Any) -> Any:
    if isinstance(value, list):
        return [_in_their_words(parameter, each) for each in value]
    if not isinstance(value, str):
        return value
    if parameter.form == "base64":
        return value.rpartition(",")[2]
    return parameter.values.get(value, value)


def nested(body: Mapping[str, Any]) -> dict[str, Any]:
    """`body` with the dots in its names as levels: `{"input.prompt": "a"}` is `{"input": {"prompt": "a"}}`.

    Where a name stands for a value and for a level, the level counts.
    """
    whole = {name: value for name, value in body.items() if "." not in name}
    for name, value in body.items():
        if "." not in name:
            continue
        *path, last = name.split(".")
        level = whole
        for part in path:
            inner = level.get(part)
            level[part] = dict(inner) if isinstance(inner, Mapping) else {}
            level = level[part]
        level[last] = value
    return whole


def seed_of(request: Request, *, most: int = 2**31 - 1) -> int:
    """The seed of a request: the caller's, or one that belongs to the media.

    So a request that was sent can be told from all others at the backend, and a retried one gives the same picture.
    """
    given = request.parameters.get("seed")
    return int(given) if given is not None else request.media_id.int % (most + 1)


# Sizes

Size = tuple[int, int]


def sizes_rule(sizes: Sequence[Size]) -> dict[str, Any]:
    """What a schema must say beside its properties if `width` and `height` may only be one of `sizes`.

    Merge it into a schema whose properties have both.
    """
    pairs = [{"properties": {"width": {"const": width}, "height": {"const": height}}} for width, height in sizes]
    return {"anyOf": pairs, "dependentRequired": {"width": ["height"], "height": ["width"]}}


def ratio(size: Size) -> str:
    """The aspect ratio of a size in lowest terms: 1536 x 1024 is 3:2."""
    divisor = math.gcd(*size)
    return f"{size[0] // divisor}:{size[1] // divisor}"


def size_of(parameters: Mapping[str, Any], sizes: Sequence[Size]) -> Size | None:
    """Which of `sizes` is asked for, by width and height or by aspect ratio; None: none in particular.

    Raises `Permanent` if there is no such one.
    """
    wanted = parameters.get("width"), parameters.get("height")
    shape = parameters.get("aspect_ratio")
    if wanted == (None, None) and shape is None:
        return None
    for size in sizes:
        if wanted == size or (wanted == (None, None) and ratio(size) == shape):
            return size
    raise Permanent(f"there is no size {shape or f'{wanted[0]} x {wanted[1]}'} here")


# Pictures that come in

_DATA_URI = re.compile(r"data:(image/[a-z]+);base64,")


def picture_of(uri: str) -> tuple[str, bytes]:
    """The content type and the bytes of a `data:` URI. Raises `Permanent` if it is none."""
    match = _DATA_URI.match(uri)
    if match is None:
        raise Permanent("an image must be a data: URI in base64")
    try:
        return match[1], base64.b64decode(uri[match.end() :], validate=True)
    except binascii.Error as error:
        raise Permanent("the data: URI of an image is not base64") from error
