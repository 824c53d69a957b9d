"""A bus within one process."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from darkroom.events.base import Listener
from darkroom.media.events import MediaEvent


class MemoryBus:
    """Calls the listeners of a media, one after another. A listener does not raise."""

    def __init__(self) -> None:
        self._listeners: dict[UUID, list[Listener]] = {}

    def publish(self, event: MediaEvent) -> None:
        for listener in tuple(self._listeners.get(event.media_id, ())):
            listener(event)

    @contextmanager
    def listening(self, media_id: UUID, listener: Listener) -> Iterator[None]:
        self._listeners.setdefault(media_id, []).append(listener)
        try:
            yield
        finally:
            remaining = self._listeners[media_id]
            remaining.remove(listener)
            if not remaining:
                del self._listeners[media_id]
