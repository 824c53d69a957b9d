"""Between what programs say and the HTTP library, for both kinds of client."""

from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

from darkroom_client._effects import Answer, Request, is_visible
from darkroom_client._version import __version__
from darkroom_client.errors import APIConnectionError, APITimeoutError

_IMPOSSIBLE = (httpx2.LocalProtocolError, httpx2.UnsupportedProtocol)
_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_LIMITS: Final = httpx2.Limits(max_connections=None, max_keepalive_connections=20)
"""Everyone who waits has a connection: one may wait for thousands."""


def options(base_url: str, api_key: str | None, timeout: float | None) -> dict[str, Any]:
    """What both kinds of client are made with. Raises `ValueError`."""
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"base_url: {base_url!r} must be an address such as https://darkroom.example.com")
    headers = {"user-agent": f"darkroom-client/{__version__}", "accept": "application/json"}
    if api_key:
        if not is_visible(api_key):
            raise ValueError("api_key: must be visible ASCII characters, without a space")
        headers["authorization"] = f"Bearer {api_key}"
    return {"base_url": base_url, "headers": headers, "timeout": timeout, "limits": _LIMITS}


def arguments(request: Request, timeout: float | None, *, is_open: bool = False) -> dict[str, Any]:
    """What a request of the library is built from. `timeout`: the client's; None: there is none."""
    at_most = min((each for each in (timeout, request.timeout) if each is not None), default=None)
    silence = request.timeout if is_open and request.timeout is not None else at_most
    return {
        "method": request.method,
        "url": request.path,
        "params": dict(request.params) or None,
        "headers": dict(request.headers),
        "json": request.json,
        "files": request.files,
        "timeout": httpx2.Timeout(at_most, read=silence),
    }


def answer_of(response: httpx2.Response, content: bytes = b"") -> Answer:
    """What came, with the content that was read."""
    return Answer(status=response.status_code, headers=dict(response.headers.items()), content=content)


def failure(error: httpx2.RequestError, base_url: object) -> APIConnectionError:
    """No answer, in our words."""
    said = str(error) or type(error).__name__
    if isinstance(error, _IMPOSSIBLE):
        return APIConnectionError(f"this cannot be sent: {said}", sent=False, retryable=False)
    sent = not isinstance(error, _NEVER_SENT)
    if isinstance(error, httpx2.TimeoutException):
        return APITimeoutError(f"{base_url} does not answer in time ({type(error).__name__})", sent)
    return APIConnectionError(f"{base_url} does not answer: {said}", sent)
