"""Models as callers see them: routes, prices, parameters."""

from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, Field

from darkroom.media import money


class PriceTier(BaseModel):
    """A price for some pictures. What is null fits all."""

    per_picture: str
    quality: str | None
    width: int | None
    height: int | None


class Price(BaseModel):
    """What a backend charges, as decimal numbers; several add up."""

    currency: Literal["USD"] = "USD"
    per_picture: str | None
    per_megapixel: str | None
    whole_megapixels: bool = Field(description="Whether every begun 1024 x 1024 pixels count as a megapixel.")
    per_second: str | None = Field(description="Of the backend's work.")
    tiers: list[PriceTier] = Field(description="Instead of per_picture where one fits; the first that fits counts.")


class Route(BaseModel):
    """One way to serve a model."""

    provider: str = Field(description="The account at a backend, or the provider.")
    model: str = Field(description="The provider's own name for it.")
    weight: float | None = Field(description="Share of the media that try it first; null: in the order given.")
    price: Price | None = Field(description="Null: not known.")
    problem: str | None = Field(description="Why it cannot be used now; null: it can.")


class Model(BaseModel):
    """What can be asked for."""

    name: str
    description: str
    default: bool = Field(description="Whether it serves requests that name none.")
    lane: str
    usable: bool = Field(description="Whether a route of it can be used now.")
    problem: str | None = Field(description="Why not: a key is missing, say.")
    routes: list[Route] = Field(description="In the order in which they are tried, unless they have weights.")
    parameters: dict[str, Any] = Field(description="A JSON Schema (2020-12) of the parameters, with defaults.")


class ModelList(BaseModel):
    """The models."""

    items: list[Model]


def price_out(price: money.Price | None) -> Price | None:
    """A price as it is shown."""
    if price is None:
        return None
    return Price(
        per_picture=_amount(price.per_picture),
        per_megapixel=_amount(price.per_megapixel),
        whole_megapixels=price.whole_megapixels,
        per_second=_amount(price.per_second),
        tiers=[
            PriceTier(per_picture=f"{tier.per_picture:f}", quality=tier.quality, width=tier.width, height=tier.height)
            for tier in price.tiers
        ],
    )


def _amount(dollars: Decimal | None) -> str | None:
    return None if dollars is None else f"{dollars:f}"
