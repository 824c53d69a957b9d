"""What the SDK does, said without doing it.

A program is a generator: it yields what is to be done and is sent what came of it. All that the SDK knows (what to ask,
when to ask again, what an answer means) is in programs, once; `_running` and `_running_async` do what they say.
"""

import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

Headers: TypeAlias = Mapping[str, str]


def is_visible(text: object) -> bool:
    """Whether it is visible ASCII characters, without a space: then every header can carry it as it is."""
    return isinstance(text, str) and re.fullmatch("[!-~]+", text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to ask. `is_repeatable`: asking twice does no more than asking once.

    `timeout`: seconds; None: the client's. Of what is `Open`, it is how long nothing may come, even if that is longer.

    `path` is below the address of the service: the API key goes nowhere else.
    """

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Headers = field(default_factory=dict)
    json: Any = None
    files: Mapping[str, tuple[str, bytes]] | None = None
    timeout: float | None = None
    is_repeatable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came. `headers`: names in small letters. `tries`: how often it was asked for."""

    status: int
    headers: Headers
    content: bytes = b""
    tries: int = 1

    @property
    def is_success(self) -> bool:
        """Whether it is what was asked for."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Send:
    """Ask; gives the `Answer`, whatever its status."""

    request: Request


@dataclass(frozen=True, slots=True)
class Open:
    """Ask, and leave the content of a success to `Read`; gives the `Answer`. One at a time: the last one is closed."""

    request: Request


@dataclass(frozen=True, slots=True)
class Read:
    """Gives the next bytes of what is open, as they come; None at the end."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close what is open. At the end of a program that is done in any case."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Work:
    """Call something that may block, such as the file system; gives its result."""

    function: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Tell:
    """Call what the caller gave with `value`."""

    listener: Callable[[Any], Any]
    value: Any


@dataclass(frozen=True, slots=True)
class Emit:
    """Hand `item` to the caller, who iterates."""

    item: Any


@dataclass(frozen=True, slots=True)
class Done:
    """The program has ended with `result`."""

    result: Any


Effect: TypeAlias = Send | Open | Read | Close | Pause | Work | Tell
Program: TypeAlias = Generator[Effect, Any, T]
"""Gives one result."""
Producer: TypeAlias = Generator[Effect | Emit, Any, None]
"""Emits items."""
