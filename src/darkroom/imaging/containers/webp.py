"""WebP: a RIFF file; either one VP8 or VP8L chunk, or a VP8X header and then chunks."""

import struct
from collections.abc import Iterable, Iterator
from itertools import islice

from darkroom.imaging.containers import xmp
from darkroom.imaging.description import Description

_HEADER = 12
_HAS_ALPHA, _HAS_XMP = 0x10, 0x04
_ROOM = 1 << 30
MOST_CHUNKS = 100_000

_Chunk = tuple[bytes, bytes]


def has_too_many_parts(content: bytes) -> bool:
    """Whether there are more than `MOST_CHUNKS` chunks: an animation has one for each frame."""
    return any(islice(_chunks(content), MOST_CHUNKS, None))


def size(content: bytes) -> tuple[int, int] | None:
    """Width and height in pixels: of the canvas, or of the one frame."""
    kind, data = content[12:16], content[20:30]
    if kind == b"VP8X" and len(data) == 10:
        return 1 + int.from_bytes(data[4:7], "little"), 1 + int.from_bytes(data[7:10], "little")
    if kind == b"VP8 " and len(data) == 10:
        width, height = struct.unpack_from("<HH", data, 6)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L" and len(data) >= 5:
        bits = int.from_bytes(data[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return None


def is_whole(content: bytes) -> bool:
    """Whether as many bytes came as the RIFF header announces."""
    return len(content) >= _HEADER and _end(content) <= len(content)


def embed(content: bytes, description: Description) -> bytes:
    """`content` with an XMP chunk, or with ours merged into the one it has.

    A simple file becomes an extended one for that. `content` comes back unchanged where its own
    XMP cannot be merged with.
    """
    chunks = list(_chunks(content))
    theirs = next((data for kind, data in chunks if kind == b"XMP "), b"")
    packet = xmp.write(description, theirs=theirs, room=_ROOM)
    if packet is None:
        return content
    others = [(kind, data) for kind, data in _extended(content, chunks) if kind != b"XMP "]
    return _riff([*others, (b"XMP ", packet)]) + content[_end(content) :]


def read(content: bytes) -> Description | None:
    """The description in the XMP chunk."""
    packet = next((data for kind, data in _chunks(content) if kind == b"XMP "), None)
    return None if packet is None else xmp.read(packet)


def _extended(content: bytes, chunks: list[_Chunk]) -> Iterable[_Chunk]:
    """`chunks`, led by a VP8X header that says there is XMP."""
    kind, first = chunks[0]
    if kind == b"VP8X":
        return [(kind, bytes((first[0] | _HAS_XMP,)) + first[1:]), *chunks[1:]]
    width, height = size(content) or (1, 1)
    alpha = _HAS_ALPHA if kind == b"VP8L" and first[4] & 0x10 else 0
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return [(b"VP8X", bytes((alpha | _HAS_XMP, 0, 0, 0)) + canvas), *chunks]


def _end(content: bytes) -> int:
    return 8 + int.from_bytes(content[4:8], "little")


def _chunks(content: bytes) -> Iterator[_Chunk]:
    """Type and data of the chunks, as far as they are there to their end."""
    at, end = _HEADER, min(_end(content), len(content))
    while at + 8 <= end:
        kind, length = struct.unpack_from("<4sI", content, at)
        if at + 8 + length > end:
            return
        yield kind, content[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _riff(chunks: Iterable[_Chunk]) -> bytes:
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for kind, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body
