"""How callers say which picture they mean, in the parameters that hold pictures."""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote_to_bytes
from uuid import UUID

from darkroom.errors import InvalidRequest

PICTURES: Final = ("image", "mask")
"""The parameters that hold a picture, whatever the model,"""
LIST: Final = "images"
"""and the one that holds several."""
MOST: Final = 16
MOST_ESCAPES: Final = 2_000_000
"""Percent signs in a `data:` URI: 30 MB of base64 whose `+`, `/` and `=` are all encoded have half as many."""
SLICE: Final = 16 * 1024

RIGHT: Final = "it must be the id of an uploaded file, a data: URI, or an https URL"
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-?)[0-9A-Fa-f]{4}(?:\1[0-9A-Fa-f]{4}){2}\1[0-9A-Fa-f]{12}")
_BLANKS = str.maketrans("", "", " \t\r\n")


def references(parameters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each text in `parameters` that stands for a picture, with the name of its field (`image`, `images.0`)."""
    for name in PICTURES:
        if isinstance(parameters.get(name), str):
            yield name, parameters[name]
    several = parameters.get(LIST)
    for index, text in enumerate(several if isinstance(several, list) else ()):
        if isinstance(text, str):
            yield f"{LIST}.{index}", text


def replaced(parameters: Mapping[str, Any], by: Mapping[str, str]) -> dict[str, Any]:
    """`parameters` with what `by` says for each field of `references`."""
    changed = dict(parameters)
    for name in PICTURES:
        if name in by:
            changed[name] = by[name]
    several = parameters.get(LIST)
    if isinstance(several, list):
        changed[LIST] = [by.get(f"{LIST}.{index}", value) for index, value in enumerate(several)]
    return changed


def as_id(text: str) -> UUID | None:
    """The file whose id `text` is."""
    return UUID(text) if _UUID.fullmatch(text) else None


def is_url(text: str) -> bool:
    """Whether `text` is an address to fetch from."""
    return text[:8].lower().startswith(("https://", "http://"))


def is_inline(text: str) -> bool:
    """Whether `text` is a `data:` URI."""
    return text[:5].lower() == "data:"


def inline(uri: str, *, field: str) -> bytes:
    """The bytes of a `data:` URI (RFC 2397), whatever type it claims. Raises `InvalidRequest`."""
    head, comma, data = uri[5:].partition(",")
    if not comma:
        raise InvalidRequest("this data: URI has no comma before its data", field=field)
    if data.count("%") > MOST_ESCAPES:
        raise InvalidRequest(
            f"this data: URI has more than {MOST_ESCAPES} percent signs; send it as base64", field=field
        )
    if not head.lower().rstrip().endswith(";base64"):
        return _unquoted(data)
    text = _unquoted(data).decode("ascii", "replace") if "%" in data else data
    try:
        return base64.b64decode(_padded(text.translate(_BLANKS)), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest("the data of this data: URI is not base64", field=field) from error


def _unquoted(text: str) -> bytes:
    """`text` without its percent-encoding; all of it at once would take a hundred times its memory meanwhile."""
    return b"".join(map(unquote_to_bytes, _slices(text)))


def _slices(text: str) -> Iterator[str]:
    """`text` in parts that cut no escape, such as `%2B`, in two."""
    at = 0
    while at < len(text):
        end = at + SLICE
        cut = text.rfind("%", end - 2, end)
        end = end if cut == -1 else cut
        yield text[at:end]
        at = end


def _padded(text: str) -> str:
    """Base64 as many write it: without its padding, or in the letters of addresses."""
    return text.replace("-", "+").replace("_", "/").rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
