import asyncio
import base64
import hashlib
import threading
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pictures
from darkroom.errors import InvalidOutput, OutputTooLarge
from darkroom.imaging import Developer, Limits, read_description

pytestmark = pytest.mark.anyio

D = pictures.DESCRIPTION
ACCEPTED = {
    "png": ("PNG", "image/png", "png"),
    "jpeg": ("JPEG", "image/jpeg", "jpg"),
    "webp": ("WEBP", "image/webp", "webp"),
}


@pytest.fixture(scope="module")
async def developer() -> AsyncIterator[Developer]:
    developer = Developer(threads=2)
    yield developer
    await developer.aclose()


@pytest.mark.parametrize(("pillows", "content_type", "extension"), ACCEPTED.values(), ids=ACCEPTED)
async def test_a_picture_is_measured_described_and_hashed(
    developer: Developer, pillows: str, content_type: str, extension: str
) -> None:
    content = pictures.encoded(pictures.image(), pillows)
    picture = await developer.develop(content, output_format=None, description=D)
    assert (picture.content_type, picture.extension) == (content_type, extension)
    assert (picture.width, picture.height) == (48, 32)
    assert picture.sha256 == hashlib.sha256(picture.content).hexdigest()
    assert read_description(picture.content) == D
    assert pictures.pixels(picture.content) == pictures.pixels(content)


@pytest.mark.parametrize("output_format", [None, "png"])
async def test_without_thumbnails_and_metadata_the_bytes_are_the_backends(output_format: str | None) -> None:
    developer = Developer(thumbnails=False, metadata=False)
    content = pictures.encoded(pictures.image(), "PNG")
    picture = await developer.develop(content, output_format=output_format, description=D)
    await developer.aclose()
    assert picture.content == content
    assert picture.thumbnail is None
    assert picture.placeholder is None


@pytest.mark.parametrize("came", ACCEPTED)
@pytest.mark.parametrize("wanted", ACCEPTED)
async def test_another_output_format_is_encoded_and_the_same_one_is_not(
    developer: Developer, came: str, wanted: str
) -> None:
    content = pictures.encoded(pictures.image(96, 64), ACCEPTED[came][0], quality=95)
    picture = await developer.develop(content, output_format=wanted, description=D)
    assert pictures.opened(picture.content).format == ACCEPTED[wanted][0]
    assert picture.content_type == ACCEPTED[wanted][1]
    assert read_description(picture.content) == D
    assert pictures.difference(picture.content, content) < (0.5 if wanted in (came, "png") else 12)
    if wanted == came:
        assert pictures.pixels(picture.content) == pictures.pixels(content)


async def test_an_unknown_output_format_is_a_mistake_of_the_caller(developer: Developer) -> None:
    with pytest.raises(ValueError, match="gif"):
        await developer.develop(pictures.encoded(pictures.image(), "PNG"), output_format="gif", description=D)


async def test_transparency_becomes_white_in_jpeg_and_stays_in_webp(developer: Developer) -> None:
    clear = pictures.image(mode="RGBA")
    clear.putalpha(0)
    content = pictures.encoded(clear, "PNG")
    jpeg = await developer.develop(content, output_format="jpeg", description=D)
    assert pictures.opened(jpeg.content).getextrema() == ((255, 255), (255, 255), (255, 255))
    webp = await developer.develop(content, output_format="webp", description=D)
    assert pictures.opened(webp.content).getchannel("A").getextrema() == (0, 0)


@pytest.mark.parametrize("wanted", ["png", "webp"])
async def test_the_colour_profile_outlives_another_encoding(developer: Developer, wanted: str) -> None:
    profile = pictures.rgb_profile()
    content = pictures.encoded(pictures.image(), "JPEG", icc_profile=profile)
    picture = await developer.develop(content, output_format=wanted, description=D)
    assert pictures.opened(picture.content).info["icc_profile"] == profile
    assert picture.thumbnail is not None
    assert pictures.opened(picture.thumbnail).info["icc_profile"] == profile


async def test_a_profile_of_inks_does_not_outlive_its_inks(developer: Developer) -> None:
    inks = bytearray(pictures.rgb_profile())
    inks[16:20] = b"CMYK"
    content = pictures.encoded(pictures.image(mode="CMYK"), "JPEG", icc_profile=bytes(inks))
    picture = await developer.develop(content, output_format="png", description=D)
    assert "icc_profile" not in pictures.opened(picture.content).info


async def test_a_side_too_long_for_webp_is_refused(developer: Developer) -> None:
    content = pictures.encoded(pictures.image(16_384, 1), "PNG")
    with pytest.raises(OutputTooLarge, match="16384 x 1 pixels do not fit into WebP: at most 16,383 pixels a side"):
        await developer.develop(content, output_format="webp", description=D)
    kept = await developer.develop(content, output_format=None, description=D)
    assert kept.width == 16_384


SIZES = [((1024, 768), (384, 288)), ((600, 1200), (192, 384)), ((48, 32), (48, 32)), ((4000, 1), (384, 1))]


@pytest.mark.parametrize(("size", "expected"), SIZES)
async def test_a_thumbnail_fits_384_pixels_and_is_never_enlarged(
    developer: Developer, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    picture = await developer.develop(pictures.encoded(pictures.image(*size), "PNG"), output_format=None, description=D)
    assert picture.thumbnail is not None
    thumbnail = pictures.opened(picture.thumbnail)
    assert (thumbnail.format, thumbnail.size) == ("WEBP", expected)


async def test_the_placeholder_is_a_tiny_webp_in_a_data_uri(developer: Developer) -> None:
    content = pictures.encoded(pictures.image(1024, 768), "PNG")
    picture = await developer.develop(content, output_format=None, description=D)
    assert picture.placeholder is not None
    head, _, data = picture.placeholder.partition(",")
    assert head == "data:image/webp;base64"
    assert pictures.opened(base64.b64decode(data)).size == (16, 12)
    assert len(picture.placeholder) < 400


def animated(pillows: str) -> bytes:
    return pictures.encoded(
        pictures.image(), pillows, save_all=True, append_images=[pictures.image().rotate(180)], duration=100
    )


def transparent_palette() -> bytes:
    palette = pictures.image().quantize(16)
    return pictures.encoded(palette, "PNG", transparency=bytes(range(0, 256, 16)))


MODES = {
    "16-bit grey": lambda: pictures.encoded(pictures.grey16_ramp(), "PNG"),
    "black and white": lambda: pictures.encoded(pictures.image(mode="1"), "PNG"),
    "grey": lambda: pictures.encoded(pictures.image(mode="L"), "PNG"),
    "grey with alpha": lambda: pictures.encoded(pictures.image(mode="LA"), "PNG"),
    "palette": lambda: pictures.encoded(pictures.image().quantize(16), "PNG"),
    "palette with one clear colour": lambda: pictures.encoded(pictures.image().quantize(16), "PNG", transparency=3),
    "palette with alpha": transparent_palette,
    "clear colour": lambda: pictures.encoded(pictures.image(), "PNG", transparency=(0, 0, 0)),
    "16-bit with clear grey": lambda: pictures.encoded(pictures.grey16_ramp(), "PNG", transparency=5),
    "CMYK JPEG": lambda: pictures.encoded(pictures.image(mode="CMYK"), "JPEG"),
    "grey JPEG": lambda: pictures.encoded(pictures.image(mode="L"), "JPEG"),
    "animated WebP": lambda: animated("WEBP"),
    "animated PNG": lambda: animated("PNG"),
}


@pytest.mark.parametrize("make", MODES.values(), ids=MODES)
async def test_every_kind_of_pixel_has_a_thumbnail_and_can_be_encoded(developer: Developer, make) -> None:
    content = make()
    picture = await developer.develop(content, output_format=None, description=D)
    assert picture.thumbnail is not None
    assert pictures.difference(picture.thumbnail, content) < 16
    for wanted in ACCEPTED:
        again = await developer.develop(content, output_format=wanted, description=D)
        assert pictures.opened(again.content).size == (48, 32)


@pytest.mark.parametrize("pillows", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
async def test_the_thumbnail_stands_upright_and_the_stored_size_is_the_pixels(
    developer: Developer, pillows: str, orientation: int
) -> None:
    content = pictures.encoded(pictures.image(), pillows, exif=pictures.exif(orientation))
    picture = await developer.develop(content, output_format=None, description=D)
    assert (picture.width, picture.height) == (48, 32)
    assert pictures.opened(picture.content).getexif()[0x0112] == orientation
    assert picture.thumbnail is not None
    seen = pictures.seen(content)
    assert pictures.opened(picture.thumbnail).size == seen.size
    assert pictures.difference(picture.thumbnail, pictures.encoded(seen, "PNG")) < 16


async def test_another_encoding_turns_the_pixels_themselves(developer: Developer) -> None:
    content = pictures.encoded(pictures.image(), "JPEG", exif=pictures.exif(6))
    picture = await developer.develop(content, output_format="png", description=D)
    assert (picture.width, picture.height) == pictures.opened(picture.content).size == (32, 48)
    assert 0x0112 not in pictures.opened(picture.content).getexif()
    assert pictures.difference(picture.content, pictures.encoded(pictures.seen(content), "PNG")) < 1


async def test_unreadable_exif_does_not_stop_a_picture(developer: Developer) -> None:
    content = pictures.encoded(pictures.image(), "WEBP", exif=b"Exif\0\0II*\0\xff\xff\xff\xffgarbage")
    picture = await developer.develop(content, output_format=None, description=D)
    assert picture.thumbnail is not None


@pytest.mark.parametrize("wanted", ACCEPTED)
async def test_a_prompt_about_orientation_turns_nothing(developer: Developer, wanted: str) -> None:
    content = pictures.encoded(pictures.image(), ACCEPTED[wanted][0])
    sly = replace(D, prompt='tiff:Orientation="6" <tiff:Orientation>6</tiff:Orientation>')
    picture = await developer.develop(content, output_format=None, description=sly)
    again = await developer.develop(picture.content, output_format=None, description=sly)
    assert again.thumbnail is not None
    assert pictures.opened(again.thumbnail).size == (48, 32)


async def test_limits_are_the_developers() -> None:
    developer = Developer(limits=Limits(max_pixels=100))
    with pytest.raises(OutputTooLarge, match="48 x 32 pixels; the limit is 100 pixels"):
        await developer.develop(pictures.encoded(pictures.image(), "PNG"), output_format=None, description=D)
    await developer.aclose()


async def test_the_event_loop_goes_on_while_pictures_are_developed(developer: Developer) -> None:
    content = pictures.encoded(pictures.image(2048, 2048), "PNG", compress_level=1)
    work = asyncio.ensure_future(developer.develop(content, output_format="webp", description=D))
    turns = 0
    while not work.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert (await work).content_type == "image/webp"
    assert turns >= 20


async def test_no_more_threads_work_than_were_asked_for() -> None:
    def at_work() -> set[int | None]:
        return {thread.ident for thread in threading.enumerate() if thread.name.startswith("imaging")}

    before = at_work()
    developer = Developer(threads=2)
    content = pictures.encoded(pictures.image(), "PNG")
    await asyncio.gather(*(developer.develop(content, output_format=None, description=D) for _ in range(20)))
    assert 1 <= len(at_work() - before) <= 2
    await developer.aclose()
    assert not at_work() - before


mutations = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4)), max_size=4)
SEEDS = [
    pictures.encoded(pictures.image(), "PNG", exif=pictures.exif(6), pnginfo=pictures.png_text(prompt="theirs")),
    pictures.encoded(pictures.image().quantize(16), "PNG", transparency=bytes(range(0, 256, 16))),
    pictures.encoded(pictures.image(), "JPEG", exif=pictures.exif(6), icc_profile=pictures.rgb_profile()),
    pictures.encoded(pictures.image(), "WEBP"),
    pictures.encoded(pictures.image(mode="RGBA"), "WEBP", exif=pictures.exif(6), xmp=b"<x/>"),
    animated("WEBP"),
    animated("PNG"),
]


def mutated(content: bytes, changes: list[tuple[float, bytes]]) -> bytes:
    changed = bytearray(content)
    for where, patch in changes:
        at = int(where * len(changed))
        changed[at : at + len(patch)] = patch
    return bytes(changed)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(SEEDS),
    mutations,
    st.just(1.0) | st.floats(0, 1),
    st.sampled_from([None, "png", "jpeg", "webp"]),
)
async def test_damage_is_either_harmless_or_refused_in_our_own_words(
    developer: Developer, content: bytes, changes: list[tuple[float, bytes]], kept: float, wanted: str | None
) -> None:
    damaged = mutated(content, changes)
    damaged = damaged[: int(kept * len(damaged))]
    try:
        picture = await developer.develop(damaged, output_format=wanted, description=D)
    except (InvalidOutput, OutputTooLarge):
        return
    assert pictures.opened(picture.content).size == (picture.width, picture.height)
    if wanted is None:
        assert pictures.pixels(picture.content) == pictures.pixels(damaged)
