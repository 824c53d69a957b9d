"""Edits and variations come as multipart forms: texts, and pictures that say nothing of what they are."""

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from fastapi import Request
from starlette.datastructures import FormData, UploadFile

from darkroom.api.openai.parameters import Pictures
from darkroom.api.openai.requests import ImagesRequest, of_form
from darkroom.errors import InvalidRequest

MOST_FIELDS: Final = 100
MOST_PICTURES: Final = 20
PICTURES: Final = ("image", "image[]", "mask", "markup")
A_VARIATION: Final = "another version of the same picture"
"""The prompt of a variation, which comes without one."""

_NAME: Final = re.compile(r"[^\[\]]+|(?<=\[)(?=\])")
_FOLDED: Final = re.compile(r"[^\[\]]+(\[[^\[\]]*\]){1,8}")
_PLAIN: Final = re.compile(r"true|false|null|-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,15})?")

_MAGIC: Final[Mapping[bytes, str]] = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"RIFF": "image/webp",
}
_BLANK: Final = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAAAAACPAi4CAAAAKUlEQVR42u3MQREAAAwCIPuX1hD77SAA6VEEAoFAIBAIBAKBQCAQ"
    "fA8Gpwvw4qrwDDIAAAAASUVORK5CYII="
)
"""A white square of 64 pixels a side."""


async def read(request: Request, *, prompt: str | None = None, lenient: bool) -> tuple[ImagesRequest, Pictures]:
    """What a form asks for, and its pictures. `prompt`: the one of a form that has none.

    `lenient`: a blank picture stands for bytes that are none. Raises `RequestValidationError`, `InvalidRequest`.
    """
    async with request.form(max_fields=MOST_FIELDS, max_files=MOST_PICTURES) as form:
        fields = [(name, text) for name, text in form.multi_items() if isinstance(text, str) and name not in PICTURES]
        wish = of_form(({"prompt": prompt} if prompt else {}) | unfolded(fields))
        images = [await _picture(part, lenient=lenient) for part in _parts(form, "image", "image[]")]
        others = {
            name: await _picture(part, lenient=lenient)
            for name in ("mask", "markup")
            for part in _parts(form, name)
        }  # fmt: skip
    if not images:
        raise InvalidRequest("is required, as a part of multipart/form-data", field="image")
    return wish, Pictures(images, others)


def unfolded(fields: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The objects and lists that these clients fold into the names of fields: `a[b][c]` and `a[b][]`.

    Raises `InvalidRequest` for names that contradict each other.
    """
    whole: dict[str, Any] = {}
    for name, text in fields:
        path = _NAME.findall(name) if _FOLDED.fullmatch(name) else [name]
        if "" in path[:-1]:
            whole[name] = text
        elif not _put(whole, path, _plain(text) if len(path) > 1 and path[1] else text):
            raise InvalidRequest(f"contradicts another field of this form: {name[:100]!r}", field=path[0])
    return whole


def _put(whole: dict[str, Any], path: Sequence[str], value: Any) -> bool:
    """Put `value` where `path` leads; False: something else is there."""
    *levels, last = path[:-1] if path[-1] == "" else path
    for level in levels:
        below = whole.setdefault(level, {})
        if not isinstance(below, dict):
            return False
        whole = below
    if path[-1] != "":
        return whole.setdefault(last, value) is value
    several = whole.setdefault(last, [])
    if isinstance(several, list):
        several.append(value)
    return isinstance(several, list)


def _plain(text: str) -> Any:
    """What a text within an object stands for: forms do not tell a number from its digits."""
    return json.loads(text) if _PLAIN.fullmatch(text) else text


def _parts(form: FormData, *names: str) -> Iterable[UploadFile | str]:
    return (part for name in names for part in form.getlist(name))


async def _picture(part: UploadFile | str, *, lenient: bool) -> str:
    """A picture as a `data:` URI: its bytes, not when it came, say whether a request is the same."""
    if isinstance(part, str):
        return part
    content = await part.read()
    kind = next((kind for magic, kind in _MAGIC.items() if content.startswith(magic)), None)
    if kind is None and lenient:
        return _BLANK
    return f"data:{kind or 'application/octet-stream'};base64,{base64.b64encode(content).decode()}"
