"""The service as clients of OpenAI know it."""

from starlette.routing import BaseRoute

from darkroom.api.openai import errors, images, models

PREFIX = "/openai/"

shape = errors.shape


def routes() -> list[BaseRoute]:
    """Every route, in the order in which they are tried."""
    return [*images.router.routes, *models.router.routes]
