"""How callers say which picture they mean."""

import base64
from urllib.parse import quote

import pytest

from darkroom.engine import references
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
