"""Where credentials may go: one origin, or all hosts below a domain (`https://*.example.com`)."""

from dataclasses import dataclass
from typing import Final

import httpx2

WILD: Final = "://*."


@dataclass(frozen=True, slots=True)
class Origin:
    """`host` with a leading dot: every host below it. `port`: None is the scheme's own."""

    scheme: str
    host: str
    port: int | None

    @classmethod
    def of(cls, url: str) -> "Origin":
        """The origin of a URL. Raises `ValueError` if it has none."""
        parsed = _parsed(url)
        return cls(parsed.scheme, parsed.host, parsed.port)

    @classmethod
    def read(cls, text: str) -> "Origin":
        """An origin as settings say it. Raises `ValueError`."""
        wild = WILD in text
        url = _parsed(text.replace(WILD, "://", 1) if wild else text)
        if url.raw_path not in (b"", b"/") or url.userinfo or url.fragment or "*" in url.host:
            raise ValueError(f"{text!r} is no origin, such as https://api.example.com or https://*.example.com")
        if wild and (url.scheme != "https" or "." not in url.host):
            raise ValueError(f"{text!r} is too wide: it must be https and below a domain, as https://*.example.com is")
        return cls(url.scheme, f".{url.host}" if wild else url.host, url.port)

    def covers(self, url: str) -> bool:
        """Whether `url` is there."""
        given = httpx2.URL(url)
        fits = given.host.endswith(self.host) if self.host.startswith(".") else given.host == self.host
        return fits and (given.scheme, given.port) == (self.scheme, self.port)


def _parsed(text: str) -> httpx2.URL:
    try:
        url = httpx2.URL(text)
    except httpx2.InvalidURL as error:
        raise ValueError(f"{text!r} is no URL") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"{text!r} must begin with https:// (or http://) and name a host")
    return url
