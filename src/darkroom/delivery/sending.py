"""One message to one target: what it answered, and what that means."""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

import httpx2

from darkroom.delivery import policy
from darkroom.errors import InvalidRequest
from darkroom.security.egress import Egress, was_tried

TIMEOUT: Final = 15.0
"""Seconds for a target to take a message and answer."""
READING: Final = 1.0
MOST_READ: Final = 64 * 1024
"""Seconds and bytes of an answer's body that are read; nobody looks at them."""


LONGEST_REASON: Final = 200
MOST_DIGITS: Final = 10


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a message. `error`: None if the target took it. `asked`: how long it wants to be left alone.

    `tried`: whether it says anything of the target; what only waited for others here does not.
    """

    seconds: float
    status: int | None = None
    error: str | None = None
    asked: timedelta | None = None
    tried: bool = True


async def send(egress: Egress, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """`POST` a message. Nothing that the target does is raised, and nothing that it says is in the error."""
    began = time.perf_counter()
    tried = True
    try:
        egress.check(url, field="webhook")  # the settings may have changed
        return await _answered(egress, url, body, headers, began)
    except TimeoutError:
        error = f"no answer within {TIMEOUT:g} s"
    except InvalidRequest as refused:
        error = refused.message
    except (httpx2.HTTPError, httpx2.InvalidURL) as failed:
        error, tried = _reason(failed), was_tried(failed)
    return Answer(time.perf_counter() - began, error=error, tried=tried)


async def _answered(egress: Egress, url: str, body: bytes, headers: Mapping[str, str], began: float) -> Answer:
    request = egress.client.build_request("POST", url, content=body, headers=dict(headers), timeout=TIMEOUT)
    async with asyncio.timeout(TIMEOUT):
        response = await egress.client.send(request, stream=True)
    seconds = time.perf_counter() - began
    await _leave(response)
    if response.is_success:
        return Answer(seconds, response.status_code)
    if response.is_redirect:
        return Answer(seconds, response.status_code, "redirects are not followed: name the address itself")
    return Answer(seconds, response.status_code, f"answered {_named(response.status_code)}", _asked(response))


async def _leave(response: httpx2.Response) -> None:
    """Read on for a moment, so that the connection can be used again: the status has said all that counts."""
    read = 0
    with contextlib.suppress(TimeoutError, httpx2.HTTPError):
        async with contextlib.aclosing(response), asyncio.timeout(READING):
            async for chunk in response.aiter_raw():
                read += len(chunk)
                if read > MOST_READ:
                    return


def _reason(failed: httpx2.HTTPError | httpx2.InvalidURL) -> str:
    if isinstance(failed, httpx2.ProtocolError):  # its words may be the target's
        return "hung up, or does not speak HTTP as it is to be spoken"
    return str(failed)[:LONGEST_REASON] or type(failed).__name__


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _asked(response: httpx2.Response) -> timedelta | None:
    """`Retry-After`: a number of seconds, or a date."""
    text = response.headers.get("retry-after", "")
    if not text.isdecimal():
        return _until(text)
    return timedelta(seconds=int(text)) if len(text) < MOST_DIGITS else policy.LONGEST


def _until(date: str) -> timedelta | None:
    try:
        at = parsedate_to_datetime(date[:LONGEST_REASON])
        return (at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
