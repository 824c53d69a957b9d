"""Which adapter serves which kind of storage URL."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import cast
from urllib.parse import SplitResult, urlsplit

from darkroom.storage.base import Storage

_ADAPTERS = {
    "file": "darkroom.storage.folder",
    "s3": "darkroom.storage.objects",
    "gs": "darkroom.storage.objects",
    "az": "darkroom.storage.objects",
}

_FromUrl = Callable[[SplitResult, Mapping[str, str | bool]], Storage]


def open_storage(url: str, *, options: Mapping[str, str | bool] | None = None) -> Storage:
    """Open the store at `url`: `file:///folder`, `s3://bucket/prefix`, `gs://…` or `az://…`.

    Nothing is written or asked for yet: `Storage.check` says if it works. `options` are the object
    store's (`darkroom.storage.objects.from_url` names them). ValueError, in one line that repeats no
    secret, for a URL or an option that cannot be right.
    """
    parts = urlsplit(url)
    if parts.scheme not in _ADAPTERS:
        known = ", ".join(f"{scheme}://" for scheme in _ADAPTERS)
        raise ValueError(f"a storage URL begins with one of {known}")
    from_url = cast(_FromUrl, import_module(_ADAPTERS[parts.scheme]).from_url)
    return from_url(parts, options or {})
