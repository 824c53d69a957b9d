"""Real pictures, and pieces to build wrong ones from."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageOps
from PIL.PngImagePlugin import PngInfo

from darkroom.imaging import Description

DESCRIPTION = Description(
    prompt='a red fox, "snow" & <frost>\n雪の中の狐 🦊', model="flux-schnell", seed=7, parameters={"width": 48, "n": 1}
)
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def image(width: int = 48, height: int = 32, mode: str = "RGB") -> Image.Image:
    """A left-to-right, top-to-bottom ramp with a little noise: no two corners are alike."""
    rows, columns = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(5).integers(0, 12, (height, width))
    bands = [columns * 240 // width, rows * 240 // height, noise * 8, 255 - columns * 200 // width]
    return Image.fromarray(np.stack(bands, -1).astype(np.uint8)).convert(mode)


def encoded(picture: Image.Image, image_format: str, **options: Any) -> bytes:
    target = io.BytesIO()
    picture.save(target, image_format, **options)
    return target.getvalue()


def opened(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content))
    picture.load()
    return picture


def pixels(content: bytes) -> tuple[str, tuple[int, int], bytes]:
    picture = opened(content)
    return picture.mode, picture.size, picture.tobytes()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width: int, height: int) -> bytes:
    return SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def png_bomb(width: int, height: int) -> bytes:
    return png_header(width, height) + chunk(b"IDAT", zlib.compress(bytes(4096))) + chunk(b"IEND", b"")


def jpeg_bomb(width: int, height: int) -> bytes:
    content = bytearray(encoded(image(), "JPEG"))
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(content)


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for kind, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def vp8x(width: int, height: int, flags: int = 0) -> tuple[bytes, bytes]:
    return b"VP8X", bytes((flags, 0, 0, 0)) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")


def webp_canvas_bomb(width: int, height: int) -> bytes:
    frame = encoded(image(), "WEBP")
    return riff(vp8x(width, height), (b"VP8 ", frame[20:]))


def webp_frame_bomb(width: int, height: int) -> bytes:
    content = bytearray(encoded(image(), "WEBP"))
    content[26:30] = struct.pack("<HH", width, height)
    return bytes(content)


def webp_lossless_bomb(width: int, height: int) -> bytes:
    content = bytearray(encoded(image(), "WEBP", lossless=True))
    content[21:25] = ((width - 1) | (height - 1) << 14).to_bytes(4, "little")
    return bytes(content)


def with_text_bomb(kind: bytes, data: bytes, *, after_pixels: bool = False, times: int = 1) -> bytes:
    content = encoded(image(), "PNG")
    at = len(content) - 12 if after_pixels else 33
    return content[:at] + chunk(kind, data) * times + content[at:]


def with_chunks(*chunks: tuple[bytes, bytes], times: int) -> bytes:
    """A WebP of one frame, and `chunks` so often."""
    frame = encoded(image(), "WEBP")
    return riff(vp8x(48, 32), (b"VP8 ", frame[20:]), *chunks * times)


def exif(orientation: int, *, rationals: int = 0) -> bytes:
    """EXIF that says how to turn the picture, and holds so many rational numbers besides."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    tags[0x010E] = "from the backend"
    if rationals:
        tags[0x013E] = (0.5,) * rationals
    return tags.tobytes()


def png_text(**texts: str) -> PngInfo:
    info = PngInfo()
    for keyword, text in texts.items():
        info.add_text(keyword, text)
    return info


def rgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def stream(content: bytes) -> io.BytesIO:
    return io.BytesIO(content)


def seen(content: bytes) -> Image.Image:
    """The picture as a viewer that honours EXIF shows it."""
    return ImageOps.exif_transpose(opened(content))


def grey16_ramp() -> Image.Image:
    return Image.fromarray(np.asarray(image(mode="L")).astype(np.uint16) * 257)


def difference(one: bytes, other: bytes) -> float:
    """The mean difference of a channel, in 1/255, where both are laid on grey."""
    a, b = (_on_grey(opened(content)) for content in (one, other))
    return float(np.abs(a - b).mean())


def _on_grey(picture: Image.Image) -> Any:
    if picture.mode == "I;16":
        picture = Image.fromarray((np.asarray(picture) // 257).astype(np.uint8))
    grey = Image.new("RGBA", picture.size, "grey")
    grey.alpha_composite(picture.convert("RGBA"))
    return np.asarray(grey.convert("RGB"), dtype=np.float64)
