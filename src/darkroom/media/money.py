"""What pictures cost, and how much may be spent. All amounts are US dollars."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

MEGAPIXEL = 1_000_000
WHOLE_MEGAPIXEL = 1024 * 1024
USUAL = (1024, 1024)
"""The size that is assumed of a picture when a request names none."""
MILLIONTH = Decimal("0.000001")

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Tier:
    """A price a picture, for some qualities and sizes. What is None fits all."""

    per_picture: Decimal
    quality: str | None = None
    width: int | None = None
    height: int | None = None

    def fits(self, quality: object, size: Size) -> bool:
        """Whether it is the price of such a picture."""
        wanted = (self.quality, self.width, self.height)
        return all(want in (None, is_) for want, is_ in zip(wanted, (quality, *size), strict=True))


@dataclass(frozen=True, slots=True)
class Price:
    """What a route charges: a picture, a million pixels and a second, added up. `seconds`: what a job takes mostly.

    `whole_megapixels`: whether every begun 2^20 pixels count as a million.
    """

    per_picture: Decimal | None = None
    per_megapixel: Decimal | None = None
    whole_megapixels: bool = False
    per_second: Decimal | None = None
    seconds: float = 10.0
    tiers: tuple[Tier, ...] = ()

    def estimate(self, parameters: Mapping[str, Any]) -> Decimal:
        """What a request will cost, as far as it can be told beforehand."""
        size = (parameters.get("width") or USUAL[0], parameters.get("height") or USUAL[1])
        return self.cost(parameters, [size] * int(parameters.get("n", 1)), self.seconds)

    def cost(self, parameters: Mapping[str, Any], pictures: Sequence[Size], seconds: float) -> Decimal:
        """What pictures of these sizes, made in `seconds`, cost."""
        total = sum((self._picture(parameters.get("quality"), size) for size in pictures), Decimal(0))
        total += (self.per_second or 0) * Decimal(str(seconds))
        return total.quantize(MILLIONTH)

    def _picture(self, quality: object, size: Size) -> Decimal:
        flat = next((tier.per_picture for tier in self.tiers if tier.fits(quality, size)), self.per_picture)
        return (flat or Decimal(0)) + (self.per_megapixel or 0) * self._megapixels(size[0] * size[1])

    def _megapixels(self, pixels: int) -> Decimal:
        return Decimal(-(-pixels // WHOLE_MEGAPIXEL)) if self.whole_megapixels else Decimal(pixels) / MEGAPIXEL


EACH_OWNER = "*"


@dataclass(frozen=True, slots=True)
class Budget:
    """Most that may be spent in a day (UTC) on a model (None: on all) by an owner (None: by all, `*`: by each)."""

    per_day: Decimal
    model: str | None = None
    owner: str | None = None

    def covers(self, model: str, owner: str) -> bool:
        """Whether what `owner` spends on `model` falls under it."""
        return self.model in (None, model) and self.owner in (None, EACH_OWNER, owner)

    def has_room(self, used: Decimal, estimate: Decimal | None) -> bool:
        """Whether a job that will cost `estimate` (None: any room will do) fits beside what is `used`."""
        return used < self.per_day and used + (estimate or 0) <= self.per_day

    def refusal(self, used: Decimal, estimate: Decimal | None, at: datetime) -> str:
        """Why such a job is refused, and when that is over."""
        costs = f", and this costs about {dollars(estimate)}" if estimate else ""
        return (
            f"the budget of {dollars(self.per_day)} a day for {self.what} has no room for this: {dollars(used)} is "
            f"spent or set aside{costs}; the next day begins at {at.date() + timedelta(days=1)}T00:00Z"
        )

    @property
    def what(self) -> str:
        """What it is for, in words."""
        whose = {None: "all", EACH_OWNER: "each owner", "": "nobody"}.get(self.owner, f"owner {self.owner!r}")
        return f"{whose}{f' on {self.model}' if self.model else ''}"


def dollars(amount: Decimal) -> str:
    """An amount for people: to the cent, or as finely as it is known."""
    whole, _, fraction = f"{amount:,.6f}".partition(".")
    return f"${whole}.{fraction[:2]}{fraction[2:].rstrip('0')}"
