"""Is this a picture? Sniffed, measured from its header, and only then decoded."""

import io
from dataclasses import dataclass

# Importing WebP's plugin registers it; or else the first WebP makes `Image.open` import every plugin.
from PIL import Image, WebPImagePlugin  # noqa: F401

from darkroom.errors import InvalidOutput, OutputTooLarge
from darkroom.imaging.containers import CONTAINERS
from darkroom.imaging.formats import Format, name_of, sniff

SUBJECT = "the backend returned"
"""What the messages begin with; where the picture came from elsewhere, they are given another beginning."""
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a picture may be: `max_bytes` as it came, `max_pixels` as width times height.

    Whatever is said here, Pillow logs a warning above 89 megapixels and refuses more than 178.
    """

    max_bytes: int = 64 * 1024 * 1024
    max_pixels: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture that is one: `image` is loaded (of an animation, the first frame)."""

    format: Format
    image: Image.Image


def verify(content: bytes, limits: Limits) -> Decoded:
    """Decode `content` whole. Blocks; Pillow releases the GIL while it decodes.

    Raises `InvalidOutput`, saying what came instead, unless it is a PNG, JPEG or WebP that is
    complete, has no more parts than real ones have, and decodes; `OutputTooLarge`, before anything
    of that size is allocated, if it is beyond `limits`.
    """
    if len(content) > limits.max_bytes:
        raise OutputTooLarge(f"{SUBJECT} {len(content):,} bytes; the limit is {limits.max_bytes:,}")
    image_format = sniff(content)
    if image_format is None:
        raise _refused(name_of(content))
    _check_header(content, image_format, limits)
    return Decoded(image_format, _decoded(content, image_format, limits))


def _check_header(content: bytes, image_format: Format, limits: Limits) -> None:
    container = CONTAINERS[image_format]
    if container.has_too_many_parts(content):
        raise _refused(f"a {image_format.label} of far too many parts")
    size = container.size(content)
    if size is not None:
        _check_size(size, limits)
    if not container.is_whole(content):
        raise _refused(f"a truncated {image_format.label}")
    if size is None:
        raise _refused(f"a damaged {image_format.label}")


def _check_size(size: tuple[int, int], limits: Limits) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        most = f"the limit is {limits.max_pixels:,} pixels"
        raise OutputTooLarge(f"{SUBJECT} a picture of {width} x {height} pixels; {most}")


def _decoded(content: bytes, image_format: Format, limits: Limits) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(content), formats=(image_format.upper(),))
        # The last word of the header: a PNG can hold a second IHDR, a JPEG a second frame.
        _check_size(image.size, limits)
        image.load()
    except OutputTooLarge:
        raise
    except _BOMBS as error:
        raise OutputTooLarge(f"{SUBJECT} a picture too large to be decoded") from error
    except Exception as error:  # damaged bytes make Pillow raise almost anything
        raise _translated(error, image_format) from error
    return image


def _translated(error: Exception, image_format: Format) -> InvalidOutput | OutputTooLarge:
    """Pillow tells text or a profile that unpacks to too much from plain damage by its words alone."""
    if isinstance(error, ValueError) and ("too large" in str(error) or "Too much memory" in str(error)):
        return OutputTooLarge(f"{SUBJECT} a {image_format.label} with far too much text or profile in it")
    return _refused(f"a damaged {image_format.label}")


def _refused(what: str) -> InvalidOutput:
    return InvalidOutput(f"{SUBJECT} {what}; a PNG, JPEG or WebP picture is accepted")
