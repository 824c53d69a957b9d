import resource
import time
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import pictures
from darkroom.errors import InvalidOutput, OutputTooLarge
from darkroom.imaging import Limits
from darkroom.imaging.verify import verify

LIMITS = Limits()
SMALL = {
    "PNG": pictures.encoded(pictures.image(), "PNG"),
    "16-bit PNG": pictures.encoded(pictures.grey16_ramp(), "PNG"),
    "JPEG": pictures.encoded(pictures.image(), "JPEG"),
    "progressive JPEG": pictures.encoded(pictures.image(), "JPEG", progressive=True),
    "WebP": pictures.encoded(pictures.image(), "WEBP"),
    "lossless WebP": pictures.encoded(pictures.image(mode="RGBA"), "WEBP", lossless=True),
}


@pytest.mark.parametrize("content", SMALL.values(), ids=SMALL)
def test_a_whole_picture_is_decoded(content: bytes) -> None:
    assert verify(content, LIMITS).image.size == (48, 32)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "an empty body"),
        (b"\n <!DOCTYPE html><html><body>502 Bad Gateway</body></html>", "an HTML page"),
        (b"<HTML></HTML>", "an HTML page"),
        (b'{"detail": "not found"}', "a JSON document"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"no picture :", "12 bytes that are no picture"),
        (bytes(5000), "5,000 bytes that are no picture"),
        (pictures.encoded(pictures.image(), "GIF"), "a GIF"),
        (pictures.encoded(pictures.image(), "BMP"), "a BMP"),
        (pictures.encoded(pictures.image(), "TIFF"), "a TIFF"),
        (pictures.encoded(pictures.image(), "AVIF"), "an AVIF or HEIF picture"),
        (pictures.encoded(pictures.image(), "JPEG2000"), "a JPEG 2000"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "a video"),
    ],
)
def test_what_is_no_picture_is_named_along_with_what_is_accepted(content: bytes, what: str) -> None:
    with pytest.raises(InvalidOutput) as caught:
        verify(content, LIMITS)
    assert caught.value.message == f"the backend returned {what}; a PNG, JPEG or WebP picture is accepted"
    assert caught.value.retryable


@pytest.mark.parametrize("name", ["PNG", "JPEG", "WebP"])
def test_a_truncated_picture_is_called_so(name: str) -> None:
    with pytest.raises(InvalidOutput, match=f"a truncated {name};"):
        verify(SMALL[name][: len(SMALL[name]) // 2], LIMITS)


@pytest.mark.parametrize("content", SMALL.values(), ids=SMALL)
def test_no_beginning_of_a_picture_passes_for_a_whole_one(content: bytes) -> None:
    for length in range(len(content)):
        with pytest.raises(InvalidOutput):
            verify(content[:length], LIMITS)


@pytest.mark.parametrize("name", ["PNG", "JPEG", "WebP"])
def test_bytes_after_the_end_do_no_harm(name: str) -> None:
    assert verify(SMALL[name] + b"trailing", LIMITS).image.size == (48, 32)


def test_a_picture_with_damaged_pixels_is_called_damaged() -> None:
    content = bytearray(SMALL["PNG"])
    content[content.index(b"IDAT") + 30] ^= 0xFF
    with pytest.raises(InvalidOutput, match="a damaged PNG;"):
        verify(bytes(content), LIMITS)


def test_a_picture_without_pixels_is_refused() -> None:
    with pytest.raises(InvalidOutput):
        verify(pictures.png_bomb(0, 0), LIMITS)


BOMBS: dict[str, tuple[Callable[[int, int], bytes], int]] = {
    "png": (pictures.png_bomb, 60_000),
    "png that Pillow would take": (pictures.png_bomb, 9_000),
    "jpeg": (pictures.jpeg_bomb, 65_000),
    "jpeg that Pillow would take": (pictures.jpeg_bomb, 9_000),
    "webp canvas": (pictures.webp_canvas_bomb, 60_000),
    "webp canvas that Pillow would take": (pictures.webp_canvas_bomb, 9_000),
    "webp frame": (pictures.webp_frame_bomb, 16_383),
    "lossless webp": (pictures.webp_lossless_bomb, 16_383),
}


@pytest.mark.parametrize(("bomb", "side"), BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused_by_its_header_without_allocating(bomb: Callable[[int, int], bytes], side: int) -> None:
    content = bomb(side, side)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    with pytest.raises(OutputTooLarge, match=f"{side} x {side} pixels; the limit is 67,108,864 pixels"):
        verify(content, LIMITS)
    assert time.perf_counter() - started < 0.5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024  # KiB


def test_a_second_header_cannot_smuggle_a_larger_picture_in() -> None:
    large = pictures.png_header(9_000, 9_000)[8:]
    content = SMALL["PNG"][:33] + large + SMALL["PNG"][33:]
    with pytest.raises(OutputTooLarge):
        verify(content, LIMITS)


def test_limits_are_inclusive() -> None:
    content = SMALL["PNG"]
    assert verify(content, Limits(max_bytes=len(content), max_pixels=48 * 32)).image.size == (48, 32)
    with pytest.raises(OutputTooLarge, match=f"{len(content):,} bytes"):
        verify(content, Limits(max_bytes=len(content) - 1))
    with pytest.raises(OutputTooLarge, match="48 x 32 pixels"):
        verify(content, Limits(max_pixels=48 * 32 - 1))


ZEROS = zlib.compress(bytes(20 * 1024 * 1024))
TEXT_BOMBS = {
    "zTXt": (b"zTXt", b"Comment\0\0" + ZEROS),
    "iTXt": (b"iTXt", b"Comment\0\1\0\0\0" + ZEROS),
    "iCCP": (b"iCCP", b"profile\0\0" + ZEROS),
}


@pytest.mark.parametrize(("kind", "data"), TEXT_BOMBS.values(), ids=TEXT_BOMBS)
@pytest.mark.parametrize("after_pixels", [False, True], ids=["before the pixels", "after them"])
def test_text_that_unpacks_to_too_much_is_refused(kind: bytes, data: bytes, after_pixels: bool) -> None:
    with pytest.raises(OutputTooLarge, match="far too much text or profile"):
        verify(pictures.with_text_bomb(kind, data, after_pixels=after_pixels), LIMITS)


def test_many_texts_that_unpack_to_too_much_together_are_refused() -> None:
    data = b"Comment\0\0" + zlib.compress(bytes(1_000_000))
    with pytest.raises(OutputTooLarge, match="far too much text or profile"):
        verify(pictures.with_text_bomb(b"zTXt", data, times=80), LIMITS)


JPEG = SMALL["JPEG"]
SCAN = JPEG[JPEG.index(b"\xff\xda") : -2]
HEADS = JPEG.index(b"\xff\xda")
EXIF = b"\xff\xe1\x00\x0aExif\0\0\0\0"
LONG_WINDED = {
    "JPEG of fill bytes": JPEG[:2] + b"\xff" * 5_000_000 + JPEG[2:],
    "JPEG of fill bytes in its scan": JPEG[:-2] + b"\xff" * 5_000_000 + JPEG[-2:],
    "JPEG of junk": JPEG[:HEADS] + bytes(5_000_000) + JPEG[HEADS:],
    "JPEG of junk at the end": JPEG[:HEADS] + bytes(5_000_000) + JPEG[-2:],
    "JPEG of comments": JPEG[:2] + b"\xff\xfe\x00\x02" * 100_000 + JPEG[2:],
    "JPEG of comments without a length": JPEG[:2] + b"\xff\xfe\x00\x00" * 100_000 + JPEG[2:],
    "JPEG of restarts": JPEG[:HEADS] + b"\xff\xd0" * 100_000 + JPEG[HEADS:],
    "JPEG of ends": JPEG[:HEADS] + b"\xff\xd9" * 100_000 + JPEG[HEADS:],
    "JPEG of scans": JPEG[:-2] + SCAN * 100 + JPEG[-2:],
    "JPEG of scans behind a marker that is none": JPEG[:-2] + b"\xff\x02" + SCAN * 100 + JPEG[-2:],
    "JPEG of EXIF": JPEG[:2] + EXIF * 20 + JPEG[2:],
    "PNG of nothing": pictures.with_text_bomb(b"puNK", b"", times=150_000),
    "PNG of nothing after the pixels": pictures.with_text_bomb(b"puNK", b"", times=150_000, after_pixels=True),
    "PNG of texts": pictures.with_text_bomb(b"tEXt", b"a\0b", times=150_000),
    "WebP of nothing": pictures.with_chunks((b"puNK", b""), times=150_000),
}


@pytest.mark.parametrize(("name", "content"), LONG_WINDED.items(), ids=LONG_WINDED)
def test_what_has_far_too_many_parts_is_refused_before_it_is_opened(
    name: str, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []
    monkeypatch.setattr(Image, "open", opened.append)
    with pytest.raises(InvalidOutput, match=f"a {name.partition(' ')[0]} of far too many parts"):
        verify(content, LIMITS)
    assert opened == []


ELABORATE = {
    "JPEG of segments": JPEG[:2] + b"\xff\xed\x00\x04ab" * 2_000 + JPEG[2:],
    "JPEG with fill bytes": JPEG[:2] + b"\xff" * 3 + JPEG[2:HEADS] + b"\xff" * 1_000 + JPEG[HEADS:],
    "JPEG with EXIF in two segments": JPEG[:2] + EXIF * 2 + JPEG[2:],
    "JPEG with much behind it": JPEG + SCAN * 1_000 + b"\xff" * 100_000,
    "PNG of chunks": pictures.with_text_bomb(b"puNK", b"", times=20_000),
    "PNG with much behind it": SMALL["PNG"] + pictures.chunk(b"puNK", b"") * 150_000,
    "WebP of chunks": pictures.with_chunks((b"puNK", b""), times=20_000),
}


@pytest.mark.parametrize("content", ELABORATE.values(), ids=ELABORATE)
def test_a_picture_of_many_parts_is_one(content: bytes) -> None:
    assert verify(content, LIMITS).image.size == (48, 32)


def test_a_scan_as_large_as_a_photo_holds_no_parts() -> None:
    noise = Image.effect_noise((1500, 1500), 90)
    for options in ({}, {"progressive": True}, {"restart_marker_rows": 1}):
        content = pictures.encoded(noise, "JPEG", quality=100, **options)
        assert len(content) > 2_000_000
        assert verify(content, LIMITS).image.size == (1500, 1500)


@given(st.binary(max_size=300), st.sampled_from([b"", *(content[:20] for content in SMALL.values())]))
def test_arbitrary_bytes_are_refused_in_our_own_words(content: bytes, start: bytes) -> None:
    with pytest.raises((InvalidOutput, OutputTooLarge)):
        verify(start + content, LIMITS)
