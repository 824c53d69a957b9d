"""Models whose providers take what a test says."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from darkroom.engine.catalogue import Catalogue, Model, Route
from darkroom.errors import InvalidRequest, Transient
from darkroom.media.model import Request
from darkroom.media.routing import Account
from darkroom.providers.base import NO_OPTIONS, Capabilities, Event, Options, Provider

Rules = Mapping[str, Mapping[str, Any]]


class Told(Provider):
    """A provider that takes what the test says: at once, or (`secret`) once it is asked."""

    capabilities = Capabilities(remote=True)

    def __init__(self, rules: Rules, *, wrong: str | None = None, secret: bool = False) -> None:
        self.rules: Rules | None = None if secret else rules
        self._rules = rules
        self._wrong = wrong
        self.asked = 0
        self.refuses = False
        self.hangs = False

    def problem(self) -> str | None:
        return self._wrong

    def describe(self, model: str) -> str:
        return model

    def schema(self, model: str, options: Options = NO_OPTIONS) -> dict[str, Any] | None:
        if self.rules is None:
            return None
        return {"type": "object", "properties": dict(self.rules), "additionalProperties": False}

    async def learn(self, model: str, options: Options = NO_OPTIONS) -> None:
        self.asked += 1
        await asyncio.sleep(0)
        if self.hangs:
            await asyncio.Event().wait()
        if self.refuses:
            raise Transient("not now")
        self.rules = self._rules

    async def generate(self, request: Request, *, resume: str | None) -> AsyncIterator[Event]:
        raise NotImplementedError
        yield


def model(*providers: Provider, declared: Mapping[str, Any] | None = None, guarded: bool = True) -> Model:
    """A model with a route for each of `providers`, whose accounts are called `a`, `b` and so on."""
    routes = tuple(
        Route(provider, "x", Account(name, guarded=guarded)) for name, provider in zip("abcd", providers, strict=False)
    )
    return Model("m", "a model", "default", routes, declared or {})


def complete(of: Model, **parameters: Any) -> dict[str, Any]:
    return Catalogue([of], default="m").complete(of, parameters)


def refusal(of: Model, **parameters: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        complete(of, **parameters)
    return caught.value
