"""What an event bus is."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol
from uuid import UUID

from darkroom.media.events import MediaEvent

Listener = Callable[[MediaEvent], None]


class EventBus(Protocol):
    """Carries what happened, after it is committed. It may lose news: a listener re-reads the row now and then."""

    def publish(self, event: MediaEvent) -> None:
        """Tell the listeners. Never raises, never waits."""
        ...

    def listening(self, media_id: UUID, listener: Listener) -> AbstractContextManager[None]:
        """Call `listener`, on the event loop, with each event of a media while the context is open."""
        ...
