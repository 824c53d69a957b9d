"""What a provider is, and the closed vocabulary in which it speaks to the service."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from darkroom.media.model import Request


@dataclass(frozen=True, slots=True)
class Accepted:
    """The backend took the request under its own id. It is saved before anything else happens."""

    ref: str


@dataclass(frozen=True, slots=True)
class Progress:
    """`step` of `total` is done; `total` may be refined on the way."""

    step: int
    total: int


@dataclass(frozen=True, slots=True)
class Preview:
    """A picture on its way, as encoded bytes (PNG, JPEG or WebP)."""

    image: bytes


@dataclass(frozen=True, slots=True)
class Produced:
    """Picture number `index` (from 0), as the encoded bytes that the backend made."""

    index: int
    content: bytes
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """Nothing more will come. `cost` is in US dollars, where the backend says it."""

    cost: Decimal | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


Event = Accepted | Progress | Preview | Produced | Finished


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can do."""

    resumes: bool = False
    cancels: bool = False
    reports_progress: bool = False
    max_n: int = 1


class Provider(Protocol):
    """An adapter to a backend that makes pictures.

    Errors leave `generate` as `darkroom.errors.ProviderError`; any other exception counts as
    transient and is saved with its traceback. Cancelling the task that iterates must be
    answered promptly: nothing of the call may run on afterwards.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What this provider can do."""
        ...

    def describe(self, model: str) -> str:
        """One line for a person: what `model` is here."""
        ...

    def schema(self, model: str) -> dict[str, Any]:
        """The JSON Schema (2020-12, an object) of the parameters that `model` takes, with defaults."""
        ...

    def generate(self, request: Request, *, resume: str | None) -> AsyncIterator[Event]:
        """Make `request.n` pictures. `resume`: the `ref` that an earlier try was accepted under."""
        ...

    async def cancel(self, ref: str) -> None:
        """Stop what was accepted under `ref`, and its cost, as far as the backend can."""
        ...

    async def aclose(self) -> None:
        """Give back connections, threads and files."""
        ...
