"""What to submit, from what callers give."""

import base64
import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias
from uuid import UUID

from darkroom_client._effects import Program, Work, is_visible
from darkroom_client.files import BaseFile, Upload

Source: TypeAlias = str | os.PathLike[str] | bytes | BinaryIO | BaseFile
"""What can be uploaded: a path, bytes, an open binary file, or a file of a media of the same service."""
Picture: TypeAlias = Source | UUID | Upload
"""A picture to start from: what can be uploaded, an upload, or its id; as a text, a `data:` URI or an https URL, too.

A text that is none of the latter is a path.
"""
Fetch: TypeAlias = Callable[[BaseFile], Program[bytes]]

_ADDRESSES: Final = ("data:", "https:", "http:")
_KINDS: Final = (str, os.PathLike, bytes, bytearray, memoryview, BaseFile)
_LONGEST_KEY: Final = 255
MOST_INLINE: Final = 8 * 1024 * 1024
"""Bytes of pictures that go into a request; what is more is uploaded before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to submit, in form; the service says what is wrong with it. Raises `ValueError` for a key that cannot be."""

    prompt: str
    model: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    image: Picture | None = None
    mask: Picture | None = None
    images: Sequence[Picture] | None = None
    priority: int | None = None
    tags: Iterable[str] | None = None
    metadata: Mapping[str, str] | None = None
    webhook: str | None = None
    webhook_events: Iterable[str] | None = None
    max_tries: int | None = None
    idempotency_key: str | None = None

    def __post_init__(self) -> None:
        key = self.idempotency_key
        if key is not None and not (is_visible(key) and len(key) <= _LONGEST_KEY):
            raise ValueError(f"idempotency_key: must be 1 to {_LONGEST_KEY} visible ASCII characters, without a space")

    def pictures(self) -> list[tuple[str, Picture]]:
        """Every picture, and as what it was given. Raises `TypeError` for what can be none."""
        given = [("image", self.image), ("mask", self.mask)]
        known = [(name, picture) for name, picture in given if picture is not None]
        known += [("images", picture) for picture in _several(self.images)]
        for name, picture in known:
            if not (isinstance(picture, UUID | Upload) or is_source(picture)):
                raise mistake(name, "a path, bytes, an open file, an upload, or a file of a media", picture)
        return known

    def body(self, pictures: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON to send, without what was not given. `pictures`: `image`, `mask` and `images`, as they are sent."""
        given = {
            "prompt": self.prompt,
            "model": self.model,
            "parameters": dict(self.parameters) or None,
            "priority": self.priority,
            "tags": _listed(self.tags),
            "metadata": None if self.metadata is None else dict(self.metadata),
            "webhook": self.webhook,
            "webhook_events": _listed(self.webhook_events),
            "max_tries": self.max_tries,
            **pictures,
        }
        return {name: value for name, value in given.items() if value is not None}


def new_key() -> str:
    """A key that no other request has."""
    return f"sdk-{secrets.token_hex(16)}"


def merged(parameters: Mapping[str, Any] | None, more: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of the model, given as a mapping or by name. Raises `TypeError` for what is given as both."""
    twice = sorted(more.keys() & (parameters or {}).keys())
    if twice:
        raise TypeError(f"given twice, by name and in parameters: {', '.join(twice)}")
    return {**(parameters or {}), **more}


def _several(pictures: Iterable[Picture] | None) -> Iterable[Picture]:
    """The pictures. Raises `TypeError` for a single one, whose letters, bytes or lines would be taken for pictures."""
    if pictures is None:
        return ()
    if is_source(pictures) or not isinstance(pictures, Iterable):
        raise mistake("images", "several pictures, such as [picture]", pictures)
    return pictures


def is_source(given: object) -> bool:
    """Whether it looks like something that can be uploaded."""
    return isinstance(given, _KINDS) or callable(getattr(given, "read", None))


def mistake(name: str, expected: str, given: object) -> TypeError:
    """The error of a parameter that is of no use as it was given."""
    return TypeError(f"{name}: expected {expected}, and got {type(given).__name__}")


def _listed(texts: Iterable[str] | None) -> list[str] | None:
    if isinstance(texts, str):
        raise TypeError(f"expected several texts, such as [{texts!r}]")
    return None if texts is None else list(texts)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A picture that was read, and what it is called."""

    name: str
    content: bytes

    def as_uri(self) -> str:
        """The picture as a text. The service looks at the bytes, and not at the type that is claimed."""
        return "data:application/octet-stream;base64," + base64.b64encode(self.content).decode()


def load(source: Source, fetch: Fetch) -> Program[Loaded]:
    """The bytes of a path, of a file, or as they are. Raises `OSError`, and `TypeError` for what has none."""
    if isinstance(source, BaseFile):
        return Loaded(source.name(), (yield from fetch(source)))
    if isinstance(source, bytes | bytearray | memoryview):
        return Loaded("picture", bytes(source))
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        content = yield Work(path.read_bytes)
        return Loaded(path.name, content)
    if not is_source(source):
        raise mistake("source", "a path, bytes, an open file, or a file of a media", source)
    content = yield Work(partial(_read, source))
    name = getattr(source, "name", None)
    return Loaded(Path(name).name if isinstance(name, str) and name else "picture", content)


def load_picture(source: Source, fetch: Fetch) -> Program[Loaded]:
    """The same of a picture to start from. Says of a text that names no file all that it might have been."""
    try:
        return (yield from load(source, fetch))
    except FileNotFoundError as error:
        message = "there is no such file, and no id, data: URI or https URL is like that"
        raise FileNotFoundError(error.errno, message, source) from error


def _read(source: BinaryIO) -> bytes:
    content = source.read()
    if not isinstance(content, bytes):
        raise TypeError("open the file in binary mode: open(path, 'rb')")
    return content


def reference(picture: Picture) -> str | None:
    """What to send for a picture that is there already; None: its bytes have to be sent."""
    match picture:
        case str() if picture.lower().startswith(_ADDRESSES) or _is_id(picture):
            return picture
        case UUID():
            return str(picture)
        case Upload(id=known):
            return known
    return None


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
