"""A provider together with the options of one route, as the engine uses it."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

from darkroom.media.model import Request
from darkroom.providers.base import NO_OPTIONS, Event, Options, Provider


class Routed(Provider):
    """`provider`, asked with `options` whatever else is given."""

    def __init__(self, provider: Provider, options: Mapping[str, Any]) -> None:
        self._provider = provider
        self._options = options
        self.capabilities = provider.capabilities

    def describe(self, model: str) -> str:
        return self._provider.describe(model)

    def schema(self, model: str, options: Options = NO_OPTIONS) -> dict[str, Any] | None:
        return self._provider.schema(model, self._options)

    async def learn(self, model: str, options: Options = NO_OPTIONS) -> None:
        await self._provider.learn(model, self._options)

    def generate(self, request: Request, *, resume: str | None) -> AsyncIterator[Event]:
        return self._provider.generate(replace(request, options=self._options), resume=resume)

    async def cancel(self, ref: str) -> None:
        await self._provider.cancel(ref)

    async def aclose(self) -> None:
        await self._provider.aclose()
