"""The composition root: the only place that names adapters, and the one that owns lifetimes.

engine.py   every part of the service, connected
models.py   the catalogue, and the adapters that serve it
"""

from darkroom.wiring.engine import (
    database_of,
    dispatcher_of,
    links_of,
    open_engine,
    queues_of,
    storage_of,
)
from darkroom.wiring.models import catalogue_of, lacking_keys, providers_of, warn_of_what_is_missing

__all__ = [
    "catalogue_of",
    "database_of",
    "dispatcher_of",
    "lacking_keys",
    "links_of",
    "open_engine",
    "providers_of",
    "queues_of",
    "storage_of",
    "warn_of_what_is_missing",
]
