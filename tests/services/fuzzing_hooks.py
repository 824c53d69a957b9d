"""What the schema cannot tell schemathesis, loaded by it through SCHEMATHESIS_HOOKS.

A key that was used for one request is refused with another; which parameters there are depends on the model; what is
uploaded must be a picture, and a webhook an address that may be reached.
"""

import io
from itertools import count
from typing import Any

import schemathesis
from hypothesis import strategies as st
from PIL import Image

_numbers = count()


def _png() -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(target, "PNG")
    return target.getvalue()


PICTURE = st.just(_png())
schemathesis.openapi.format("binary", PICTURE)
for kind in ("image/png", "image/jpeg", "image/webp", "application/octet-stream"):
    schemathesis.openapi.media_type(kind, PICTURE)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Use each generated key once, and neither parameters nor pictures of its invention.

    What is generated to be refused stays so.
    """
    headers = case.headers or {}
    key = headers.get("idempotency-key")
    if key and len(key) < 200:
        headers["idempotency-key"] = f"{key}{next(_numbers)}"
    if isinstance(case.body, dict):
        if isinstance(case.body.get("parameters"), dict):
            case.body["parameters"] = {}
        if _is_address(case.body.get("webhook")):
            case.body["webhook"] = "https://example.com/"
        for name in ("image", "mask", "images"):
            if _is_reference(case.body.get(name)):
                del case.body[name]


def _is_address(value: Any) -> bool:
    """Whether this would be taken for an address, and then found to be none."""
    return isinstance(value, str) and 0 < len(value) <= 2048 and "\0" not in value


def _is_reference(value: Any) -> bool:
    """Whether this would be taken for a picture, and then found to be none."""
    if isinstance(value, list):
        return 0 < len(value) <= 16 and all(_is_reference(each) for each in value)
    return isinstance(value, str) and value != ""
