"""The least that tells many watchers: a text to every stream, by FastAPI's own server-sent events.

It has the paths that `benchmarks.watchers` uses, and nothing behind them. `python -m benchmarks.bare_streams PORT`.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from uuid import uuid4

import uvicorn
from fastapi import FastAPI
from fastapi.sse import EventSourceResponse, ServerSentEvent

app = FastAPI()
watchers: set[asyncio.Queue[str]] = set()
TEXT = '{"prompt": "a lighthouse at dusk, long exposure, grainy film"}' * 12
"""As long as a media."""


@app.get("/healthz")
async def alive() -> dict[str, str]:
    return {}


@app.post("/media/generate")
async def generate() -> dict[str, str]:
    return {"id": str(uuid4())}


@app.post("/media/{media_id}/cancel")
async def cancel(media_id: str) -> dict[str, str]:
    for queue in watchers:
        queue.put_nowait(TEXT)
    return {"id": media_id}


@app.get("/media/events", response_class=EventSourceResponse)
async def events() -> AsyncIterator[ServerSentEvent]:
    queue: asyncio.Queue[str] = asyncio.Queue()
    watchers.add(queue)
    try:
        yield ServerSentEvent(comment="watching")
        while True:
            yield ServerSentEvent(event="completed", raw_data=await queue.get())
    finally:
        watchers.remove(queue)


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
