"""Fetching bytes: all of them, and those that were meant."""

import hashlib
import io
import os
import secrets
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

from darkroom_client._answers import check
from darkroom_client._asking import Patience, ask
from darkroom_client._effects import Answer, Close, Open, Pause, Program, Read, Request, Work
from darkroom_client.errors import APIConnectionError, DamagedFile


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to fetch. `sha256`, `size`: of what must come; None: nobody knows."""

    path: str
    thumbnail: bool = False
    sha256: str | None = None
    size: int | None = None

    def request(self) -> Request:
        """What to ask."""
        return Request(method="GET", path=self.path, params={"thumbnail": "true"} if self.thumbnail else {})


class Sink:
    """Where the bytes go, counted and hashed on their way."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self.restart()

    def restart(self) -> None:
        """Forget what came."""
        self._target.seek(0)
        self._target.truncate()
        self._size, self._digest = 0, hashlib.sha256()

    def write(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self._target.write(chunk)
        self._size += len(chunk)
        self._digest.update(chunk)

    def check(self, wanted: Wanted) -> None:
        """Raise `DamagedFile` unless that is what was wanted."""
        if wanted.size is not None and self._size != wanted.size:
            raise DamagedFile(f"{wanted.path}: {self._size} bytes came, and {wanted.size} were stored")
        if wanted.sha256 is not None and self._digest.hexdigest() != wanted.sha256:
            raise DamagedFile(f"{wanted.path}: the bytes are not those that were stored")


def read(wanted: Wanted, patience: Patience) -> Program[bytes]:
    """The bytes. Raises `APIError`, `APIConnectionError`, `DamagedFile`."""
    answer: Answer = yield from ask(wanted.request(), patience)
    check(answer)
    sink = Sink(io.BytesIO())
    yield Work(partial(sink.write, answer.content))
    sink.check(wanted)
    return answer.content


def save(wanted: Wanted, to: Path, patience: Patience) -> Program[Path]:
    """The file `to`, written anew whole or not at all. Raises as `read` does, and `OSError`."""
    part = to.with_name(f".{to.name[:100]}.{secrets.token_hex(4)}.part")
    target: BinaryIO = yield Work(partial(_created, part))
    try:
        yield from _fetch(wanted, Sink(target), patience)
        yield Work(target.close)
        yield Work(partial(part.replace, to))
    except BaseException:
        target.close()
        part.unlink(missing_ok=True)
        raise
    return to


def place(to: str | os.PathLike[str], name: str) -> Path:
    """The file that is meant by `to`: that one, or `name` in that folder."""
    path = Path(to)
    return path / name if path.is_dir() or str(to).endswith(("/", os.sep)) else path


def _created(part: Path) -> Any:
    part.parent.mkdir(parents=True, exist_ok=True)
    return part.open("xb")


def _fetch(wanted: Wanted, sink: Sink, patience: Patience) -> Program[None]:
    request = wanted.request()
    for tries in count(1):
        try:
            answer: Answer = yield Open(request)
            pause = patience.after(request, answer, tries)
            if pause is None:
                check(answer)
                yield from _pour(sink)
                break
        except APIConnectionError as error:
            pause = patience.after_lost(request, error, tries)
            if pause is None:
                raise
        yield Pause(pause)
        yield Work(sink.restart)
    sink.check(wanted)


def _pour(sink: Sink) -> Program[None]:
    while True:
        chunk: bytes | None = yield Read()
        if chunk is None:
            break
        yield Work(partial(sink.write, chunk))
    yield Close()
