"""What a provider is, and the closed vocabulary in which it speaks to the service."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Final

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
    """Nothing more will come. `cost` is in US dollars, where the backend says it; `seconds`: what it bills by time."""

    cost: Decimal | None = None
    seconds: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


Event = Accepted | Progress | Preview | Produced | Finished


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can do.

    `resumes`: `generate` goes on with what was accepted under a reference, in any process.
    `finds`: `find` sees all that the backend was asked for lately.
    `remote`: it is reached over a network, so it may be down, full or slow.
    `paid`: what it makes costs money, so nothing is asked for twice.
    """

    resumes: bool = False
    cancels: bool = False
    reports_progress: bool = False
    max_n: int = 1
    finds: bool = False
    remote: bool = False
    paid: bool = False


Options = Mapping[str, Any]
"""What the settings say of one route beyond the model's name; each provider says what it understands."""

NO_OPTIONS: Final[Options] = {}


class Provider(ABC):
    """An adapter to a backend that makes pictures.

    It is made with keyword arguments: those of `key`, `url`, `timeout` (seconds a call) and `headers` (a callable
    that gives the headers of the current trace) that its signature has and the settings give, and the options of
    its account. It raises `ValueError` where they are wrong. It connects to nothing until it is used.

    Errors leave `generate` as `darkroom.errors.ProviderError`; any other exception counts as
    transient and is saved with its traceback. Cancelling the task that iterates must be
    answered promptly: nothing of the call may run on afterwards.
    """

    capabilities: Capabilities
    dialect: ClassVar[str | None] = None
    """The drop-in surface whose callers speak as its backend does; what they say beyond ours is passed through."""

    def problem(self) -> str | None:
        """Why it cannot be used as it is set up (a key is missing, say), and what to do; None: it can."""
        return None

    @abstractmethod
    def describe(self, model: str) -> str:
        """One line for a person: what `model` is here."""

    @abstractmethod
    def schema(self, model: str, options: Options = NO_OPTIONS) -> dict[str, Any] | None:
        """The JSON Schema (2020-12, an object) of the parameters that `model` takes, with defaults.

        None: the backend must be asked first, by `learn`. Raises `InvalidRequest` for options that are wrong.
        """

    async def learn(self, model: str, options: Options = NO_OPTIONS) -> None:  # noqa: B027 - most have nothing to ask
        """Ask the backend what `model` takes; from then on `schema` says it. Raises `ProviderError`."""

    def passed(self, extra: Mapping[str, Any], model: str, options: Options = NO_OPTIONS) -> Mapping[str, Any]:
        """What of `extra`, which is in the backend's own words, reaches `model` beside our parameters."""
        return {}

    @abstractmethod
    def generate(self, request: Request, *, resume: str | None) -> AsyncIterator[Event]:
        """Make `request.n` pictures. `resume`: the `ref` that an earlier try was accepted under.

        What is raised says what is known. `Transient`, `Throttled`, `Permanent`: nothing runs on at the backend,
        and nothing will be paid. `Interrupted`: what was accepted goes on and can be resumed. `SubmissionUncertain`:
        the request was sent, and what became of it is not known.
        """

    async def find(self, request: Request, *, since: datetime) -> Sequence[str]:
        """The refs under which the backend may have accepted `request` after `since`, the likeliest first.

        Asked where a process ended between sending a request and saving its ref. Only called where
        `capabilities.finds`. Raises `Transient` where the backend does not answer.
        """
        return ()

    async def cancel(self, ref: str) -> None:  # noqa: B027 - not every backend can
        """Stop what was accepted under `ref`, and its cost, as far as the backend can. One that has ended is fine.

        Raises `ProviderError` where it may run on.
        """

    async def aclose(self) -> None:  # noqa: B027 - not every provider holds something
        """Give back connections, threads and files."""
