"""What happens to media, while it happens."""

import base64
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from darkroom_client.media import BaseMedia

M_co = TypeVar("M_co", bound=BaseMedia[Any], covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _MediaEvent(Generic[M_co]):
    """What both kinds have. Neither is the other's: in one union, type checkers would keep only the wider one."""

    id: str
    media: M_co

    @property
    def media_id(self) -> str:
        """Whose it is."""
        return self.media.id


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusEvent(_MediaEvent[M_co]):
    """The media has changed. `id`: what `events(after=…)` goes on from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletedEvent(_MediaEvent[M_co]):
    """The media has ended, in whichever way: `event.media.status` says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressEvent:
    """A step of a job was done."""

    id: str
    media_id: str
    job_id: str
    step: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewEvent:
    """A picture on its way. `image`: a `data:` URI of a small WebP."""

    id: str
    media_id: str
    job_id: str
    image: str

    @property
    def content(self) -> bytes:
        """The bytes of the small picture."""
        return base64.b64decode(self.image.partition(",")[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedEvent:
    """The media is gone."""

    id: str
    media_id: str


Event: TypeAlias = StatusEvent[M_co] | CompletedEvent[M_co] | ProgressEvent | PreviewEvent | DeletedEvent
"""Kinds that this SDK does not know are left out."""
