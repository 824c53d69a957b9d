"""A provider that is told what to do: for tests, demos and load.

It answers with one picture, after a delay, in steps, or fails in the ways that backends fail.
What it does is in the request's parameters, so that a model's defaults can set it.
"""

import asyncio
import io
import struct
import time
import zlib
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Hashable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any, Final, TypeVar
from uuid import UUID, uuid4

from PIL import Image

from darkroom.errors import Permanent, ProviderError, Rejected, Throttled, Transient, UnknownModel
from darkroom.media.model import Request
from darkroom.providers.base import (
    NO_OPTIONS,
    Accepted,
    Capabilities,
    Event,
    Finished,
    Options,
    Produced,
    Progress,
    Provider,
)
from darkroom.providers.journal import Journal

MODEL: Final = "dummy"
MAX_N: Final = 64
TINY: Final = 16
MEMORY: Final = 4096
"""How many predictions, and how many media, are remembered; the oldest are forgotten."""

RAISED: Final[dict[str, type[ProviderError]]] = {
    "transient": Transient,
    "throttled": Throttled,
    "permanent": Permanent,
    "rejected": Rejected,
}
HTML: Final = b"<!doctype html><title>502 Bad Gateway</title><h1>502 Bad Gateway</h1>"

PARAMETERS: Final[dict[str, dict[str, Any]]] = {
    "n": {
        "type": "integer",
        "minimum": 1,
        "maximum": MAX_N,
        "default": 1,
        "description": "How many pictures.",
    },
    "seed": {
        "type": "integer",
        "minimum": 0,
        "maximum": 2**53 - 1,
        "description": "Reported back as seed + index; the picture is the same for all.",
    },
    "width": {
        "type": "integer",
        "minimum": 1,
        "maximum": 4096,
        "description": "Pixels; as `height` where only that is given. Ignored when the picture is a file.",
    },
    "height": {
        "type": "integer",
        "minimum": 1,
        "maximum": 4096,
        "description": "Pixels; as `width` where only that is given. Ignored when the picture is a file.",
    },
    "delay": {
        "type": "number",
        "minimum": 0,
        "maximum": 3600,
        "default": 0,
        "description": "Seconds until the answer, spread over the steps.",
    },
    "steps": {
        "type": "integer",
        "minimum": 0,
        "maximum": 1000,
        "default": 0,
        "description": "How many steps of progress are reported.",
    },
    "error": {
        "enum": [*RAISED, "crash", "hang", "garbage", "html", "truncated", "bomb"],
        "default": "transient",
        "description": "How a try fails. crash: an unexpected exception; hang: no answer until cancelled; "
        "garbage, html, truncated: bytes that are no picture; bomb: a PNG that declares 60000 x 60000.",
    },
    "error_rate": {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "default": 0,
        "description": "The share of tries that fail, by chance.",
    },
    "fail_first": {
        "type": "integer",
        "minimum": 0,
        "default": 0,
        "description": "How many tries of a media fail before chance decides; counted in the process.",
    },
    "retry_after": {
        "type": "number",
        "minimum": 0,
        "description": "Seconds that a transient or throttled error asks to wait.",
    },
    "resumable": {
        "type": "boolean",
        "default": False,
        "description": "Whether the request is accepted under a reference that a later try may resume.",
    },
}
SCHEMA: Final[dict[str, Any]] = {"type": "object", "properties": PARAMETERS, "additionalProperties": False}
DEFAULTS: Final = {name: each["default"] for name, each in PARAMETERS.items() if "default" in each}


@dataclass(slots=True)
class Prediction:
    """What the pretended backend runs. `started`: seconds of the monotonic clock."""

    started: float = field(default_factory=time.monotonic)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    async def reach(self, age: float | None) -> None:
        """Wait until it is `age` seconds old (None: for ever). Raises `Permanent` once it is cancelled."""
        left = None if age is None else self.started + age - time.monotonic()
        if left is None or left > 0:
            await self._sleep(left)
        if self.cancelled.is_set():
            raise Permanent("the prediction was cancelled")

    async def _sleep(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.cancelled.wait()
        except TimeoutError:
            return


class Dummy(Provider):
    """The scripted provider. `created` counts the predictions that were started, resumed ones once."""

    capabilities = Capabilities(resumes=True, cancels=True, reports_progress=True, max_n=MAX_N)

    def __init__(self, *, picture: Path | None = None, seed: int | None = None, journal: Path | None = None) -> None:
        """`picture`: the file to answer with, read once; `ValueError` if it is no picture.

        `seed`: of the errors, so that a run can be replayed. `journal`: the file to tell in what it does;
        `ValueError` if it cannot be written.
        """
        self.created = 0
        self._file = _read(picture) if picture else None
        self._journal = _open(journal) if journal else None
        self._random = Random(seed)  # noqa: S311 - errors to be replayed, no secrets
        self._predictions: OrderedDict[str, Prediction] = OrderedDict()
        self._tries: OrderedDict[UUID, int] = OrderedDict()

    def describe(self, model: str) -> str:
        """One line for a person. Raises `UnknownModel` for any other model than `dummy`."""
        _check(model)
        return "A test picture, with the delay, the progress and the errors that were asked for."

    def schema(self, model: str, options: Options = NO_OPTIONS) -> dict[str, Any]:
        """Return the JSON Schema of the parameters. Raises `UnknownModel` for another model than `dummy`."""
        _check(model)
        return SCHEMA

    def generate(self, request: Request, *, resume: str | None) -> AsyncIterator[Event]:
        """Do as the parameters say. A `resume` of a process that is gone is a new wait under the same ref."""
        events = self._generate(request, resume)
        return self._journal.follow(request, events) if self._journal else events

    async def _generate(self, request: Request, resume: str | None) -> AsyncGenerator[Event]:
        if request.model != MODEL:
            raise Permanent(f"the dummy provider has no model {request.model!r}")
        asked = DEFAULTS | dict(request.parameters)
        ref = resume or (uuid4().hex if asked["resumable"] else None)
        prediction = self._prediction(ref, resumed=resume is not None)
        fails = self._fails(request.media_id, asked)
        if ref and not resume:
            yield Accepted(ref)
        delay, steps = asked["delay"], asked["steps"]
        for step in range(1, steps + 1):
            await prediction.reach(delay * step / steps)
            yield Progress(step, steps)
        await prediction.reach(delay)
        picture = self._file or _picture(asked)
        content = await self._failure(prediction, asked, picture) if fails else picture
        seed = asked.get("seed")
        for index in range(asked["n"]):
            yield Produced(index, content, None if seed is None else seed + index)
        yield Finished()

    async def cancel(self, ref: str) -> None:
        """End what runs under `ref`: whoever waits for it, or resumes it, gets `Permanent`."""
        if self._journal:
            self._journal.note("cancelled", ref=ref)
        if ref in self._predictions:
            self._predictions[ref].cancelled.set()

    async def aclose(self) -> None:
        """Forget the predictions and the tries; close the journal."""
        self._predictions.clear()
        self._tries.clear()
        if self._journal:
            self._journal.close()

    def _prediction(self, ref: str | None, *, resumed: bool) -> Prediction:
        known = self._predictions.get(ref) if ref else None
        if known:
            return known
        self.created += not resumed
        prediction = Prediction()
        if ref:
            _remember(self._predictions, ref, prediction)
        return prediction

    def _fails(self, media_id: UUID, asked: dict[str, Any]) -> bool:
        if asked["fail_first"]:
            tries = self._tries.get(media_id, 0) + 1
            _remember(self._tries, media_id, tries)
            if tries <= asked["fail_first"]:
                return True
        rate: float = asked["error_rate"]
        return rate > 0 and self._random.random() < rate

    async def _failure(self, prediction: Prediction, asked: dict[str, Any], picture: bytes) -> bytes:
        """Raise, hang, or return the bytes that are no picture."""
        match asked["error"]:
            case "hang":
                await prediction.reach(None)
            case "crash":
                raise RuntimeError("the dummy provider was asked to crash")
            case "garbage":
                return self._random.randbytes(512)
            case "html":
                return HTML
            case "truncated":
                return picture[: len(picture) // 2]
            case "bomb":
                return _png(60_000, 60_000, pixels=b"")
        raise RAISED[asked["error"]](
            f"the dummy provider was asked for {asked['error']}", retry_after=asked.get("retry_after")
        )


Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


def _remember(memory: OrderedDict[Key, Value], key: Key, value: Value) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > MEMORY:
        memory.popitem(last=False)


def _check(model: str) -> None:
    if model != MODEL:
        raise UnknownModel(f"the dummy provider has no model {model!r}; it has: {MODEL}")


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        Image.open(io.BytesIO(content)).load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"the dummy provider's picture {path} cannot be read: {error}") from error
    return content


def _open(path: Path) -> Journal:
    try:
        return Journal(path)
    except OSError as error:
        raise ValueError(f"the dummy provider's journal {path} cannot be written: {error}") from error


def _picture(asked: dict[str, Any]) -> bytes:
    width, height = asked.get("width"), asked.get("height")
    return _gradient(width or height or TINY, height or width or TINY)


@lru_cache(maxsize=16)
def _gradient(width: int, height: int) -> bytes:
    """Make a PNG from dark blue to gold, left to right.

    One byte a pixel, and every row but the first says "as above": 4096 x 4096 is made in
    milliseconds, so no thread is needed.
    """
    pack = zlib.compressobj(level=1)
    rows = [pack.compress(b"\x00" + bytes(255 * x // width for x in range(width)))]
    rows += [pack.compress(b"\x02" + bytes(width)) for _ in range(height - 1)]
    return _png(width, height, pixels=b"".join([*rows, pack.flush()]))


def _png(width: int, height: int, *, pixels: bytes) -> bytes:
    """Make a PNG with a palette of 256 colours. `pixels`: the compressed rows, one byte a pixel."""
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    palette = bytes(channel for i in range(256) for channel in (i, 24 + i * 3 // 4, 96 - i // 4))
    chunks = {b"IHDR": header, b"PLTE": palette, b"IDAT": pixels, b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks.items())


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
