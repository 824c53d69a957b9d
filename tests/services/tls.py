"""The certificates of the authorities that everybody trusts, loaded once: that takes longer than most tests."""

import os
import ssl
from collections.abc import Callable
from functools import cache
from typing import Any

import httpcore2
import httpx._transports.default as httpx_transports

VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def share() -> None:
    """Have all clients in this process that name no certificates of their own be checked by the same loaded ones."""
    ours: Any = _shared(httpcore2.default_ssl_context)
    httpcore2.default_ssl_context = ours
    theirs: Any = _shared(httpx_transports.create_ssl_context)  # type: ignore[attr-defined]
    httpx_transports.create_ssl_context = theirs  # type: ignore[attr-defined]


def _shared(load: Callable[..., ssl.SSLContext]) -> Callable[..., ssl.SSLContext]:
    """`load`, but what needs the same as before gets the same again; contexts that are handed to it are only passed."""

    @cache
    def loaded(_: tuple[str | None, ...], options: tuple[tuple[str, Any], ...]) -> ssl.SSLContext:
        return load(**dict(options))

    def get(**options: Any) -> ssl.SSLContext:
        if options.get("verify", True) is not True or options.get("cert"):
            return load(**options)
        return loaded(tuple(map(os.environ.get, VARIABLES)), tuple(sorted(options.items())))

    return get
