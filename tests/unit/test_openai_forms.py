"""Objects and lists in the forms of OpenAI's clients, which have neither."""

from typing import Any

import pytest
from openai._qs import Querystring

from darkroom.api.openai.forms import unfolded
from darkroom.errors import InvalidRequest


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ({"seed": 7}, {"seed": "7"}),  # texts, as the model's schema tells what they stand for
        ({"seed": [1, 2]}, {"seed": ["1", "2"]}),
        ({"options": {"a": {"fast": True, "guide": 3.5, "name": "a pier"}}}, None),
        ({"options": {"all": [1, 2], "names": ["a", "b"]}}, None),
        ({"options": {"id": "007", "huge": "1e999999", "minus": -2}}, None),
        ({"a]b": "x", "c[": "y", "[d]": "z"}, None),
    ],
)
def test_what_the_client_folds_is_unfolded(sent: dict[str, Any], read: dict[str, Any] | None) -> None:
    folded = Querystring(array_format="brackets").stringify_items(sent)
    assert unfolded(folded) == (read or sent)


@pytest.mark.parametrize(
    "fields",
    [
        [("a", "1"), ("a[b]", "2")],
        [("a[b]", "1"), ("a", "2")],
        [("a[]", "1"), ("a[b]", "2")],
        [("a[b]", "1"), ("a[]", "2")],
        [("a[b]", "1"), ("a[b][c]", "2")],
    ],
)
def test_names_that_contradict_each_other_are_refused(fields: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidRequest, match="contradicts another field") as refused:
        unfolded(fields)
    assert refused.value.field == "a"


@pytest.mark.parametrize("name", [f"a{'[b]' * 50}", "a[][b]"])
def test_names_that_nobody_folds_are_left_alone(name: str) -> None:
    assert unfolded([(name, "1")]) == {name: "1"}
