"""The table of providers: a name, and where to import it from.

A package of someone else adds a provider through the entry-point group `darkroom.providers`:

    [project.entry-points."darkroom.providers"]
    mine = "my_package.provider:Mine"
"""

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from darkroom.errors import InvalidRequest
from darkroom.providers.base import Provider

GROUP = "darkroom.providers"

BUILT_IN = {
    "comfyui": "darkroom.providers.comfyui:ComfyUI",
    "dummy": "darkroom.providers.dummy:Dummy",
    "fal": "darkroom.providers.fal:Fal",
    "openai": "darkroom.providers.openai:OpenAI",
    "recipe": "darkroom.providers.recipe:Recipe",
    "replicate": "darkroom.providers.replicate:Replicate",
    "sketch": "darkroom.providers.sketch:Sketch",
}

Factory = Callable[..., Provider]
"""What makes a provider from its options, given by name: the provider's own class, most often."""


def names() -> list[str]:
    """List the providers that can be asked for, sorted. None of them is imported."""
    return sorted(_table())


def load(name: str) -> Factory:
    """Find what makes the provider called `name`; only that one is imported.

    Raises `InvalidRequest` when there is no such provider (the known ones are listed) and when
    it cannot be imported, for want of a package say.
    """
    known = _ours() if name in BUILT_IN else _table()  # looking for others takes milliseconds
    if name not in known:
        raise InvalidRequest(f"unknown provider {name!r}; known: {', '.join(sorted(known))}", field="provider")
    try:
        return cast(Factory, known[name].load())
    except (ImportError, AttributeError) as error:
        raise InvalidRequest(
            f"the provider {name!r} cannot be imported from {known[name].value}: {error}", field="provider"
        ) from error


def _table() -> dict[str, EntryPoint]:
    """Ours are put last: an installed package cannot take the name of a built-in one."""
    return {point.name: point for point in entry_points(group=GROUP)} | _ours()


def _ours() -> dict[str, EntryPoint]:
    return {name: EntryPoint(name, path, GROUP) for name, path in BUILT_IN.items()}
