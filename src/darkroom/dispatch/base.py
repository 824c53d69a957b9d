"""What a dispatcher is."""

from typing import Protocol


class Dispatcher(Protocol):
    """Wakes workers. A wake-up that is lost, late or doubled changes nothing but latency."""

    @property
    def location(self) -> str | None:
        """Where its broker is, without a password; None: it needs none."""
        ...

    def wake(self, lane: str, n: int = 1) -> None:
        """Tell the workers of `lane` that `n` more jobs are due. Never raises, never waits."""
        ...

    def remind(self, lane: str, due: int) -> None:
        """See that `due` wake-ups are under way in `lane`: some may have been lost. Never raises, never waits."""
        ...

    async def check(self) -> None:
        """Raise `BrokerUnavailable` unless wake-ups can be sent."""
        ...

    async def aclose(self) -> None:
        """Send what is waiting, for a moment, and disconnect."""
        ...
