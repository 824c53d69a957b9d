"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), from bytes as they come."""

import codecs
import re
from dataclasses import dataclass

_LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Message:
    """An event. `id`: the last one that the stream named, if any."""

    kind: str
    data: str
    id: str


class Parser:
    """Finds the events in chunks that may be cut anywhere."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._parts: list[str] = []
        self._id = ""
        self._kind = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[Message]:
        """The events that are complete with `chunk`."""
        text = self._decoder.decode(chunk)
        self._parts.append(text)
        if "\n" not in text and "\r" not in text:
            return []
        text = "".join(self._parts)
        held = text[-1:] if text.endswith("\r") else ""  # a \n may follow
        *lines, rest = _LINE_END.split(text[: len(text) - len(held)])
        self._parts = [rest + held]
        return [message for line in lines if (message := self._line(line)) is not None]

    def _line(self, line: str) -> Message | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._kind = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._id = value
        return None

    def _dispatch(self) -> Message | None:
        kind, data = self._kind or "message", self._data
        self._kind, self._data = "", []
        return Message(kind, "\n".join(data), self._id) if data else None
