"""The provider `recipe`: any asynchronous HTTP API, by a declaration of it."""

from darkroom.providers.recipe.provider import Recipe

__all__ = ["Recipe"]
