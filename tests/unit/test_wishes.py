"""What callers of a surface say beyond ours, to backends that speak as they do."""

from collections.abc import Mapping
from typing import Any

import pytest

from darkroom.api.fal import inputs as fal
from darkroom.api.replicate import inputs as replicate
from darkroom.engine.catalogue import Catalogue, Model, Route
from darkroom.engine.intake import Order, accept, fingerprint
from darkroom.errors import InvalidRequest
from darkroom.media.routing import Account
from darkroom.providers.fal import Fal
from darkroom.providers.replicate import Replicate
from services.catalogues import Told

BASE = "https://pictures.test"
SEEN = {"prompt": "a pier"}
OPTIONS = {
    "parameters": {
        "n": {"as": "num_outputs", "maximum": 4},
        "guidance": {"as": "true_cfg"},
        "aspect_ratio": {"enum": ["1:1", "16:9"]},
    }
}
THEIRS = {
    "parameters": {
        "n": {"as": "num_images", "maximum": 4},
        "width": {"as": "image_size.width"},
        "height": {"as": "image_size.height"},
    }
}
AT_REPLICATE = Route(Replicate(key="key"), "owner/name", Account("rep", guarded=True), OPTIONS)
AT_FAL = Route(Fal(key="key"), "owner/app", Account("fal", guarded=True), THEIRS)
HERE = Route(Told({}), "x", Account("here"))
KEYLESS = Route(Replicate(), "owner/name", Account("keyless", guarded=True), OPTIONS)


def model(*routes: Route, **declared: Any) -> Model:
    return Model("any", "", "default", routes, declared)


def said(surface: Any, given: Mapping[str, Any], *routes: Route, **declared: Any) -> dict[str, Any]:
    """The parameters that `given` amounts to."""
    return dict(surface.wish_of({**SEEN, **given}, model(*routes, **declared), base=BASE).parameters)


def passed(surface: Any, given: Mapping[str, Any], *routes: Route, **declared: Any) -> Any:
    return said(surface, given, *routes, **declared).get("provider_options", {})


def refused(surface: Any, given: Mapping[str, Any], *routes: Route) -> str | None:
    """The field that is refused."""
    of = model(*routes)
    wish = surface.wish_of({**SEEN, **given}, of, base=BASE)
    with pytest.raises(InvalidRequest) as raised, wish.in_the_callers_words():
        Catalogue([of], default="any").complete(of, wish.parameters)
    return raised.value.field


@pytest.mark.parametrize(
    ("surface", "given", "account"),
    [
        (replicate, {"go_fast": False, "output_quality": 90, "disable_safety_checker": True}, "rep"),
        (replicate, {"scheduler": "PNDM", "refine": "", "num_inference_steps": 4, "style": {"a": [1]}}, "rep"),
        (replicate, {"image_prompt": "https://example.org/start.png"}, "rep"),
        (fal, {"enable_safety_checker": False, "acceleration": "high"}, "fal"),
        (fal, {"loras": [{"path": "https://example.org/lora"}], "enable_prompt_expansion": True}, "fal"),
    ],
)
def test_what_a_backend_of_the_same_dialect_may_take_goes_to_it(surface: Any, given: Any, account: str) -> None:
    for routes in ([AT_REPLICATE, AT_FAL], [HERE, AT_FAL, AT_REPLICATE, KEYLESS]):
        assert said(surface, given, *routes) == {"provider_options": {account: given}}


def test_every_account_of_the_dialect_gets_it() -> None:
    other = Route(Replicate(key="other"), "owner/other", Account("rep-2", guarded=True), OPTIONS)
    assert passed(replicate, {"go_fast": True}, AT_REPLICATE, other) == {
        "rep": {"go_fast": True}, "rep-2": {"go_fast": True},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("surface", "given", "routes"),
    [
        (replicate, {"scheduler": "PNDM"}, [AT_FAL, HERE]),
        (replicate, {"scheduler": "PNDM"}, [KEYLESS, AT_FAL]),
        (fal, {"loras": ["a"]}, [AT_REPLICATE, HERE]),
    ],
)
def test_without_such_a_backend_it_is_refused_and_hints_are_left_out(surface: Any, given: Any, routes: Any) -> None:
    assert refused(surface, given, *routes) is not None
    hints = {"go_fast": True, "safety_tolerance": 2} if surface is replicate else {"acceleration": "high"}
    assert said(surface, {**hints, "unused": False}, *routes) == {}


@pytest.mark.parametrize(
    ("surface", "given", "field"),
    [
        (replicate, {"megapixels": "0.25"}, "input.megapixels"),
        (replicate, {"webhook": "https://example.org"}, "input.webhook"),
        (replicate, {"num_images": 9}, "input.num_images"),
        (replicate, {"n": 1, "num_outputs": 4}, "input.num_outputs"),
        (replicate, {"true_cfg": 3}, "input.true_cfg"),
        (replicate, {"guidance": 3, "true_cfg": 4}, "input.true_cfg"),
        (replicate, {"extra": {"num_outputs": 4}}, "input.extra"),
        (replicate, {"extra.num_outputs": 4}, "input.extra.num_outputs"),
        (replicate, {"image_prompt": "data:image/png;base64,AAAA"}, "input.image_prompt"),
        (replicate, {"image_prompt": f"{BASE}/replicate/v1/files/a"}, "input.image_prompt"),
        (fal, {"resolution": "4K"}, "resolution"),
        (fal, {"n": 1, "num_images": 4}, "num_images"),
        (fal, {"image_size.width": 64}, "image_size.width"),
        (fal, {"loras": [{"path": "DATA:,a"}]}, "loras"),
        (fal, {"loras": [{"path": " data:,a"}]}, "loras"),
        (fal, {"control": "HTTP://elsewhere.test/files/0199a000-0000-7000-8000-000000000000"}, "control"),
        (fal, {"requests": [{"num_images": 4}]}, "requests"),
        (replicate, {"jobs": [{"num_outputs": 4}]}, "input.jobs"),
    ],
)
def test_what_would_not_reach_the_backend_is_refused(surface: Any, given: dict[str, Any], field: str) -> None:
    assert refused(surface, given, AT_REPLICATE if surface is replicate else AT_FAL) == field


def test_the_mode_of_the_answer_is_not_passed_through() -> None:
    assert said(fal, {"sync_mode": True}, AT_FAL) == {}


def test_what_the_caller_passes_through_by_name_goes_before_it() -> None:
    given = {"go_fast": True, "scheduler": "DDIM", "provider_options": {"rep": {"go_fast": False}, "fal": {"a": 1}}}
    assert passed(replicate, given, AT_REPLICATE, AT_FAL) == {
        "rep": {"go_fast": False, "scheduler": "DDIM"}, "fal": {"a": 1},
    }  # fmt: skip
    for wrong in ([], {"rep": 1}):
        assert passed(replicate, {"go_fast": True, "provider_options": wrong}, AT_REPLICATE) == wrong


def test_what_the_settings_pass_through_goes_after_it() -> None:
    declared = {"provider_options": {"rep": {"go_fast": True, "scheduler": "DDIM"}, "fal": {"a": 1}}}
    assert passed(replicate, {"go_fast": False}, AT_REPLICATE, AT_FAL, **declared) == {
        "rep": {"go_fast": False, "scheduler": "DDIM"}, "fal": {"a": 1},
    }  # fmt: skip


def test_what_runs_here_can_still_serve_it() -> None:
    of = model(AT_REPLICATE, HERE)
    parameters = said(replicate, {"go_fast": False}, AT_REPLICATE, HERE)
    assert of.capable(Catalogue([of], default="any").complete(of, parameters)) == [AT_REPLICATE, HERE]


def test_it_is_a_parameter_like_others() -> None:
    of = model(AT_REPLICATE)
    orders = [Order("a pier", "any", said(replicate, {"go_fast": fast}, AT_REPLICATE)) for fast in (True, False)]
    assert len({fingerprint(order) for order in orders}) == 2
    accepted = accept(orders[1], Catalogue([of], default="any"), max_tries=1).parameters
    assert accepted == {"n": 1, "provider_options": {"rep": {"go_fast": False}}}
    assert AT_REPLICATE.narrowed(accepted, of.defaults) == ({"n": 1}, {"go_fast": False})
