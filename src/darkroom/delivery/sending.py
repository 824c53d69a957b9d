"""One message to one target: what it answered, and what that means."""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Final

import httpx2

from darkroom.errors import InvalidRequest
from darkroom.security.egress import Egress

TIMEOUT: Final = 15.0
"""Seconds for a target to take a message and answer."""
READING: Final = 1.0
MOST_READ: Final = 64 * 1024
"""Seconds and bytes of an answer's body that are read; nobody looks at them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a message. `error`: None if the target took it. `asked`: how long it wants to be left alone."""

    seconds: float
    status: int | None = None
    error: str | None = None
    asked: timedelta | None = None


async def send(egress: Egress, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """`POST` a message. Nothing that the target does is raised."""
    began = time.perf_counter()
    try:
        egress.check(url, field="webhook")  # the settings may have changed
        async with asyncio.timeout(TIMEOUT):
            return await _answered(egress, url, body, headers, began)
    except TimeoutError:
        error = f"no answer within {TIMEOUT:g} s"
    except InvalidRequest as refused:
        error = refused.message
    except (httpx2.HTTPError, httpx2.InvalidURL) as failed:
        error = str(failed) or type(failed).__name__
    return Answer(time.perf_counter() - began, error=error)


async def _answered(egress: Egress, url: str, body: bytes, headers: Mapping[str, str], began: float) -> Answer:
    async with egress.client.stream("POST", url, content=body, headers=dict(headers), timeout=TIMEOUT) as response:
        seconds = time.perf_counter() - began
        await _read_some(response)
        if response.is_success:
            return Answer(seconds, response.status_code)
        if response.is_redirect:
            return Answer(seconds, response.status_code, "redirects are not followed: name the address itself")
        return Answer(seconds, response.status_code, f"answered {_named(response.status_code)}", _asked(response))


async def _read_some(response: httpx2.Response) -> None:
    """Read on for a moment, so that the connection can be used again: the status has said all that counts."""
    read = 0
    with contextlib.suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(READING):
            async for chunk in response.aiter_raw():
                read += len(chunk)
                if read > MOST_READ:
                    return


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _asked(response: httpx2.Response) -> timedelta | None:
    """`Retry-After`, where it is a number of seconds."""
    text = response.headers.get("retry-after", "")
    return timedelta(seconds=int(text)) if text.isdecimal() and len(text) < 7 else None
