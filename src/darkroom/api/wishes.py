"""What the drop-in surfaces share: other people's names for what our models take, and our progress in their words."""

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from darkroom.api.native.requests import Prompt
from darkroom.errors import InvalidRequest

_UPLOADED: Final = re.compile(r"(?:/replicate/v1)?/files/([0-9a-f-]{36})(?:/content|/download)?")
_RATIO: Final = re.compile(r"([1-9][0-9]{0,2}):([1-9][0-9]{0,2})")
_PROMPT: Final[TypeAdapter[str]] = TypeAdapter(Prompt)
_STEP: Final = 16
_BAR: Final = 10


def prompt_of(prompt: Any, *, field: str) -> str:
    """`prompt`, if it is one. Raises `InvalidRequest`, naming `field`."""
    try:
        return _PROMPT.validate_python(prompt, strict=True)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise InvalidRequest("is required" if prompt is None else message, field=field) from error


def says_nothing(value: Any) -> bool:
    """Whether `value` is what applications send for a feature that they do not use."""
    return value is False or value in ("", [], {})


def our_name(
    theirs: str, aliases: Mapping[str, tuple[str, ...]], takes: Mapping[str, Any], said: Mapping[str, Any]
) -> str:
    """The first of our names for `theirs` that the model takes and the caller did not say; or `theirs`."""
    return next((ours for ours in aliases.get(theirs, ()) if ours in takes and ours not in said), theirs)


def as_many(ours: str, value: Any) -> Any:
    """One picture where a list of them is taken, or the other way round."""
    if ours == "images":
        return value if isinstance(value, list) else [value]
    if ours == "image" and isinstance(value, list) and len(value) == 1:
        return value[0]
    return value


def our_value(ours: str, value: Any, *, base: str) -> Any:
    """A format by our name, and the id of an uploaded file for its address. `base`: what our links start with."""
    if isinstance(value, list):
        return [our_value(ours, each, base=base) for each in value]
    if ours == "output_format" and value == "jpg":
        return "jpeg"
    if isinstance(value, str) and value.startswith(base):
        uploaded = _UPLOADED.fullmatch(value[len(base) :].partition("?")[0])
        return uploaded[1] if uploaded else value
    return value


def shape_of(ratio: Any, *, field: str) -> float:
    """Width by height of a shape such as `16:9`. Raises `InvalidRequest`, naming `field`."""
    match = _RATIO.fullmatch(str(ratio))
    if match is None:
        raise InvalidRequest("must be a shape such as 16:9", field=field)
    return int(match[1]) / int(match[2])


def sides(shape: float, area: float) -> dict[str, int]:
    """The width and height of about so many pixels in a shape, both whole steps of 16."""
    return {"width": _even(math.sqrt(area * shape)), "height": _even(math.sqrt(area / shape))}


def _even(side: float) -> int:
    return max(_STEP, round(side / _STEP) * _STEP)


def bar(progress: Mapping[str, int] | None) -> str:
    """A line like that of `tqdm`, which these clients read for progress; empty before there is any."""
    if not progress or not progress["total"]:
        return ""
    step, total = progress["step"], progress["total"]
    return f"{100 * step // total:3}%|{'█' * (_BAR * step // total):<{_BAR}}| {step}/{total}"
