"""How callers say which picture they mean."""

import base64
import contextlib
import tracemalloc
from urllib.parse import quote, unquote_to_bytes

import pytest

from darkroom.engine import references
from darkroom.engine.references import MOST_ESCAPES, SLICE
from darkroom.errors import InvalidRequest

CONTENT = bytes(range(256)) + b"\xfb\xef\xff"
BASE64 = base64.b64encode(CONTENT).decode()


@pytest.mark.parametrize(
    "uri",
    [
        f"data:image/png;base64,{BASE64}",
        f"DATA:image/png;BASE64,{BASE64}",
        f"data:;base64,{BASE64}",
        f"data:image/png;name=a.png;base64,{BASE64.rstrip('=')}",
        f"data:image/png;base64,{base64.urlsafe_b64encode(CONTENT).decode()}",
        f"data:image/png;base64,{quote(BASE64, safe='')}",
        f"data:image/png;base64,{BASE64[:40]}\r\n {BASE64[40:]}",
        f"data:image/png,{quote(CONTENT)}",
    ],
)
def test_a_data_uri_is_read_however_it_is_written(uri: str) -> None:
    assert references.is_inline(uri)
    assert references.inline(uri, field="image") == CONTENT


@pytest.mark.parametrize(
    "uri", ["data:", "data:image/png;base64", "data:image/png;base64,????", "data:image/png;base64,A", "data:;base64,é"]
)
def test_one_that_is_wrong_is_refused_with_its_field(uri: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        references.inline(uri, field="parameters.image")
    assert caught.value.field == "parameters.image"


@pytest.mark.parametrize("text", ["%", "%41", "%4", "%%41", "a%C3%a9%zz", "é%41%", "%=3D"])
@pytest.mark.parametrize("before", range(4))
def test_what_is_percent_encoded_is_read_in_slices_as_if_it_were_one(text: str, before: int) -> None:
    data = "x" * before + text * (3 * SLICE // len(text))
    assert references.inline(f"data:,{data}", field="image") == unquote_to_bytes(data)


@pytest.mark.parametrize("text", ["%", "%41"])
@pytest.mark.parametrize("head", ["data:", "data:;base64"])
def test_reading_what_is_percent_encoded_takes_little_memory(text: str, head: str) -> None:
    uri = f"{head},{text * 400_000}"
    tracemalloc.start()
    try:
        with contextlib.suppress(InvalidRequest):
            references.inline(uri, field="image")
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("head", ["data:image/png", "data:image/png;base64"])
def test_too_much_that_is_percent_encoded_is_refused_with_its_field(head: str) -> None:
    with pytest.raises(InvalidRequest, match="send it as base64") as caught:
        references.inline(f"{head},{'%' * (MOST_ESCAPES + 1)}", field="parameters.image")
    assert caught.value.field == "parameters.image"


def test_each_picture_is_found_and_replaced_and_nothing_else() -> None:
    parameters = {"image": "a", "images": ["b", 7, "c"], "mask": None, "width": 64, "style": "image"}
    found = dict(references.references(parameters))

    assert found == {"image": "a", "images.0": "b", "images.2": "c"}
    assert references.replaced(parameters, {name: text.upper() for name, text in found.items()}) == {
        "image": "A", "images": ["B", 7, "C"], "mask": None, "width": 64, "style": "image",
    }  # fmt: skip
    assert references.replaced({"width": 64}, {}) == {"width": 64}


@pytest.mark.parametrize("text", ["0199b0a2-3c4d-7e5f-8a6b-7c8d9e0f1a2b", "0199B0A23C4D7E5F8A6B7C8D9E0F1A2B"])
def test_an_id_is_one_with_or_without_dashes(text: str) -> None:
    assert str(references.as_id(text)) == "0199b0a2-3c4d-7e5f-8a6b-7c8d9e0f1a2b"


@pytest.mark.parametrize("text", ["", "{0199b0a2-3c4d-7e5f-8a6b-7c8d9e0f1a2b}", "0199b0a2-3c4d", "x" * 32, "../secret"])
def test_what_is_no_id_is_none(text: str) -> None:
    assert references.as_id(text) is None
