"""What the models said that they take, kept for a while."""

import time
from collections.abc import Mapping
from typing import Any

from darkroom.errors import Interrupted, Permanent, Throttled, Transient
from darkroom.providers.http import Backend
from darkroom.providers.replicate.learning import Learned, learned_from
from darkroom.providers.replicate.target import Target, target_of


class Models:
    """Asks through `backend`; believes an answer for `remember` seconds."""

    def __init__(self, backend: Backend, *, remember: float) -> None:
        self._backend = backend
        self._remember = remember
        self._known: dict[str, tuple[float, Learned]] = {}

    def known(self, model: str) -> Learned | None:
        """What it said, if that is still to be believed."""
        until, learned = self._known.get(model, (0.0, None))
        return learned if time.monotonic() < until else None

    async def learn(self, model: str) -> Learned:
        """Ask what it takes; where nobody answers, what it said before goes on to count. Raises `ProviderError`."""
        try:
            learned = learned_from(await self._document(target_of(model)))
        except (Transient, Throttled):
            if model not in self._known:
                raise
            learned = self._known[model][1]
        if learned is None:
            raise Permanent(f"{model} does not say what it takes: declare it in the route's options.parameters")
        self._known[model] = (time.monotonic() + self._remember, learned)
        return learned

    async def _document(self, target: Target) -> Mapping[str, Any]:
        """The OpenAPI document of the version that runs for `target`."""
        if target.deployment:
            release = _table(await self._ask(f"deployments/{target.full}"), "current_release")
            if not release:
                return {}
            target = target_of(f"{release.get('model')}:{release.get('version')}")
        if target.version is not None:
            version = await self._ask(f"models/{target.full}/versions/{target.version}")
        else:
            version = _table(await self._ask(f"models/{target.full}"), "latest_version")
        return _table(version, "openapi_schema")

    async def _ask(self, path: str) -> Any:
        try:
            return await self._backend.ask("GET", path)
        except Interrupted as error:  # nothing was begun that could go on
            raise Transient(error.message, retry_after=error.retry_after) from error


def _table(of: Any, name: str) -> Mapping[str, Any]:
    inner = of.get(name) if isinstance(of, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}
