"""The containers that pixels come in: read and written chunk by chunk, without touching the pixels."""

from collections.abc import Mapping
from typing import Protocol

from darkroom.imaging.containers import jpeg, png, webp
from darkroom.imaging.description import Description
from darkroom.imaging.formats import Format


class Container(Protocol):
    """What each module of this package can do with bytes that start with its format's magic."""

    def has_too_many_parts(self, content: bytes) -> bool:
        """Whether walking it part by part, as decoders do, would take long: no real picture has so many. Quick."""
        ...

    def size(self, content: bytes) -> tuple[int, int] | None:
        """Width and height in pixels as the header declares them; None where it declares nothing."""
        ...

    def is_whole(self, content: bytes) -> bool:
        """Whether the end that the container announces is there."""
        ...

    def embed(self, content: bytes, description: Description) -> bytes:
        """`content`, which decodes, with `description` added and all else kept, pixels included."""
        ...

    def read(self, content: bytes) -> Description | None:
        """The description that `embed` added last, if any; of any bytes, without raising."""
        ...


CONTAINERS: Mapping[Format, Container] = {Format.PNG: png, Format.JPEG: jpeg, Format.WEBP: webp}
