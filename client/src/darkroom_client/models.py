"""What can be asked for, and what proves that it was Darkroom."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTier:
    """A price for some pictures. What is None fits all."""

    per_picture: Decimal
    quality: str | None = None
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a backend charges; several add up, and the first of `tiers` that fits stands for `per_picture`."""

    currency: str = "USD"
    per_picture: Decimal | None = None
    per_megapixel: Decimal | None = None
    whole_megapixels: bool = False
    per_second: Decimal | None = None
    tiers: tuple[PriceTier, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One way to serve a model. `problem`: why it cannot be used now."""

    provider: str
    model: str
    weight: float | None = None
    price: Price | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model. `parameters`: a JSON Schema of what it takes, with defaults."""

    name: str
    description: str = ""
    default: bool = False
    lane: str = ""
    usable: bool = True
    problem: str | None = None
    routes: tuple[Route, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """What webhooks are signed with: `whsec_` and the secret in base64."""

    key: str
