"""JPEG: marker segments (FF, marker, two bytes of length, payload) up to the scan, EOI at the end."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from darkroom.imaging.containers import xmp
from darkroom.imaging.description import Description

_SOI = 2
_APP0, _APP1, _SOS, _EOI = 0xE0, 0xE1, 0xDA, 0xD9
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset({*range(0xC0), 0xC8, 0xD8, 0xD9, *range(0xF0, 0xFE)})
"""Markers that no length follows."""
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_FILL = b"\xff" * 1024
_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_ROOM = 0xFFFF - 2 - len(_XMP)

MOST_SEGMENTS = 10_000
MOST_SCANS = 50
"""Each is decoded for the whole picture, however few bytes it has; progressive pictures have about ten."""
MOST_EXIF_SEGMENTS = 8
MOST_BYTES_BETWEEN = 65_536
"""Bytes that belong to no segment and to no scan: decoders skip them one by one."""


class _Segment(NamedTuple):
    marker: int
    start: int
    end: int
    payload: bytes

    @property
    def leads(self) -> bool:
        """Whether readers expect it before anything else: JFIF, then Exif."""
        return self.marker == _APP0 or (self.marker == _APP1 and self.payload.startswith(b"Exif\0"))

    @property
    def packet(self) -> bytes | None:
        is_xmp = self.marker == _APP1 and self.payload.startswith(_XMP)
        return self.payload[len(_XMP) :] if is_xmp else None


@dataclass(slots=True)
class _Tally:
    """How much of what takes decoders time there is."""

    segments: int = 0
    scans: int = 0
    exif_segments: int = 0
    bytes_between: int = 0

    @property
    def is_too_much(self) -> bool:
        return (
            self.segments > MOST_SEGMENTS
            or self.scans > MOST_SCANS
            or self.exif_segments > MOST_EXIF_SEGMENTS
            or self.bytes_between > MOST_BYTES_BETWEEN
        )


def has_too_many_parts(content: bytes) -> bool:
    """Whether there are more segments, scans or bytes between them than any real picture has."""
    tally, at = _Tally(), _SOI
    for marker, start, end in _walk(content):
        tally.segments += 1
        tally.bytes_between += _between(content, at, start, is_scan=tally.scans > 0)
        tally.scans += marker == _SOS
        tally.exif_segments += marker == _APP1 and content.startswith(_EXIF, start + 4)
        if tally.is_too_much:
            return True
        if marker == _EOI and tally.scans:
            return False
        at = end
    tally.bytes_between += _between(content, at, len(content), is_scan=tally.scans > 0)
    return tally.is_too_much


def _between(content: bytes, start: int, end: int, *, is_scan: bool) -> int:
    """How many bytes decoders skip there: of a scan, the fill bytes, where there are many in a row."""
    return content.count(_FILL, start, end) * len(_FILL) if is_scan else end - start


def size(content: bytes) -> tuple[int, int] | None:
    """Width and height in pixels, from the first frame header."""
    for segment in _segments(content):
        if segment.marker in _FRAME_HEADERS and len(segment.payload) >= 5:
            height, width = struct.unpack_from(">HH", segment.payload, 1)
            return width, height
    return None


def is_whole(content: bytes) -> bool:
    """Whether an end of image follows the headers."""
    scan = max((segment.end for segment in _segments(content)), default=_SOI)
    return content.rfind(bytes((0xFF, _EOI)), scan) != -1


def embed(content: bytes, description: Description) -> bytes:
    """`content` with an XMP segment after JFIF and Exif, or with ours merged into the one it has.

    A segment holds 65,533 bytes: a prompt that does not fit is shortened. `content` comes back
    unchanged where its own XMP cannot be merged with.
    """
    start, end, theirs = _place(content)
    packet = xmp.write(description, theirs=theirs, room=_ROOM)
    if packet is None:
        return content
    segment = struct.pack(">BBH", 0xFF, _APP1, 2 + len(_XMP) + len(packet)) + _XMP + packet
    return content[:start] + segment + content[end:]


def read(content: bytes) -> Description | None:
    """The description in the XMP segment."""
    for segment in _segments(content):
        if segment.packet is not None:
            return xmp.read(segment.packet)
    return None


def _place(content: bytes) -> tuple[int, int, bytes]:
    """Where the XMP segment is to start, where the one it replaces ends, and the packet in that one."""
    at, leading = _SOI, True
    for segment in _segments(content):
        if segment.packet is not None:
            return segment.start, segment.end, segment.packet
        leading = leading and segment.leads
        if leading:
            at = segment.end
    return at, at, b""


def _walk(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of all segments, those after the scans too, as decoders find them behind whatever."""
    at = _SOI
    while found := _MARKER.search(content, at):
        marker, at = content[found.end() - 1], found.end()
        if marker not in _ALONE:
            at += max(2, int.from_bytes(content[at : at + 2]))
        yield marker, found.start(), at


def _segments(content: bytes) -> Iterator[_Segment]:
    """The segments before the first scan, as far as they are well-formed."""
    at = _SOI
    while at + 4 <= len(content) and content[at] == 0xFF:
        _, marker, length = struct.unpack_from(">BBH", content, at)
        end = at + 2 + length
        if marker == 0xFF:
            at += 1
            continue
        if marker in (_SOS, _EOI) or length < 2 or end > len(content):
            return
        yield _Segment(marker, at, end, content[at + 4 : end])
        at = end
