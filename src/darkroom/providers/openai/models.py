"""The models that OpenAI has, and what each takes; and what a route says of those that it does not know.

As of November 2026, from OpenAI's Images API reference and its Python client. `gpt-image-1`, `dall-e-3` and
`dall-e-2` are no longer at OpenAI itself, and the rest before `gpt-image-2` leaves on 2026-12-01; other hosts and
servers that speak its API may still have them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from darkroom.errors import InvalidRequest
from darkroom.providers.parameters import Parameter, Rule, Size, declared, ratio, schema_of, sizes_rule

MOST_PARTIAL_IMAGES: Final = 3
RESPONSE_FORMATS: Final = ("b64_json", "url")
TOKENS: Final = ("text_input", "image_input", "image_output")

Rules = Mapping[str, Rule]


def shape_of(sizes: Sequence[Size]) -> Rules:
    """The parameters of a model that makes these sizes and no others."""
    return {
        "width": {"enum": sorted({width for width, _ in sizes})},
        "height": {"enum": sorted({height for _, height in sizes})},
        "aspect_ratio": {"enum": list(dict.fromkeys(ratio(size) for size in sizes))},
    }


@dataclass(frozen=True, slots=True)
class Family:
    """What some models have in common.

    `parameters`: in the form in which a route's options state them. `sizes`: what an aspect ratio picks from, the
    first that fits. `any_size`: whether width and height may be others. `streams`: whether it shows pictures on
    their way. `response_format`: how pictures are asked for; None: the model cannot be asked.
    """

    about: str
    parameters: Rules
    sizes: tuple[Size, ...] = ()
    any_size: bool = False
    streams: bool = False
    response_format: str | None = None


BASIC_SIZES: Final = ((1024, 1024), (1536, 1024), (1024, 1536))
GPT_IMAGE_2_SIZES: Final = (
    *BASIC_SIZES,
    (1536, 864),
    (864, 1536),
    (1280, 960),
    (960, 1280),
    (1280, 1024),
    (1024, 1280),
)
DALL_E_3_SIZES: Final = ((1024, 1024), (1792, 1024), (1024, 1792))
DALL_E_2_SIZES: Final = ((1024, 1024), (512, 512), (256, 256))

EDGE: Final = {"minimum": 480, "maximum": 3840, "multipleOf": 16}
"""Of the freely sized models; they also want 1:3 to 3:1, and 655,360 to 8,294,400 pixels."""
N: Final = {"maximum": 10}
PNG: Final = r"^data:image/png;base64,[A-Za-z0-9+/]+={0,2}$"
MASK: Final = {
    "pattern": PNG,
    "description": "Where to paint: the transparent parts of a PNG of the size of `image`, as a data: URI in base64.",
}
GPT_IMAGE: Final[Rules] = {
    "n": N,
    "quality": {"enum": ["auto", "low", "medium", "high"]},
    "output_format": {},
    "output_compression": {
        "type": "integer",
        "minimum": 0,
        "maximum": 100,
        "description": "How much of the quality a JPEG or WebP keeps, in percent.",
    },
    "background": {
        "type": "string",
        "enum": ["auto", "opaque", "transparent"],
        "description": "What is behind the subject; transparent needs PNG or WebP.",
    },
    "image": {},
    "images": {},
    "mask": MASK,
}
GPT_IMAGE_1: Final[Rules] = {**shape_of(BASIC_SIZES), **GPT_IMAGE}
GPT_IMAGE_2: Final[Rules] = {
    **GPT_IMAGE,
    "width": EDGE,
    "height": EDGE,
    "aspect_ratio": {"enum": [ratio(size) for size in GPT_IMAGE_2_SIZES]},
}
GPT_IMAGE_2_5: Final[Rules] = {**GPT_IMAGE_2, "quality": {"enum": ["auto", "low", "medium", "high", "xhigh", "max"]}}
GPT_IMAGE_2_6: Final[Rules] = {
    **GPT_IMAGE_2_5,
    "complexity": {
        "type": "string",
        "enum": ["low", "medium", "high"],
        "description": "How far the picture is planned before it is rendered.",
    },
}
DALL_E_3: Final[Rules] = {
    **shape_of(DALL_E_3_SIZES),
    "n": {"maximum": 1},
    "quality": {"enum": ["standard", "hd"]},
    "style": {
        "type": "string",
        "enum": ["vivid", "natural"],
        "description": "Hyper-real and dramatic, or more natural.",
    },
}
DALL_E_2: Final[Rules] = {
    **shape_of(DALL_E_2_SIZES),
    "n": N,
    "image": {"pattern": PNG, "description": "The square PNG to start from, as a data: URI in base64."},
    "mask": MASK,
}

OTHER: Final = Family(
    "a model behind an OpenAI-compatible API",
    {"width": {}, "height": {}, "n": N},
    any_size=True,
    response_format="b64_json",
)
FAMILIES: Final[Mapping[str, Family]] = {
    "gpt-image-2.6": Family("GPT Image 2.6 (OpenAI)", GPT_IMAGE_2_6, GPT_IMAGE_2_SIZES, any_size=True, streams=True),
    "gpt-image-2.5": Family("GPT Image 2.5 (OpenAI)", GPT_IMAGE_2_5, GPT_IMAGE_2_SIZES, any_size=True, streams=True),
    "gpt-image-2": Family("GPT Image 2 (OpenAI)", GPT_IMAGE_2, GPT_IMAGE_2_SIZES, any_size=True, streams=True),
    "gpt-image": Family("GPT Image (OpenAI)", GPT_IMAGE_1, BASIC_SIZES, streams=True),
    "chatgpt-image": Family("the picture model of ChatGPT (OpenAI)", GPT_IMAGE_1, BASIC_SIZES, streams=True),
    "dall-e-3": Family("DALL-E 3 (OpenAI)", DALL_E_3, DALL_E_3_SIZES, response_format="b64_json"),
    "dall-e-2": Family("DALL-E 2 (OpenAI)", DALL_E_2, DALL_E_2_SIZES, response_format="b64_json"),
}
"""By the start of the model's name, the longer before the shorter."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model as one route uses it. `token_prices`: US dollars for a million tokens of each kind."""

    name: str
    family: Family
    parameters: tuple[Parameter, ...]
    partial_images: int
    response_format: str | None
    token_prices: Mapping[str, Decimal] | None

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the parameters."""
        schema = schema_of(self.parameters)
        both = {"width", "height"} <= schema["properties"].keys()
        together: dict[str, list[str]] = {"width": ["height"], "height": ["width"]} if both else {}
        if both and not self.family.any_size:
            schema |= sizes_rule(self.family.sizes)
        if "mask" in schema["properties"]:
            together["mask"] = ["image"]
        return schema | ({"dependentRequired": together} if together else {})


def family_of(name: str) -> Family:
    """The family of a model, whoever's name is before its own: `openai/gpt-image-2` is `gpt-image-2`."""
    own = name.rpartition("/")[2]
    return next((family for start, family in FAMILIES.items() if own.startswith(start)), OTHER)


def model_of(name: str, options: Mapping[str, Any], *, partial_images: int) -> Model:
    """The model `name` with a route's options; `partial_images`: the account's. Raises `InvalidRequest`.

    `like`: the name of a model that this one is under another name, as behind a gateway. `parameters` are laid over
    those of a known model; of an unknown one they are all there is. Beside them `partial_images` (0: no streaming),
    `response_format` (`b64_json`, `url`; false: the backend is not asked) and `token_prices`.
    """
    family = family_of(str(options.get("like", name)))
    if "like" in options and family is OTHER:
        raise InvalidRequest(f"must be of {', '.join(FAMILIES)}", field="options.like")
    return Model(
        name,
        family,
        _parameters(family, options),
        checked_partial_images(options.get("partial_images", partial_images if family.streams else 0)),
        _response_format(options.get("response_format", family.response_format)),
        _token_prices(options.get("token_prices")),
    )


def checked_partial_images(value: Any) -> int:
    """How many pictures on their way are asked for. Raises `InvalidRequest`."""
    if type(value) is not int or not 0 <= value <= MOST_PARTIAL_IMAGES:
        raise InvalidRequest(f"must be 0 to {MOST_PARTIAL_IMAGES}", field="options.partial_images")
    return value


def _parameters(family: Family, options: Mapping[str, Any]) -> tuple[Parameter, ...]:
    stated = options.get("parameters", {})
    known = family.parameters if family is not OTHER or not stated else {}
    if not isinstance(stated, Mapping):
        return declared(options)  # which says what is wrong
    return declared({"parameters": {**known, **{name: _over(known.get(name), rule) for name, rule in stated.items()}}})


def _over(known: Rule | None, stated: Any) -> Any:
    return {**known, **stated} if known and isinstance(stated, Mapping) else stated


def _response_format(value: Any) -> str | None:
    if not value:
        return None
    if value not in RESPONSE_FORMATS:
        raise InvalidRequest(f"must be one of {', '.join(RESPONSE_FORMATS)}, or false", field="options.response_format")
    return str(value)


def _token_prices(value: Any) -> Mapping[str, Decimal] | None:
    at = "options.token_prices"
    if value is None:
        return None
    if not isinstance(value, Mapping) or set(value) != set(TOKENS):
        raise InvalidRequest(f"must be a table of {', '.join(TOKENS)}: US dollars for a million tokens", field=at)
    try:
        prices = {name: Decimal(str(price)) for name, price in value.items()}
    except InvalidOperation as error:
        raise InvalidRequest("must be numbers", field=at) from error
    if not all(price.is_finite() and price >= 0 for price in prices.values()):
        raise InvalidRequest("must be 0 or more", field=at)
    return prices
