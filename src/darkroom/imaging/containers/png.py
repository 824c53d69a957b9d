"""PNG: a signature and chunks (length, type, data, CRC-32), IHDR first, IEND last."""

import struct
import zlib
from collections.abc import Iterator
from itertools import islice, takewhile

from darkroom.imaging.description import SOFTWARE, Description, from_fields

_SIGNATURE = 8
_AFTER_IHDR = _SIGNATURE + 25
_NO_COMPRESSION_NO_LANGUAGE = b"\0\0\0\0\0"
MOST_CHUNKS = 100_000


def has_too_many_parts(content: bytes) -> bool:
    """Whether more than `MOST_CHUNKS` chunks come before IEND."""
    before_end = takewhile(lambda chunk: chunk[0] != b"IEND", _chunks(content))
    return any(islice(before_end, MOST_CHUNKS, None))


def size(content: bytes) -> tuple[int, int] | None:
    """Width and height in pixels, from IHDR; None unless IHDR comes first."""
    if len(content) < _AFTER_IHDR or content[8:16] != b"\0\0\0\x0dIHDR":
        return None
    width, height = struct.unpack_from(">II", content, 16)
    return width, height


def is_whole(content: bytes) -> bool:
    """Whether the chunks lead to IEND.

    Pillow does not ask for it: it takes a PNG without its last bytes, checksum included, for whole.
    """
    return any(kind == b"IEND" for kind, _, _ in _chunks(content))


def embed(content: bytes, description: Description) -> bytes:
    """`content` with an iTXt chunk per field right after IHDR.

    What the backend wrote under the same keywords (ComfyUI: `prompt`) stays, and comes later,
    so readers that let the last one win still find it.
    """
    fields = description.fields() | {"Software": SOFTWARE}
    ours = b"".join(_itxt(keyword, text) for keyword, text in fields.items())
    return content[:_AFTER_IHDR] + ours + content[_AFTER_IHDR:]


def read(content: bytes) -> Description | None:
    """The description in the first group of iTXt chunks that ends with our `Software`."""
    fields: dict[str, str] = {}
    for kind, start, end in _chunks(content):
        if kind != b"iTXt":
            continue
        keyword, _, text = content[start:end].partition(_NO_COMPRESSION_NO_LANGUAGE)
        fields[keyword.decode("latin-1")] = text.decode("utf-8", "replace")
        if fields.get("Software") == SOFTWARE:
            return from_fields(fields)
    return None


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of the data of every chunk that is there to its end."""
    at = _SIGNATURE
    while at + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        if at + 12 + length > len(content):
            return
        yield kind, at + 8, at + 8 + length
        at += 12 + length


def _itxt(keyword: str, text: str) -> bytes:
    value = text.replace("\0", "").encode("utf-8", "replace")
    data = keyword.encode("latin-1") + _NO_COMPRESSION_NO_LANGUAGE + value
    return struct.pack(">I", len(data)) + b"iTXt" + data + struct.pack(">I", zlib.crc32(b"iTXt" + data))
