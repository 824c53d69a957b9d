"""The models, the routes that serve them, the accounts at backends, and what it all may cost."""

import tomllib
from copy import deepcopy
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator

from darkroom.settings import checks
from darkroom.settings.section import Dollars, FilePath, Name, Seconds, Section

KEYS: Final = {
    "replicate": "REPLICATE_API_TOKEN",
    "openai": "OPENAI_API_KEY",
    "fal": "FAL_KEY",
    "bfl": "BFL_API_KEY",
}
"""The accounts whose keys have a name that their vendors gave them."""


class Tier(Section):
    """A price for some pictures. What is left unset fits all."""

    per_picture: Dollars = Field(description="US dollars a picture.", examples=["0.042"])
    quality: Name | None = Field(default=None, description="For this quality alone.", examples=["high"])
    width: int | None = Field(default=None, ge=1, description="For this width alone, in pixels.", examples=[1024])
    height: int | None = Field(default=None, ge=1, description="For this height alone, in pixels.", examples=[1024])


class Price(Section):
    """What a backend charges; where it says itself what a job cost, that counts. Several add up."""

    per_picture: Dollars | None = Field(default=None, description="US dollars a picture.", examples=["0.003"])
    per_megapixel: Dollars | None = Field(
        default=None, description="US dollars for each million pixels of a picture.", examples=["0.025"]
    )
    whole_megapixels: bool = Field(
        default=False, description="Whether every begun 1024 x 1024 pixels are charged as a million."
    )
    per_second: Dollars | None = Field(
        default=None, description="US dollars a second of the backend's work.", examples=["0.000725"]
    )
    seconds: float = Field(
        default=10.0, ge=0, le=86_400, description="Seconds that a job is expected to take, for what is reserved."
    )
    tiers: list[Tier] = Field(
        default=[],
        description="Prices by quality and size, instead of per_picture where one fits; the first that fits counts.",
        examples=[[{"quality": "high", "per_picture": "0.167"}]],
    )


class Account(Section):
    """Access to a backend: `replicate`, `openai`, `fal`, `bfl` and `comfyui` are there; others may be added."""

    provider: Name | None = Field(
        default=None,
        description="The adapter that speaks to the backend; unset: the one that is called as the account.",
        examples=["openai"],
    )
    url: Annotated[str, AfterValidator(checks.public_url)] | None = Field(
        default=None,
        description="Address of the backend's API; unset: the vendor's.",
        examples=["http://localai:8080/v1"],
    )
    key: Annotated[SecretStr, AfterValidator(checks.header_value)] | None = Field(
        default=None,
        description="The secret that the backend knows us by; unset: the variable that key_from names.",
        examples=["replace-with-the-key-of-the-account"],
        repr=False,
    )
    key_from: Name | None = Field(
        default=None,
        description="Variable that holds the key; unset: the vendor's own, such as REPLICATE_API_TOKEN.",
        examples=["OPENAI_EU_KEY"],
    )
    timeout: Annotated[Seconds, Field(ge=0.1)] | None = Field(
        default=None,
        description="Seconds that the backend may be silent for in one call; unset: what suits it.",
        examples=[60],
    )
    concurrency: int | None = Field(
        default=None, ge=1, le=100_000, description="Jobs at once, over all workers; unset: any number.", examples=[8]
    )
    requests_per_minute: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Jobs begun a minute, over all workers; unset: any.",
        examples=[60],
    )
    paid: bool | None = Field(
        default=None,
        description="Whether what it makes costs money, so that nothing is asked for twice; unset: the adapter knows.",
        examples=[False],
    )
    failures: int = Field(
        default=5, ge=1, le=1000, description="Failures in a row after which the account is left alone for a while."
    )
    cool_down: Seconds = Field(
        default=30.0, description="Seconds for which it is left alone; then one job tries whether it is back."
    )
    settle: Seconds = Field(
        default=30.0,
        description="Seconds after a request got lost before the backend's own list is believed not to have it.",
    )
    options: dict[str, Any] = Field(
        default={}, description="What the adapter itself understands.", examples=[{"organization": "org-1"}]
    )


class Route(Section):
    """One way to serve a model."""

    provider: Name = Field(description="The provider, or an account of it.", examples=["sketch"])
    model: Name | None = Field(
        default=None,
        description="The provider's own name for the model; unset: the provider's default.",
        examples=["sketch"],
    )
    weight: float | None = Field(
        default=None,
        gt=0,
        le=1_000_000,
        description="Share of the media that try this route first; unset for all: in the order given.",
        examples=[1],
    )
    price: Price | None = Field(
        default=None, description="What it costs; unset: not known.", examples=[{"per_picture": "0.003"}]
    )
    options: dict[str, Any] = Field(
        default={},
        description="What the provider must know of the model, such as its parameters.",
        examples=[{"parameters": {"n": {"as": "num_outputs", "maximum": 4}}}],
    )


class Model(Section):
    """What callers may ask for, besides the built-in `sketch` and `dummy` or in the place of one."""

    description: Name | None = Field(
        default=None,
        description="What callers are told about the model.",
        examples=["Abstract pictures, made at once"],
    )
    lane: str = Field(default="default", description="Lane that the model's jobs wait in.")
    routes: list[Route] = Field(
        min_length=1,
        description="Ways to serve the model, in the order they are tried.",
        examples=[[{"provider": "sketch"}]],
    )
    defaults: dict[str, Any] = Field(
        default={},
        description="Parameters' values for requests that do not give them.",
        examples=[{"width": 768}],
    )
    resubmit: bool = Field(
        default=False,
        description="Whether to ask a paid backend again where nobody knows whether it took the first request.",
    )
    job_timeout: Annotated[Seconds, Field(ge=1)] | None = Field(
        default=None, description="Hard limit for a job of this model, in seconds; unset: job_timeout.", examples=[300]
    )

    @field_validator("routes")
    @classmethod
    def _weighed(cls, routes: list[Route]) -> list[Route]:
        if len({route.weight is None for route in routes}) > 1:
            raise ValueError("must all have a weight, or none")
        return routes


class Dummy(Section):
    """The provider `dummy`, which makes no pictures and fails on request."""

    picture: FilePath | None = Field(
        default=None,
        description="A picture file that dummy returns; unset: a tiny PNG.",
        examples=["pictures/lighthouse.png"],
    )
    seed: int | None = Field(
        default=None, description="Seeds its random errors; unset: they differ each time.", examples=[7]
    )
    journal: FilePath | None = Field(
        default=None,
        description="A file that gets a JSON line for each thing that dummy does; unset: none.",
        examples=["dummy.jsonl"],
    )


class Providers(Section):
    """Options of the providers."""

    dummy: Dummy = Field(default=Dummy(), description="The provider `dummy`.")


class Models(Section):
    """Which models callers may ask for."""

    builtin_models: bool = Field(
        default=True, description="Whether the models `sketch` and `dummy` are there undeclared."
    )
    starter_models: bool = Field(
        default=True, description="Whether well-known models of hosted backends are there undeclared."
    )
    accounts: dict[Annotated[str, AfterValidator(checks.account_name)], Account] = Field(
        default={}, description="The accounts at backends, by name.", examples=[{"replicate": {}}]
    )
    models: dict[Annotated[str, AfterValidator(checks.model_name)], Model] = Field(
        default={}, description="The models, by name, besides the built-in ones.", examples=[{"sketch": {}}]
    )
    default_model: str = Field(default="sketch", description="Model of requests that name none.")

    def declares(self, model: str) -> bool:
        """Whether the settings themselves declare a model: it is neither built in nor of the starter catalogue."""
        return self.models[model] not in (_built_in().get(model), starter().models.get(model))

    @field_validator("accounts")
    @classmethod
    def _with_known(cls, accounts: dict[str, Account]) -> dict[str, Account]:
        return {**starter().accounts, **accounts}

    @field_validator("models")
    @classmethod
    def _complete(cls, models: dict[str, Model], info: ValidationInfo) -> dict[str, Model]:
        lanes = info.data.get("lanes")
        for name, model in models.items():
            if lanes is not None and model.lane not in lanes:
                raise checks.Misplaced(f"must be one of the lanes ({', '.join(sorted(lanes))})", name, "lane")
        built_in = _built_in() if info.data.get("builtin_models") else {}
        return {**built_in, **(starter().models if info.data.get("starter_models") else {}), **models}

    @field_validator("default_model")
    @classmethod
    def _declared(cls, default_model: str, info: ValidationInfo) -> str:
        models = info.data.get("models")
        if models is not None and default_model not in models:
            raise ValueError(f"must be one of the models ({', '.join(sorted(models)) or 'none is declared'})")
        return default_model


def _built_in() -> dict[str, Model]:
    return {name: Model(routes=[Route(provider=name)]) for name in ("sketch", "dummy")}


class Starter(Section):
    """The starter catalogue: accounts and models in the shape of `darkroom.toml`."""

    accounts: dict[str, Account]
    models: dict[str, Model]


@cache
def starter() -> Starter:
    """The accounts and the well-known models that are there undeclared."""
    return Starter.model_validate(_starter_file())


def starter_accounts() -> dict[str, Any]:
    """The accounts that are there undeclared, to lay others over."""
    accounts: dict[str, Any] = deepcopy(_starter_file()["accounts"])
    return accounts


@cache
def _starter_file() -> dict[str, Any]:
    return tomllib.loads(files("darkroom.settings").joinpath("starter.toml").read_text(encoding="utf-8"))


class Budget(Section):
    """Most that may be spent in a day (UTC). A job is begun only if all budgets that it falls under have room."""

    per_day: Dollars = Field(description="US dollars a day.", examples=["25"])
    model: Name | None = Field(default=None, description="For this model alone.", examples=["flux-schnell"])
    owner: Name | None = Field(
        default=None,
        description='For this owner alone; "*": for each owner on its own; unset: for all together.',
        examples=["*"],
    )


class Money(Section):
    """What may be spent."""

    budgets: list[Budget] = Field(default=[], description="The budgets.", examples=[[{"owner": "*", "per_day": "25"}]])
