"""A bus within one process."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from darkroom.events.base import Listener
from darkroom.media.events import News


class MemoryBus:
    """Calls the listeners of a media, then those of all, one after another. A listener does not raise."""

    def __init__(self) -> None:
        self._listeners: dict[UUID | None, list[Listener]] = {}

    def publish(self, event: News) -> None:
        for listener in (*self._listeners.get(event.media_id, ()), *self._listeners.get(None, ())):
            listener(event)

    def hears(self, media_id: UUID) -> bool:
        """Whether anyone listens for the news of a media."""
        return media_id in self._listeners or None in self._listeners

    @contextmanager
    def listening(self, media_id: UUID | None, listener: Listener) -> Iterator[None]:
        self._listeners.setdefault(media_id, []).append(listener)
        try:
            yield
        finally:
            remaining = self._listeners[media_id]
            remaining.remove(listener)
            if not remaining:
                del self._listeners[media_id]
