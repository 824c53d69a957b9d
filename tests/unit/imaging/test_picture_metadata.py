import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import pictures
from darkroom.imaging import Description, read_description
from darkroom.imaging.formats import Format
from darkroom.imaging.metadata import embed

D = pictures.DESCRIPTION
XML_CANNOT_HOLD = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")

PLAIN = {
    "PNG": (Format.PNG, pictures.encoded(pictures.image(), "PNG")),
    "palette PNG": (Format.PNG, pictures.encoded(pictures.image().quantize(16), "PNG")),
    "JPEG": (Format.JPEG, pictures.encoded(pictures.image(), "JPEG")),
    "grey JPEG": (Format.JPEG, pictures.encoded(pictures.image(mode="L"), "JPEG")),
    "CMYK JPEG": (Format.JPEG, pictures.encoded(pictures.image(mode="CMYK"), "JPEG")),
    "WebP": (Format.WEBP, pictures.encoded(pictures.image(47, 31), "WEBP")),
    "lossless WebP": (Format.WEBP, pictures.encoded(pictures.image(), "WEBP", lossless=True)),
    "lossless WebP with alpha": (Format.WEBP, pictures.encoded(pictures.image(mode="RGBA"), "WEBP", lossless=True)),
    "WebP with alpha": (Format.WEBP, pictures.encoded(pictures.image(mode="RGBA"), "WEBP")),
    "animated WebP": (
        Format.WEBP,
        pictures.encoded(pictures.image(), "WEBP", save_all=True, append_images=[pictures.image().rotate(180)]),
    ),
    "JPEG of two pictures": (
        Format.JPEG,
        pictures.encoded(pictures.image(), "MPO", save_all=True, append_images=[pictures.image().rotate(180)]),
    ),
    "animated PNG": (
        Format.PNG,
        pictures.encoded(pictures.image(), "PNG", save_all=True, append_images=[pictures.image().rotate(180)]),
    ),
}
ONE_OF_EACH = {name: PLAIN[name] for name in ("PNG", "JPEG", "WebP")}

each = pytest.mark.parametrize(("image_format", "content"), ONE_OF_EACH.values(), ids=ONE_OF_EACH)
every = pytest.mark.parametrize(("image_format", "content"), PLAIN.values(), ids=PLAIN)

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
descriptions = st.builds(
    Description,
    prompt=texts,
    model=st.from_regex(r"[a-z0-9./:-]{1,40}", fullmatch=True),
    seed=st.none() | st.integers(0, 2**64),
    parameters=st.dictionaries(st.text(max_size=12), json_values, max_size=4),
)


@every
def test_the_description_is_read_back_and_no_pixel_changes(image_format: Format, content: bytes) -> None:
    described = embed(content, image_format, D)
    assert read_description(described) == D
    assert pictures.pixels(described) == pictures.pixels(content)


@every
def test_the_backends_bytes_are_spliced_not_encoded_anew(image_format: Format, content: bytes) -> None:
    described = embed(content, image_format, D)
    tail = content[64:] if image_format is not Format.WEBP else content[-200:]
    assert tail in described


@pytest.mark.parametrize("name", ["animated WebP", "animated PNG", "JPEG of two pictures"])
def test_what_has_several_frames_keeps_them(name: str) -> None:
    image_format, content = PLAIN[name]
    before, after = pictures.opened(content), pictures.opened(embed(content, image_format, D))
    assert after.n_frames == before.n_frames == 2
    before.seek(1)
    after.seek(1)
    assert after.tobytes() == before.tobytes()


@given(descriptions)
def test_any_description_survives_in_png(description: Description) -> None:
    content = PLAIN["PNG"][1]
    described = embed(content, Format.PNG, description)
    assert read_description(described) == description
    assert pictures.pixels(described) == pictures.pixels(content)


@given(descriptions, st.sampled_from(["JPEG", "WebP", "lossless WebP with alpha"]))
def test_any_description_survives_in_xmp_but_for_what_xml_cannot_hold(description: Description, name: str) -> None:
    image_format, content = PLAIN[name]
    described = embed(content, image_format, description)
    assert read_description(described) == replace(description, prompt=XML_CANNOT_HOLD.sub("", description.prompt))
    assert pictures.pixels(described) == pictures.pixels(content)


@each
def test_characters_that_no_encoding_has_do_not_stop_a_picture(image_format: Format, content: bytes) -> None:
    described = embed(content, image_format, replace(D, prompt="a \ud800 b \0 c"))
    found = read_description(described)
    assert found is not None
    assert found.prompt.startswith("a ")
    assert found.prompt.endswith(" c")


@each
def test_the_last_description_counts(image_format: Format, content: bytes) -> None:
    once = embed(content, image_format, D)
    again = replace(D, prompt="another", seed=None)
    assert read_description(embed(once, image_format, again)) == again


@each
def test_a_picture_of_somebody_else_has_no_description(image_format: Format, content: bytes) -> None:
    assert read_description(content) is None


@given(st.binary(max_size=200), st.integers(0, 2**16))
def test_reading_never_raises(junk: bytes, at: int) -> None:
    for image_format, content in ONE_OF_EACH.values():
        described = embed(content, image_format, D)
        at %= len(described)
        read_description(described[:at] + junk + described[at + len(junk) :])
        read_description(described[:at])
    read_description(junk)


def test_png_says_it_in_the_keywords_that_other_tools_show() -> None:
    text = pictures.opened(embed(PLAIN["PNG"][1], Format.PNG, D)).text
    assert text["prompt"] == D.prompt
    assert text["model"] == "flux-schnell"
    assert text["seed"] == "7"
    assert text["parameters"] == '{"width": 48, "n": 1}'
    assert text["Software"] == "Darkroom"


def test_what_comfyui_wrote_as_prompt_is_still_what_pillow_finds() -> None:
    graph = '{"3": {"class_type": "KSampler"}}'
    content = pictures.encoded(pictures.image(), "PNG", pnginfo=pictures.png_text(prompt=graph, workflow="{}"))
    described = embed(content, Format.PNG, D)
    assert pictures.opened(described).text["prompt"] == graph
    assert read_description(described) == D
    assert read_description(content) is None


FLAGS = {"WebP": 0x04, "lossless WebP": 0x04, "lossless WebP with alpha": 0x14, "WebP with alpha": 0x14}


@pytest.mark.parametrize(("name", "flags"), FLAGS.items())
def test_webp_gets_an_extended_header_that_says_what_is_in_it(name: str, flags: int) -> None:
    image_format, content = PLAIN[name]
    described = embed(content, image_format, D)
    width, height = pictures.opened(content).size
    assert described[12:30] == b"VP8X\x0a\0\0\0" + pictures.vp8x(width, height, flags)[1]
    assert int.from_bytes(described[4:8], "little") == len(described) - 8


@pytest.mark.parametrize("name", ["JPEG", "WebP"])
def test_xmp_has_the_prompt_where_viewers_look(name: str) -> None:
    image_format, content = PLAIN[name]
    root = ElementTree.fromstring(pictures.opened(embed(content, image_format, D)).info["xmp"])
    rdf = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
    assert root.findtext(f".//{{http://purl.org/dc/elements/1.1/}}description/{rdf}Alt/{rdf}li") == D.prompt
    assert root.findtext(".//{http://ns.adobe.com/xap/1.0/}CreatorTool") == "Darkroom"


THEIRS = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
    ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/">'
    "<dc:creator><rdf:Seq><rdf:li>the backend</rdf:li></rdf:Seq></dc:creator>%s</rdf:Description></rdf:RDF>"
    '</x:xmpmeta><?xpacket end="w"?>'
)
CAPTION = '<dc:description><rdf:Alt><rdf:li xml:lang="x-default">theirs</rdf:li></rdf:Alt></dc:description>'
CAPTION += "<xmp:CreatorTool>theirs too</xmp:CreatorTool>"


@pytest.mark.parametrize("theirs", [THEIRS % "", THEIRS % CAPTION], ids=["no caption", "a caption"])
@pytest.mark.parametrize("name", ["JPEG", "WEBP"])
def test_the_backends_own_xmp_is_kept_and_added_to(name: str, theirs: str) -> None:
    content = pictures.encoded(pictures.image(), name, xmp=theirs.encode())
    described = embed(content, Format(name.lower()), D)
    packet = pictures.opened(described).info["xmp"].decode()
    assert packet.startswith(theirs.partition("</rdf:RDF>")[0])
    assert packet.count("<dc:description") == 1
    assert packet.count("<xmp:CreatorTool>") == 1
    assert packet.count("<?xpacket begin") == 1
    assert described.count(b"<?xpacket begin") == 1
    assert read_description(described) == D


@pytest.mark.parametrize("name", ["JPEG", "WEBP"])
def test_xmp_that_cannot_be_added_to_is_left_alone(name: str) -> None:
    content = pictures.encoded(pictures.image(), name, xmp=(THEIRS % "").encode("utf-16"))
    assert embed(content, Format(name.lower()), D) == content


def test_a_jpeg_whose_xmp_is_full_is_left_alone() -> None:
    full = (THEIRS % "").encode().ljust(65_504)
    content = pictures.encoded(pictures.image(), "JPEG", xmp=full)
    assert embed(content, Format.JPEG, D) == content


@pytest.mark.parametrize("image_format", [Format.PNG, Format.JPEG, Format.WEBP])
def test_exif_and_colour_profile_of_the_backend_are_kept(image_format: Format) -> None:
    profile = pictures.rgb_profile()
    content = pictures.encoded(pictures.image(), image_format.upper(), exif=pictures.exif(6), icc_profile=profile)
    after = pictures.opened(embed(content, image_format, D))
    assert after.info["icc_profile"] == profile
    assert dict(after.getexif()) == {0x0112: 6, 0x010E: "from the backend"}


def test_xmp_comes_after_jfif_and_exif_and_before_all_else() -> None:
    content = pictures.encoded(
        pictures.image(), "JPEG", exif=pictures.exif(1), icc_profile=pictures.rgb_profile(), comment=b"theirs"
    )
    segments = [payload[:6] for _, payload in Image.open(pictures.stream(embed(content, Format.JPEG, D))).applist]
    assert segments == [b"JFIF\0\x01", b"Exif\0\0", b"http:/", b"ICC_PR", b"theirs"]


@pytest.mark.parametrize("character", ["a", "&", '"', "é", "雪", "🦊"])
def test_a_prompt_too_long_for_a_jpeg_segment_is_cut_between_characters(character: str) -> None:
    long = replace(D, prompt=character * 66_000)
    described = embed(PLAIN["JPEG"][1], Format.JPEG, long)
    found = read_description(described)
    assert found is not None
    assert replace(found, prompt="") == replace(D, prompt="")
    assert set(found.prompt) == {character}
    packet = pictures.opened(described).info["xmp"]
    assert 65_504 - 6 < len(packet) <= 65_504
    assert pictures.pixels(described) == pictures.pixels(PLAIN["JPEG"][1])


def test_parameters_too_long_for_a_jpeg_segment_are_left_out() -> None:
    described = embed(PLAIN["JPEG"][1], Format.JPEG, replace(D, parameters={"negative_prompt": "雪" * 32_000}))
    assert read_description(described) == replace(D, parameters={})


@pytest.mark.parametrize("name", ["PNG", "WebP"])
def test_png_and_webp_hold_the_longest_prompt_whole(name: str) -> None:
    long = replace(D, prompt="🦊" * 32_000, parameters={"negative_prompt": "雪" * 32_000})
    assert read_description(embed(PLAIN[name][1], PLAIN[name][0], long)) == long


@each
def test_what_follows_the_picture_is_kept(image_format: Format, content: bytes) -> None:
    described = embed(content + b"trailing", image_format, D)
    assert described.endswith(b"trailing")
    assert pictures.pixels(described) == pictures.pixels(content)


@pytest.mark.parametrize("name", ["JPEG", "WebP"])
def test_a_description_with_entities_is_not_expanded_without_bound(name: str) -> None:
    lol = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<!DOCTYPE x [<!ENTITY l0 "lol">{lol}]>' + (THEIRS % "&l9;")
    content = pictures.encoded(pictures.image(), name.upper(), xmp=bomb.encode())
    assert read_description(content) is None
