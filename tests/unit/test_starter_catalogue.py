"""The starter catalogue: what is there without being declared."""

import json
import re
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from darkroom import settings as settings_module
from darkroom.engine.catalogue import Catalogue, Route
from darkroom.engine.parameters import defaults_of, validator_of
from darkroom.media.model import Request
from darkroom.providers.parameters import nested, parameter, schema_of, to_backend
from darkroom.settings import Budget, Model, Price, Settings, SettingsError
from darkroom.settings import Route as Declared
from darkroom.settings.models import starter
from darkroom.wiring import catalogue_of, lacking_keys, providers_of
from darkroom.wiring.models import lacking_prices

KEYS = ("REPLICATE_API_TOKEN", "OPENAI_API_KEY", "FAL_KEY", "BFL_API_KEY")
STARTED = sorted(starter().models)
URI = "data:image/png;base64,iVBORw0="


def load(variables: dict[str, str]) -> Settings:
    """The settings of these variables alone."""
    return settings_module.load(variables, Path(__file__).parent)


def catalogue(settings: Settings) -> Catalogue:
    return catalogue_of(settings, providers_of(settings))


@cache
def with_keys(*variables: str) -> Catalogue:
    return catalogue(load(dict.fromkeys(variables, "k")))


ALL = with_keys(*KEYS)
ROUTES = [pytest.param(route, id=f"{name} at {route.label}") for name in STARTED for route in ALL.get(name).routes]


@pytest.mark.parametrize("route", ROUTES)
def test_a_route_says_what_it_takes_and_what_it_costs(route: Route) -> None:
    assert route.known is not None, "and nobody need be asked"
    needed = {"image": URI} if "image" in route.known.own.get("required", ()) else {}
    assert validator_of(route.known.own).is_valid(defaults_of(route.known.own) | needed)
    assert route.error(defaults_of(route.known.schema) | needed, {}) is None
    assert route.price is not None or "token_prices" in route.options
    if route.price is not None:
        assert 0 < route.price.estimate({}) < 1
        assert route.price.estimate({"n": 2}) == 2 * route.price.estimate({})


@pytest.mark.parametrize("name", STARTED)
def test_a_model_is_ready_with_one_picture_of_any_route(name: str) -> None:
    model = ALL.get(name)
    assert model.problem is None
    completed = ALL.complete(model, {"n": 1})
    assert model.capable(completed), "what is filled in suits a route"
    assert model.description


@pytest.mark.parametrize("name", STARTED)
@pytest.mark.parametrize("variable", KEYS)
def test_a_model_works_with_any_of_its_keys_alone(variable: str, name: str) -> None:
    model = with_keys(variable).get(name)
    usable = [route for route in model.routes if route.problem is None]
    assert bool(usable) == (model.problem is None)
    if usable:
        assert model.capable(model.defaults)
    else:
        assert model.problem is not None
        assert variable not in model.problem
        assert "is not set" in model.problem


def test_there_are_well_known_models_and_most_can_fail_over() -> None:
    assert len(STARTED) >= 12
    several = [name for name in STARTED if len({route.account.name for route in ALL.get(name).routes}) > 1]
    assert {"flux-schnell", "flux-dev", "flux-1.1-pro", "flux-kontext-pro"} <= set(several)


def test_they_can_be_left_out() -> None:
    settings = load({"DARKROOM_STARTER_MODELS": "false"})
    assert set(settings.models) == {"sketch", "dummy"}


def test_a_model_of_the_same_name_takes_the_place_of_one() -> None:
    settings = load({"DARKROOM_MODELS": '{"flux-schnell": {"routes": [{"provider": "sketch"}]}}'})
    assert [route.label for route in catalogue(settings).get("flux-schnell").routes] == ["sketch:sketch"]
    assert settings.declares("flux-schnell")
    assert not settings.declares("flux-dev")
    assert not settings.declares("sketch")


def test_only_declared_models_lack_a_key() -> None:
    route = '{"provider": "mine", "model": "a/b", "options": {"parameters": {"seed": {}}}}'
    settings = load(
        {
            "DARKROOM_ACCOUNTS__MINE": '{"provider": "replicate", "key_from": "MY_TOKEN"}',
            "DARKROOM_MODELS": f'{{"own": {{"routes": [{route}]}}}}',
        }
    )
    models = catalogue(settings)
    assert lacking_keys(settings, models) == {"mine": ["own"]}
    assert models.get("own").problem == "MY_TOKEN is not set"


# What the declarations of parameters may say


def told(name: str, rule: dict[str, Any], value: Any) -> Any:
    request = Request(uuid4(), uuid4(), "a fox", "a model", {name: value})
    return nested(to_backend([parameter(name, rule)], request))


@pytest.mark.parametrize("provider", ["replicate", "fal", "openai", "bfl"])
@pytest.mark.parametrize(
    "rule",
    [
        {"values": 3},
        {"minimum": "x"},
        {"enum": 3},
        {"type": "whole"},
        {"pattern": "("},
        {"$ref": "#/nowhere"},
        {"required": ["x"], "form": ["uri"]},
        {"as": {"a": 1}},
        3,
    ],
    ids=str,
)
def test_a_wrong_declaration_is_one_line(provider: str, rule: Any) -> None:
    model = "gpt-image-1" if provider == "openai" else "a/b"
    route = {"provider": provider, "model": model, "options": {"parameters": {"seed": rule}}}
    settings = load({"DARKROOM_MODELS": json.dumps({"own": {"routes": [route]}})})
    with pytest.raises(SettingsError, match=r"^models\.own \(options\.parameters\.seed\): .+$") as caught:
        catalogue(settings)
    assert "\n" not in str(caught.value)


def test_what_is_passed_through_takes_no_place_of_ours() -> None:
    parameters = [parameter("aspect_ratio", {"as": "image_size"}), parameter("seed", {"as": "input.seed"})]
    extra = {"image_size.width": 4096, "input": {"seed": 2}, "input.seed": 3, "input.style": "ink"}
    asked = Request(uuid4(), uuid4(), "a fox", "a model", {"aspect_ratio": "1:1", "seed": 1}, {}, extra)
    assert nested(to_backend(parameters, asked)) == {"image_size": "1:1", "input": {"seed": 1, "style": "ink"}}


def test_a_picture_can_be_given_as_its_base64_alone() -> None:
    assert told("image", {"as": "input_image", "form": "base64"}, URI) == {"input_image": "iVBORw0="}
    assert told("image", {"as": "image_url"}, URI) == {"image_url": URI}


def test_a_shape_of_ours_is_a_size_of_theirs() -> None:
    [rule] = [
        route.options["parameters"]["aspect_ratio"]
        for route in ALL.get("flux-schnell").routes
        if route.account.name == "fal"
    ]
    assert told("aspect_ratio", rule, "16:9") == {"image_size": "landscape_16_9"}


def test_a_picture_may_be_required() -> None:
    schema = schema_of([parameter("image", {"as": "image_url", "required": True}), parameter("seed", {})])
    assert schema["required"] == ["image"]
    assert not validator_of(schema).is_valid({})
    assert validator_of(schema).is_valid({"image": URI})


def test_a_picture_to_start_from_goes_where_one_is_taken() -> None:
    model = ALL.get("flux-kontext-pro")
    with_one = {route.model for route in model.capable({"image": URI})}
    without = {route.model for route in model.capable({})}
    assert "fal-ai/flux-pro/kontext" in with_one - without
    assert "fal-ai/flux-pro/kontext/text-to-image" in without - with_one


# What the guide says


def test_the_guides_models_and_accounts_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guide.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", guide.partition("## Models and backends")[2], re.DOTALL)
    nodes = {"3": {"inputs": {"seed": 1, "steps": 20}}, "6": {"inputs": {"text": "a fox"}}, "9": {"inputs": {}}}
    kinds = {"3": "KSampler", "6": "CLIPTextEncode", "9": "SaveImage"}
    (tmp_path / "workflows").mkdir()
    workflow = {name: {**node, "class_type": kinds[name]} for name, node in nodes.items()}
    (tmp_path / "workflows" / "lighthouses.json").write_text(json.dumps(workflow))
    (tmp_path / "darkroom.toml").write_text("\n".join(blocks))
    monkeypatch.chdir(tmp_path)
    settings = settings_module.load({}, tmp_path)
    models = catalogue(settings)
    assert models.get("poster-pro").problem == "REPLICATE_API_TOKEN is not set; FAL_EU_KEY is not set"
    assert models.get("dreamshaper").problem is None
    assert {"seed", "steps", "n"} <= models.get("lighthouses").schema["properties"].keys()


# What a size costs


@pytest.mark.parametrize(
    ("name", "account", "width", "height", "cost"),
    [
        ("flux-schnell", "fal", 512, 512, "0.003"),
        ("flux-schnell", "fal", 1024, 1024, "0.003"),
        ("flux-schnell", "fal", 1040, 1024, "0.006"),
        ("flux-2-pro", "bfl", 1024, 1024, "0.03"),
        ("flux-2-pro", "bfl", 1920, 1088, "0.045"),
        ("flux-1.1-pro", "replicate", 1440, 1440, "0.04"),
    ],
)
def test_begun_megapixels_are_charged_whole(name: str, account: str, width: int, height: int, cost: str) -> None:
    [price] = [route.price for route in ALL.get(name).routes if route.account.name == account]
    assert price is not None
    assert price.estimate({"width": width, "height": height}) == Decimal(cost)


@pytest.mark.parametrize(("quality", "cost"), [("turbo", "0.03"), ("balanced", "0.06"), ("quality", "0.09")])
def test_a_quality_has_its_price(quality: str, cost: str) -> None:
    [price] = [route.price for route in ALL.get("ideogram-v3").routes]
    assert price is not None
    assert price.estimate({"quality": quality}) == Decimal(cost)


def test_paid_models_without_a_price_are_named_that_a_budget_is_for(tmp_path: Path) -> None:
    priced = Declared(provider="openai", model="gpt-image-1", price=Price(per_picture=Decimal("0.04")))
    unpriced = Declared(provider="openai", model="gpt-image-1-mini")
    models = {
        "mine": Model(routes=[priced]),
        "unsure": Model(routes=[unpriced]),
        "own": Model(routes=[Declared(provider="sketch")]),
    }

    def lacking(*budgets: Budget) -> dict[str, list[str]]:
        settings = Settings(data_dir=tmp_path, models=models, budgets=list(budgets))
        return lacking_prices(settings, catalogue_of(settings, providers_of(settings)))

    assert lacking() == {}
    assert lacking(Budget(per_day=Decimal(5))) == {"unsure": ["openai:gpt-image-1-mini"]}
    assert lacking(Budget(per_day=Decimal(5), model="mine")) == {}
    assert lacking(Budget(per_day=Decimal(5), model="unsure")) == {"unsure": ["openai:gpt-image-1-mini"]}
