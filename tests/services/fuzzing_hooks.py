"""What the schema cannot tell schemathesis, loaded by it through SCHEMATHESIS_HOOKS.

A key that was used for one request is refused with another; which parameters there are depends on the model.
"""

from itertools import count
from typing import Any

import schemathesis

_numbers = count()


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Use each generated key once, and no parameters of its invention; what is generated to be refused stays so."""
    headers = case.headers or {}
    key = headers.get("idempotency-key")
    if key and len(key) < 200:
        headers["idempotency-key"] = f"{key}{next(_numbers)}"
    if isinstance(case.body, dict) and isinstance(case.body.get("parameters"), dict):
        case.body["parameters"] = {}
