"""Server-sent events on the wire (https://html.spec.whatwg.org/multipage/server-sent-events.html).

FastAPI's own would format each event anew for each caller, and keep a queue and a timer for each.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import anyio
import structlog
from fastapi import Response
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

log = structlog.get_logger(__name__)

SILENCE = b": still here\n\n"
"""What is sent where there is nothing to tell, so that no proxy takes the connection for dead."""

PATIENCE = 60.0
"""Seconds for a caller to take what is sent; one who takes nothing is left."""

_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def event_text(kind: str, number: int, data: BaseModel) -> bytes:
    """An event of a kind, with its id and its data as JSON."""
    return f"event: {kind}\nid: {number}\ndata: {data.model_dump_json()}\n\n".encode()


def opening(number: int) -> bytes:
    """No event, but from `number` on goes who comes back: a browser keeps the id of what has no data as well."""
    return f"id: {number}\n".encode() + SILENCE


class EventStream(Response):
    """Sends texts as they come, until they end or the caller leaves; an error before the first is an answer."""

    media_type = "text/event-stream"

    def __init__(self, texts: AsyncGenerator[bytes, None]) -> None:
        self.status_code = 200
        self.background = None
        self._texts = texts
        self.init_headers(_HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._texts) as texts:
            first = await anext(texts)
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": first, "more_body": True})
            took_all = True
            async with anyio.create_task_group() as group:
                group.start_soon(_until_left, receive, group.cancel_scope)
                took_all = await _send_all(texts, send)
                group.cancel_scope.cancel()
        if took_all:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_all(texts: AsyncGenerator[bytes, None], send: Send) -> bool:
    """False: the caller did not take one in time."""
    async for text in texts:
        with anyio.move_on_after(PATIENCE) as sending:
            await send({"type": "http.response.body", "body": text, "more_body": True})
        if sending.cancelled_caught:
            log.info("watcher_cut_off", reason="it does not read what it is sent")
            return False
    return True


async def _until_left(receive: Receive, stream: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.cancel()
