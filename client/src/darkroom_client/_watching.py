"""Following a stream of events over connections that break."""

from collections import deque
from email.utils import parsedate_to_datetime
from typing import Final

from darkroom_client._answers import check
from darkroom_client._asking import LONGEST_ASKED_FOR, NEVER, Patience, backoff
from darkroom_client._effects import Answer, Close, Headers, Open, Pause, Program, Read, Request
from darkroom_client._sse import Message, Parser
from darkroom_client.errors import APIConnectionError, APIError, UnexpectedAnswer

SILENCE: Final = 40.0
"""Seconds without a byte after which a connection is taken for dead: the service sends something every 15 seconds."""
AWAY: Final = 60.0
"""Seconds that a service may be away, as when it is restarted."""
TOO_LATE: Final = 1.0
"""Seconds before a deadline at which streams are given up, as a read that waits cannot be told to wait for less."""
_NO_CONTENT: Final = 204


class DeadlineNear(Exception):
    """So little time is left that one had better poll."""


class Watch:
    """A stream that goes on where it broke off: each event is told at least once."""

    def __init__(
        self, path: str, patience: Patience, *, after: str = "", breaks: float = NEVER, from_now: bool = False
    ) -> None:
        """`after`: the id of the last event that is known. `breaks`: as many connections in a row may bring nothing.

        `from_now`: the stream does not begin with how things are, so what it tells first may come after a gap.
        """
        self._path = path
        self._patience = patience
        self._after = after
        self._breaks = breaks
        self._from_now = from_now
        self._ready: deque[Message] = deque()
        self._parser = Parser()
        self._is_open = False
        self._broken = 0
        self._seen = patience.now()
        self._read_timeout = SILENCE

    def next(self) -> Program[Message | None]:
        """The next event; None: there are no more. Raises `APIError`, `APIConnectionError`, `DeadlineNear`."""
        while not self._ready:
            try:
                if not self._is_open and not (yield from self._open()):
                    return None
                yield from self._read()
            except (APIConnectionError, APIError) as error:
                yield from self._broke(error)
        message = self._ready.popleft()
        self._after = message.id or self._after
        return message

    def _open(self) -> Program[bool]:
        """Whether there is more to come."""
        left = self._left()
        if left < TOO_LATE:
            raise DeadlineNear
        self._read_timeout = min(SILENCE, left / 2)
        headers = {"accept": "text/event-stream", "cache-control": "no-store"}
        if self._after:
            headers["last-event-id"] = self._after
        answer: Answer = yield Open(
            Request(method="GET", path=self._path, headers=headers, timeout=self._read_timeout)
        )  # fmt: skip
        check(answer)
        if answer.status == _NO_CONTENT:
            return False
        if not answer.headers.get("content-type", "").startswith("text/event-stream"):
            raise UnexpectedAnswer("what answers there is no Darkroom: this is no stream of events")
        self._parser, self._is_open = Parser(), True
        if self._from_now and not self._after:
            self._after = _began(answer.headers)
        return True

    def _read(self) -> Program[None]:
        if self._left() < self._read_timeout:
            self._is_open = False
            yield Close()
            return
        chunk: bytes | None = yield Read()
        if chunk is None:
            raise APIConnectionError("the stream of events ended before its last event")
        self._seen, self._broken = self._patience.now(), 0
        self._ready.extend(self._parser.feed(chunk))

    def _broke(self, error: APIConnectionError | APIError) -> Program[None]:
        """Wait before the next connection, or raise the error of the last one."""
        self._is_open = False
        self._broken += 1
        asked_for = (error.retry_after if isinstance(error, APIError) else None) or 0.0
        is_over = self._broken >= self._breaks or self._patience.now() - self._seen > AWAY
        if not error.retryable or self._patience.retries == 0 or is_over or asked_for > LONGEST_ASKED_FOR:
            raise error
        yield Close()
        pause = max(backoff(self._broken, self._patience.chance()), asked_for)
        yield Pause(min(pause, max(0.0, self._left())))

    def _left(self) -> float:
        return self._patience.until - self._patience.now()


def _began(headers: Headers) -> str:
    """When an answer began, as the id of an event: microseconds since 1970."""
    try:
        return str(int(parsedate_to_datetime(headers.get("date", "")).timestamp()) * 1_000_000)
    except (ValueError, TypeError):
        return ""
