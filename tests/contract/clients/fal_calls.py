"""What an application does with `fal_client`: `fal_calls.py`, with FAL_RUN_HOST and FAL_QUEUE_RUN_HOST set."""

import asyncio
import base64
import io
from typing import Any

import fal_client
import httpx
import pytest
from fal_client import AsyncClient, Completed, FalClientHTTPError, InProgress, Queued
from PIL import Image

APP = "darkroom/sketch"
LONG = "fal-ai/pictures/sketch"
"""An app of three segments, whose requests are asked for by two."""
WISH = {"prompt": "a pier", "image_size": {"width": 64, "height": 48}}
NOWHERE = "0199a000-0000-7000-8000-000000000000"


def check(result: dict[str, Any], n: int = 1) -> None:
    assert [(each["width"], each["height"]) for each in result["images"]] == [(64, 48)] * n, result
    assert len(result["has_nsfw_concepts"]) == n
    for each in result["images"]:
        url = each["url"]
        content = base64.b64decode(url.partition(",")[2]) if url.startswith("data:") else httpx.get(url).content
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
            assert picture.size == (64, 48)


def call() -> None:
    check(fal_client.run(APP, WISH))
    check(fal_client.run("fal-ai/pictures", {**WISH, "num_images": 2}, path="/sketch", hint="a", start_timeout=60), 2)
    for app in (APP, LONG, "sketch"):
        handle = fal_client.submit(app, {**WISH, "sync_mode": True}, priority="low", start_timeout=60)
        *before, last = handle.iter_events(with_logs=True, interval=0.02)
        assert all(isinstance(each, Queued | InProgress) for each in before), before
        assert isinstance(last, Completed), last
        assert last.error is None, last
        assert last.logs, last
        assert last.metrics["inference_time"] >= 0
        check(handle.get())
    assert isinstance(fal_client.status(LONG, handle.request_id), Completed)
    check(fal_client.result(LONG, handle.request_id))
    updates: list[fal_client.Status] = []
    enqueued: list[str] = []
    check(
        fal_client.subscribe(
            LONG, WISH, with_logs=True, on_enqueue=enqueued.append, on_queue_update=updates.append, client_timeout=60
        )
    )
    assert isinstance(updates[-1], Completed)
    assert isinstance(fal_client.status(APP, enqueued[0]), Completed)
    start = fal_client.encode_image(Image.new("RGB", (64, 48), "teal"), format="png")
    check(fal_client.run(APP, {**WISH, "image_url": start, "strength": 0.2}))
    check(list(fal_client.stream(APP, WISH))[-1])
    refuse()


def refuse() -> None:
    with pytest.raises(FalClientHTTPError) as raised:
        fal_client.submit("darkroom/nothing", WISH)
    assert (raised.value.status_code, raised.value.error_type) == (404, "unknown_model")
    with pytest.raises(FalClientHTTPError, match="image_size"):
        fal_client.run(APP, {**WISH, "image_size": "huge"})
    with pytest.raises(FalClientHTTPError, match="there is no media"):
        fal_client.cancel(APP, NOWHERE)


async def call_async() -> None:
    client = AsyncClient()
    check(await client.run(APP, WISH))
    handle = await client.submit(LONG, WISH)
    events = [event async for event in handle.iter_events(with_logs=True, interval=0.02)]
    assert isinstance(events[-1], Completed), events
    check(await handle.get())
    check(await client.result(LONG, handle.request_id))
    check(await client.subscribe(APP, WISH, client_timeout=60))
    check([event async for event in client.stream(LONG, WISH)][-1])
    with pytest.raises(FalClientHTTPError) as raised:
        await handle.cancel()
    assert raised.value.status_code == 400
    await (await client._client).aclose()


if __name__ == "__main__":
    call()
    asyncio.run(call_async())
