"""Waiting for media, and following them."""

from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

from darkroom_client._asking import NEVER
from darkroom_client._calls import Calls, MediaId, id_of
from darkroom_client._effects import Emit, Pause, Producer, Program, is_visible
from darkroom_client._telling import Listeners, event_of
from darkroom_client._watching import AWAY, DeadlineNear, Watch
from darkroom_client.errors import (
    APIConnectionError,
    APIError,
    GenerationCancelled,
    GenerationError,
    GenerationFailed,
    MediaDeleted,
    NotFound,
    UnexpectedAnswer,
    WaitTimeout,
)
from darkroom_client.events import CompletedEvent, DeletedEvent, Event, StatusEvent
from darkroom_client.media import BaseMedia, JobStatus, Status

M = TypeVar("M", bound=BaseMedia[Any])

STREAMS_THAT_BREAK: Final = 2
"""After which one polls: something on the way may let no stream through."""
FIRST_POLL: Final = 0.2
LONGEST_POLL: Final = 2.0


def follow(calls: Calls[Any], media: MediaId) -> Producer:
    """What happens to a media until it has ended."""
    watch = Watch(f"/media/{id_of(media)}/events", calls.patience)
    event: Event[Any] | None = None
    while not isinstance(event, CompletedEvent | DeletedEvent):
        message = yield from watch.next()
        if message is None:
            break
        event = event_of(message, calls.to_media)
        if event is not None:
            yield Emit(event)


def follow_all(calls: Calls[Any], after: str | None) -> Producer:
    """What happens to all media, for ever."""
    if after and not is_visible(after):
        raise ValueError("after: must be the id of an event")
    watch = Watch("/media/events", calls.patience, after=after or "", from_now=True)
    while (message := (yield from watch.next())) is not None:
        event = event_of(message, calls.to_media)
        if event is not None:
            yield Emit(event)


@dataclass(slots=True)
class Wait(Generic[M]):
    """A wait for a media."""

    calls: Calls[M]
    media: MediaId
    listeners: Listeners

    def result(self) -> Program[M]:
        """The media once it is COMPLETED. Raises what `generate` raises."""
        media = yield from self._ended()
        if media.status == Status.ERROR:
            raise GenerationFailed(media)
        if media.status == Status.CANCELLED:
            raise GenerationCancelled(media)
        if media.status != Status.COMPLETED:
            raise GenerationError(media)
        return media

    def _ended(self) -> Program[M]:
        watch = Watch(f"/media/{id_of(self.media)}/events", self.calls.patience, breaks=STREAMS_THAT_BREAK)
        while True:
            try:
                message = yield from watch.next()
                event = None if message is None else event_of(message, self.calls.to_media)
            except (APIConnectionError, APIError, UnexpectedAnswer, DeadlineNear) as error:
                if isinstance(error, APIError) and not error.retryable:
                    self._raise_if_gone(error)
                    raise
                break
            if message is None:
                break
            if event is not None:
                yield from self.listeners.hear(event)
                ended = self._see(event)
                if ended is not None:
                    return ended
        return (yield from self._poll())

    def _see(self, event: Event[M]) -> M | None:
        """The media, if it has ended."""
        match event:
            case CompletedEvent(media=media):
                return media
            case StatusEvent(media=media):
                self.media = media
            case DeletedEvent(media_id=media_id):
                raise MediaDeleted(media_id)
        return None

    def _poll(self) -> Program[M]:
        pause = FIRST_POLL
        media = complete = yield from self._now(self.media)
        while True:
            self.media = media
            yield from self.listeners.see(media)
            if media.ended:
                return media if media is complete else (yield from self._now(media))
            left = self.calls.patience.until - self.calls.patience.now()
            if left <= 0:
                raise WaitTimeout(media)
            yield Pause(min(pause, left))
            pause = min(LONGEST_POLL, pause * 1.3)
            media = _updated(media, (yield from self._patiently(Calls.status, media.job_id)))

    def _now(self, media: MediaId) -> Program[M]:
        found: M = yield from self._patiently(Calls.get, media)
        return found

    def _patiently(self, call: Any, known: Any) -> Program[Any]:
        """What a call gives, also if the service is away for a moment."""
        patience = self.calls.patience
        until = min(patience.until, patience.now() + AWAY) if patience.retries else patience.until
        often = replace(patience, retries=NEVER if patience.retries else 0, until=until)
        try:
            return (yield from call(Calls(self.calls.to_media, often), known))
        except (APIConnectionError, APIError) as error:
            if error.retryable and until == patience.until < NEVER and isinstance(self.media, BaseMedia):
                raise WaitTimeout(self.media) from error
            self._raise_if_gone(error)
            raise

    def _raise_if_gone(self, error: Exception) -> None:
        """Say what it means that a media which was there is not found."""
        if isinstance(error, NotFound) and isinstance(self.media, BaseMedia):
            raise MediaDeleted(self.media.id) from error


def _updated(media: M, light: JobStatus) -> M:
    """The media, as far as the light answer tells how it is now."""
    return replace(
        media, job_id=light.job_id, status=light.status, progress=light.progress, queue_position=light.queue_position
    )  # fmt: skip


def generate(calls: Calls[M], order: Any, listeners: Listeners) -> Program[M]:
    """Submit, and wait."""
    media = yield from calls.submit(order)
    yield from listeners.see(media)
    return (yield from Wait(calls, media, listeners).result())
