"""The settings: one frozen, typed tree, and the only reader of the environment and of `darkroom.toml`.

tree.py      every setting, with its default, its limits and its description
models.py    those of models, routes, accounts and money; starter.toml: the ones that are there undeclared
section.py   what both are made of
checks.py    what the types of `tree` cannot say by themselves
schema.py    the tree as data: names, types in words, defaults
sources.py   the environment, `.env` and `darkroom.toml`, read but not yet believed
loading.py   `load()`: sources → tree, or one line that says what is wrong
"""

from darkroom.settings.loading import load, metrics_folder
from darkroom.settings.models import KEYS, Account, Budget, Dummy, Model, Price, Providers, Route, Tier
from darkroom.settings.sources import SettingsError
from darkroom.settings.tree import Lane, Output, Retry, Settings, StorageOptions

__all__ = [
    "KEYS",
    "Account",
    "Budget",
    "Dummy",
    "Lane",
    "Model",
    "Output",
    "Price",
    "Providers",
    "Retry",
    "Route",
    "Settings",
    "SettingsError",
    "StorageOptions",
    "Tier",
    "load",
    "metrics_folder",
]
