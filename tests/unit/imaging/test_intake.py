"""What is kept of a picture that a caller gives: its pixels, and nothing else."""

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

import pictures
from darkroom.errors import InvalidRequest, PayloadTooLarge, UnsupportedPicture
from darkroom.imaging import Intake, Limits, Taken
from darkroom.imaging.encode import MOST_EXIF


@pytest.fixture
def intake() -> Iterator[Intake]:
    opened = Intake(limits=Limits(max_bytes=200_000, max_pixels=100_000), threads=1)
    yield opened
    asyncio.run(opened.aclose())


@pytest.fixture
def roomy() -> Iterator[Intake]:
    opened = Intake(limits=Limits(), threads=1)
    yield opened
    asyncio.run(opened.aclose())


def taken(intake: Intake, content: bytes) -> Taken:
    return asyncio.run(intake.take(content))


@pytest.mark.parametrize("name", ["PNG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_what_is_lossless_keeps_every_pixel(intake: Intake, name: str, mode: str) -> None:
    given = pictures.image(mode=mode)
    kept = taken(intake, pictures.encoded(given, name, lossless=True))

    assert (kept.content_type, kept.width, kept.height) == (f"image/{name.lower()}", 48, 32)
    assert pictures.opened(kept.content).tobytes() == given.tobytes()


def test_a_jpeg_stays_one_and_looks_the_same(intake: Intake) -> None:
    given = pictures.encoded(pictures.image(), "JPEG", quality=95)
    kept = taken(intake, given)

    assert (kept.content_type, kept.extension) == ("image/jpeg", "jpg")
    assert pictures.difference(given, kept.content) < 2


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
def test_a_picture_is_set_upright_and_says_nothing_of_where_it_was_taken(
    intake: Intake, name: str, orientation: int
) -> None:
    tags = Image.Exif()
    tags[0x0112] = orientation
    tags[0x010F] = "a camera"
    tags.get_ifd(0x8825)[1] = "N"
    given = pictures.encoded(pictures.image(), name, exif=tags.tobytes(), quality=95)
    kept = taken(intake, given)
    shown = pictures.seen(given)

    opened = pictures.opened(kept.content)
    assert (kept.width, kept.height) == opened.size == shown.size
    assert np.abs(np.asarray(opened, int) - np.asarray(shown.convert("RGB"), int)).mean() < 2
    assert not opened.getexif()
    assert b"Exif" not in kept.content
    assert b"a camera" not in kept.content


@pytest.mark.filterwarnings("ignore:Tag data larger than file")
@pytest.mark.parametrize("name", ["PNG", "WEBP"])
def test_of_long_exif_only_the_beginning_is_read(roomy: Intake, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = pictures.encoded(pictures.image(), name, exif=pictures.exif(6, rationals=100_000), lossless=True)
    read: list[int] = []
    load = Image.Exif.load

    def noted(exif: Image.Exif, data: bytes) -> None:
        read.append(len(data))
        load(exif, data)

    monkeypatch.setattr(Image.Exif, "load", noted)
    kept = taken(roomy, given)

    assert (kept.width, kept.height) == (32, 48)
    assert 0 < max(read) <= MOST_EXIF < 800_000


def test_long_exif_in_a_text_is_not_read(roomy: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    exif = pictures.exif(6, rationals=100_000)
    text = f"\nexif\n{len(exif)}\n{exif.hex()}\n"
    given = pictures.encoded(pictures.image(), "PNG", pnginfo=pictures.png_text(**{"Raw profile type exif": text}))
    read: list[int] = []
    monkeypatch.setattr(Image.Exif, "load", lambda _, data: read.append(len(data)))

    assert (taken(roomy, given).width, read) == (48, [])


def test_texts_comments_and_profiles_are_dropped(intake: Intake) -> None:
    noted = pictures.encoded(pictures.image(), "PNG", pnginfo=pictures.png_text(Author="somebody"))
    commented = pictures.encoded(
        pictures.image(), "JPEG", comment=b"somebody", dpi=(300, 300), icc_profile=pictures.rgb_profile()
    )
    for given in (noted, commented):
        kept = taken(intake, given).content
        assert b"somebody" in given
        assert b"somebody" not in kept
        assert not {"icc_profile", "comment", "Author", "dpi"} & pictures.opened(kept).info.keys()


def test_colours_mean_what_the_profile_said(intake: Intake) -> None:
    flat = Image.new("RGB", (8, 8), (200, 100, 50))
    swapped = bytearray(pictures.rgb_profile())
    red, green = swapped.index(b"rXYZ"), swapped.index(b"gXYZ")
    swapped[red : red + 4], swapped[green : green + 4] = b"gXYZ", b"rXYZ"
    kept = pictures.opened(taken(intake, pictures.encoded(flat, "PNG", icc_profile=bytes(swapped))).content)

    assert kept.getpixel((4, 4)) == pytest.approx((100, 200, 50), abs=3)


def test_a_profile_that_is_none_changes_nothing(intake: Intake) -> None:
    kept = taken(intake, pictures.encoded(pictures.image(), "PNG", icc_profile=b"no profile at all"))

    assert pictures.opened(kept.content).tobytes() == pictures.image().tobytes()


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "I;16"])
def test_every_kind_of_png_becomes_one_that_all_backends_read(intake: Intake, mode: str) -> None:
    given = pictures.grey16_ramp() if mode == "I;16" else pictures.image(mode="RGBA").convert(mode)
    kept = pictures.opened(taken(intake, pictures.encoded(given, "PNG")).content)

    assert kept.mode == ("RGBA" if mode in ("LA", "P") else "RGB")
    assert kept.size == given.size


def test_inks_become_colours(intake: Intake) -> None:
    given = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    kept = pictures.opened(taken(intake, pictures.encoded(given, "JPEG")).content)

    assert kept.getpixel((8, 8)) == pytest.approx((255, 0, 0), abs=3)


@pytest.mark.parametrize("name", ["PNG", "WEBP"])
def test_of_an_animation_the_first_picture_is_kept(intake: Intake, name: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "green")]
    given = pictures.encoded(frames[0], name, save_all=True, append_images=frames[1:], lossless=True)
    kept = pictures.opened(taken(intake, given).content)

    assert getattr(kept, "n_frames", 1) == 1
    assert kept.convert("RGB").getpixel((8, 8)) == (255, 0, 0)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "this is an empty body"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "this is an SVG drawing"),
        (b"<!doctype html><html></html>", "this is an HTML page"),
        (pictures.encoded(pictures.image(), "GIF"), "this is a GIF"),
        (pictures.encoded(pictures.image(), "PNG")[:-40], "this is a truncated PNG"),
        (pictures.encoded(pictures.image(), "JPEG")[:300], "this is a truncated JPEG"),
    ],
)
def test_what_is_no_picture_is_named(intake: Intake, content: bytes, what: str) -> None:
    with pytest.raises(UnsupportedPicture) as caught:
        taken(intake, content)
    assert caught.value.message == f"{what}; a PNG, JPEG or WebP picture is accepted"


@pytest.mark.parametrize(
    "content",
    [
        pictures.png_bomb(30_000, 30_000),
        pictures.jpeg_bomb(20_000, 20_000),
        pictures.webp_lossless_bomb(16_000, 16_000),
        pictures.encoded(pictures.image(400, 300), "PNG"),
        pictures.encoded(pictures.image(), "PNG") + bytes(200_000),
    ],
)
def test_what_is_too_large_is_refused_as_that(intake: Intake, content: bytes) -> None:
    with pytest.raises(PayloadTooLarge, match=r"this is .*; the limit is [\d,]+") as caught:
        taken(intake, content)
    assert isinstance(caught.value, InvalidRequest)
