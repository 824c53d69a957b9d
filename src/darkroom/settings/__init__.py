"""The settings: one frozen, typed tree, and the only reader of the environment and of `darkroom.toml`.

tree.py      every setting, with its default, its limits and its description
checks.py    what the types of `tree` cannot say by themselves
schema.py    the tree as data: names, types in words, defaults
sources.py   the environment, `.env` and `darkroom.toml`, read but not yet believed
loading.py   `load()`: sources → tree, or one line that says what is wrong
"""

from darkroom.settings.loading import load
from darkroom.settings.sources import SettingsError
from darkroom.settings.tree import (
    Dummy,
    Lane,
    Model,
    Output,
    Providers,
    Retry,
    Route,
    Settings,
    StorageOptions,
)

__all__ = [
    "Dummy",
    "Lane",
    "Model",
    "Output",
    "Providers",
    "Retry",
    "Route",
    "Settings",
    "SettingsError",
    "StorageOptions",
    "load",
]
