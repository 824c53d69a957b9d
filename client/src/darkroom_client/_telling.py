"""What comes out of a stream: typed events, and progress for those who wait."""

import json
from collections.abc import Callable
from typing import Any, TypeVar

from darkroom_client._decoding import Json, decode
from darkroom_client._effects import Program, Tell
from darkroom_client._sse import Message
from darkroom_client.errors import UnexpectedAnswer
from darkroom_client.events import CompletedEvent, DeletedEvent, Event, PreviewEvent, ProgressEvent, StatusEvent
from darkroom_client.media import BaseMedia, Progress

M = TypeVar("M", bound=BaseMedia[Any])
Listen = Callable[[Any], Any]

_PLAIN: dict[str, type[ProgressEvent | PreviewEvent | DeletedEvent]] = {
    "progress": ProgressEvent,
    "preview": PreviewEvent,
    "deleted": DeletedEvent,
}


def event_of(message: Message, to_media: Callable[[Json], M]) -> Event[M] | None:
    """The event that a message tells of; None: of a kind that is not known."""
    if message.kind not in ("status", "completed", *_PLAIN):
        return None
    try:
        told = json.loads(message.data)
    except ValueError as error:
        raise UnexpectedAnswer(f"the event {message.kind!r} is no JSON") from error
    if message.kind == "status":
        return StatusEvent(id=message.id, media=to_media(told))
    if message.kind == "completed":
        return CompletedEvent(id=message.id, media=to_media(told))
    return decode(_PLAIN[message.kind], told, id=message.id)


class Listeners:
    """Those who want to know how far it is; the same is not told twice."""

    def __init__(self, on_progress: Listen | None = None, on_preview: Listen | None = None) -> None:
        self._on_progress = on_progress
        self._on_preview = on_preview
        self._last: Progress | None = None

    def hear(self, event: Event[Any]) -> Program[None]:
        """Tell of an event."""
        match event:
            case StatusEvent(media=media) | CompletedEvent(media=media):
                yield from self.see(media)
            case ProgressEvent(step=step, total=total):
                yield from self._tell(Progress(step=step, total=total))
            case PreviewEvent() if self._on_preview:
                yield Tell(self._on_preview, event)

    def see(self, known: Any) -> Program[None]:
        """Tell of a media, or of its light status."""
        position = known.queue_position
        if position is None and self._last and self._last.status == known.status:
            position = self._last.queue_position  # it is not looked up every time
        step = known.progress or Progress()
        yield from self._tell(
            Progress(status=known.status, step=step.step, total=step.total, queue_position=position)
        )  # fmt: skip

    def _tell(self, progress: Progress) -> Program[None]:
        if self._on_progress and progress != self._last:
            self._last = progress
            yield Tell(self._on_progress, progress)
