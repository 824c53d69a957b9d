"""The provider `fal`: apps of fal.ai through its queue."""

from darkroom.providers.fal.provider import Fal

__all__ = ["Fal"]
