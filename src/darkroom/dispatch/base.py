"""What a dispatcher is."""

from typing import Protocol


class Dispatcher(Protocol):
    """Wakes workers. A wake-up that is lost, late or doubled changes nothing but latency."""

    def wake(self, lane: str, n: int = 1) -> None:
        """Tell the workers of `lane` that `n` jobs are due. Never raises, never waits."""
        ...
