"""The formats that are stored, and what to call everything else that backends send."""

from enum import StrEnum


class Format(StrEnum):
    """A format that is accepted and stored; the value is its name in `output_format`."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"

    @property
    def content_type(self) -> str:
        """As in the HTTP header."""
        return f"image/{self}"

    @property
    def extension(self) -> str:
        """Of the file's name, without the dot."""
        return "jpg" if self is Format.JPEG else str(self)

    @property
    def label(self) -> str:
        """As people write it."""
        return "WebP" if self is Format.WEBP else self.upper()


_TEXTS = {
    b"<!doctype html": "an HTML page",
    b"<html": "an HTML page",
    b"<svg": "an SVG drawing",
    b"<?xml": "an XML document",
    b"{": "a JSON document",
    b"[": "a JSON document",
}

_BINARIES = {
    b"GIF8": "a GIF",
    b"BM": "a BMP",
    b"II*\0": "a TIFF",
    b"MM\0*": "a TIFF",
    b"%PDF": "a PDF",
    b"\0\0\0\x0cJXL ": "a JPEG XL",
    b"\0\0\0\x0cjP  ": "a JPEG 2000",
}


def sniff(content: bytes) -> Format | None:
    """The accepted format that the magic bytes of `content` announce."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return Format.PNG
    if content.startswith(b"\xff\xd8\xff"):
        return Format.JPEG
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return Format.WEBP
    return None


def name_of(content: bytes) -> str:
    """What `content`, which is in no accepted format, is: "an HTML page", "12 bytes that are no picture"."""
    if not content:
        return "an empty body"
    if content[4:8] == b"ftyp":
        return "an AVIF or HEIF picture" if content[8:12] in (b"avif", b"avis", b"heic", b"mif1") else "a video"
    text = content[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    known = [name for magic, name in _BINARIES.items() if content.startswith(magic)]
    known += [name for start, name in _TEXTS.items() if text.startswith(start)]
    return known[0] if known else f"{len(content):,} bytes that are no picture"
