"""A provider's own account of what it did: what the database says is held against it."""

import json
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

from darkroom.media.model import Request
from darkroom.providers.base import Event


class Journal:
    """A file that gets one JSON line for each thing that happens; any number of processes may share it.

    A line has `at` (seconds since 1970), `pid`, `what` and, of a job, `media_id` and `job_id`.
    """

    def __init__(self, path: Path) -> None:
        """Make the file if it is absent; `OSError` if that is not possible."""
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def note(self, what: str, **facts: Any) -> None:
        """Write a line, whole, in one write: those of several processes do not mix."""
        line = json.dumps({"at": time.time(), "pid": os.getpid(), "what": what, **facts})
        os.write(self._file, f"{line}\n".encode())

    async def follow(self, request: Request, events: AsyncGenerator[Event]) -> AsyncIterator[Event]:
        """Pass `events` on, with a line `started`, one named for each event, and `ended`: nothing runs after it."""
        ids = {"media_id": str(request.media_id), "job_id": str(request.job_id)}
        self.note("started", **ids)
        try:
            async with aclosing(events):
                async for event in events:
                    self.note(type(event).__name__.lower(), **ids)
                    yield event
        finally:
            self.note("ended", **ids)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
