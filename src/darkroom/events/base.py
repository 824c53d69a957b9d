"""What an event bus is."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol
from uuid import UUID

from darkroom.media.events import News

Listener = Callable[[News], None]


class EventBus(Protocol):
    """Carries what happened, after it is committed. It may lose news: a listener re-reads the row now and then.

    Listeners in the publisher's own process hear everything; those in others, if the bus reaches them,
    hear the news that is `TRAVELLING`.
    """

    def publish(self, event: News) -> None:
        """Tell the listeners. Never raises, never waits."""
        ...

    def listening(self, media_id: UUID | None, listener: Listener) -> AbstractContextManager[None]:
        """Call `listener`, on the event loop, with each event of a media (None: of all) while the context is open."""
        ...
