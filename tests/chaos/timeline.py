"""What happened when, in seconds, as it happens."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Timeline:
    """Says lines, each with the seconds since it was made."""

    say: Callable[[str], object] = print
    began: float = field(default_factory=time.monotonic)

    @property
    def now(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self.began

    def tell(self, what: str) -> None:
        """Something happened just now."""
        self.say(f"{self.now:7.1f} s  {what}")

    @contextmanager
    def telling(self, what: str) -> Iterator[list[str]]:
        """Something happens while the context is open; what is put into the list is said of it."""
        began, details = self.now, list[str]()
        yield details
        self.say(f"{began:7.1f} s  {what}, for {self.now - began:.1f} s: {', '.join(details)}")

    def rest(self, seconds: float) -> None:
        """Let nothing happen for a while."""
        time.sleep(seconds)
