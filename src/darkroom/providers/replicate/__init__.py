"""Replicate: official models, versions of any model, and deployments, by predictions that are polled."""

from darkroom.providers.replicate.provider import Replicate

__all__ = ["Replicate"]
