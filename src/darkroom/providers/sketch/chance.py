"""Random draws that are the same on every machine and with every NumPy: raw PCG64 words, keyed by SHA-256."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


class Chance:
    """A named stream of draws. `chance.of("sky")` is a stream of its own, whatever was drawn before."""

    def __init__(self, *parts: str) -> None:
        self._name = "\0".join(parts)
        digest = hashlib.sha256(self._name.encode("utf-8", "surrogatepass")).digest()
        self._bits = np.random.PCG64(int.from_bytes(digest, "big"))

    def of(self, name: str) -> "Chance":
        """The stream called `name` under this one."""
        return Chance(self._name, name)

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * ((int(self._bits.random_raw()) >> 11) / (1 << 53))

    def integer(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + (int(self._bits.random_raw()) >> 16) % (high - low + 1)

    def pick(self, choices: Sequence[T]) -> T:
        """One of `choices`."""
        return choices[self.integer(0, len(choices) - 1)]

    def array(self, *shape: int) -> NDArray[np.float32]:
        """Numbers in [-1, 1), as float32 of `shape`."""
        count = int(np.prod(shape))
        words = self._bits.random_raw((count + 1) // 2).astype("<u8").view("<u4")[:count]
        units = (words >> np.uint32(8)).astype(np.float32) * np.float32(1 / (1 << 23))
        return (units - np.float32(1)).reshape(shape)
