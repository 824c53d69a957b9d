"""What an application does with the `openai` package, whichever version is installed: `openai_calls.py URL VERSION`."""

import asyncio
import base64
import io
import sys
import urllib.request
import warnings
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from PIL import Image

WISH: Any = {"model": "sketch", "prompt": "a pier", "size": "64x48"}
SLOW: Any = {"model": "dummy", "prompt": "a pier", "extra_body": {"delay": 1.2, "seed": 7}}


def size_of(content: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(content)) as picture:
        picture.load()
        return picture.size


def check(answer: Any, n: int = 1, size: tuple[int, int] = (64, 48)) -> None:
    assert [size_of(base64.b64decode(one.b64_json)) for one in answer.data] == [size] * n


def check_link(answer: Any, base: str) -> None:
    (one,) = answer.data
    assert one.url.startswith(base.partition("/openai")[0])
    with urllib.request.urlopen(one.url) as content:
        assert size_of(content.read()) == (64, 48)


def check_events(events: list[Any], kind: str = "image_generation") -> None:
    *partial, done = events
    assert [event.type for event in partial] == [f"{kind}.partial_image"] * len(partial)
    assert done.type == f"{kind}.completed", events
    size_of(base64.b64decode(done.b64_json))
    for event in partial:
        size_of(base64.b64decode(event.b64_json))


def drawing() -> tuple[str, bytes, str]:
    content = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(content, "PNG")
    return "start.png", content.getvalue(), "image/png"


def call(client: OpenAI) -> None:
    check(client.images.generate(**WISH, n=2), 2)
    check_link(client.images.generate(**WISH, response_format="url"), str(client.base_url))
    check(client.images.edit(**WISH, image=drawing()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        check(client.images.create_variation(model="sketch", image=drawing(), size="64x48"))  # type: ignore[arg-type]
    assert "sketch" in [model.id for model in client.models.list()]
    assert client.models.retrieve("sketch").object == "model"
    refuse(client)
    stream(client)
    come_again(client)


def stream(client: OpenAI) -> None:
    large: Any = {**WISH, "size": "2048x1024", "stream": True, "partial_images": 1}
    events = list(client.images.generate(**large))
    assert len(events) == 2, "one on its way, and the one that is done"
    check_events(events)
    check_events(list(client.images.edit(**WISH, image=drawing(), stream=True)), "image_edit")


def come_again(client: OpenAI) -> None:
    """What has taken too long is had by asking again; who does not ask again is told."""
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.3, max_retries=0).images.generate(**{**SLOW, "prompt": "a mole"})
    impatient = client.with_options(timeout=0.7, max_retries=4)
    first = impatient.images.generate(**SLOW, response_format="url").data[0].url
    again = client.images.generate(**SLOW, response_format="url", extra_headers={"x-stainless-retry-count": "1"})
    assert media_of(again.data[0].url) == media_of(first), "a request that is repeated makes no other media"


def media_of(url: str) -> str:
    return url.partition("?")[0]


def refuse(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as bad:
        client.images.generate(model="sketch", prompt="a pier", size="999999x1")  # type: ignore[arg-type]
    assert bad.value.param == "size"
    for ask in (lambda: client.images.generate(model="nothing", prompt="a pier"), lambda: client.models.retrieve("x")):
        with pytest.raises(openai.NotFoundError) as unknown:
            ask()
        assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.PermissionDeniedError):
        client.models.delete("sketch")
    failing: Any = {"model": "dummy", "prompt": "a pier"}
    with pytest.raises(openai.InternalServerError) as failed:
        client.images.generate(**failing, extra_body={"error": "permanent", "error_rate": 1})
    assert failed.value.code == "provider_failed"
    with pytest.raises(openai.APIError, match="permanent"):
        list(client.images.generate(**failing, extra_body={"error": "permanent", "error_rate": 1}, stream=True))
    with pytest.raises(openai.APIConnectionError):
        client.with_options(base_url="http://127.0.0.1:9/openai/v1", max_retries=0).models.list()


async def call_async(client: AsyncOpenAI) -> None:
    async with client:
        check(await client.images.generate(**WISH, n=2), 2)
        check_link(await client.images.generate(**WISH, response_format="url"), str(client.base_url))
        check(await client.images.edit(**WISH, image=drawing()))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            check(await client.images.create_variation(model="sketch", image=drawing(), size="64x48"))  # type: ignore[arg-type]
        assert "sketch" in [model.id async for model in client.models.list()]
        assert (await client.models.retrieve("sketch")).object == "model"
        large: Any = {**WISH, "size": "2048x1024", "stream": True, "partial_images": 1}
        check_events([event async for event in await client.images.generate(**large)])
        edit = await client.images.edit(**WISH, image=drawing(), stream=True)
        check_events([event async for event in edit], "image_edit")
        await refuse_async(client)


async def refuse_async(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        await client.images.generate(**{**WISH, "size": "999999x1"})
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("nothing")
    with pytest.raises(openai.APITimeoutError):
        await client.with_options(timeout=0.3, max_retries=0).images.generate(**{**SLOW, "prompt": "a vole"})
    wish: Any = {**SLOW, "prompt": "a shrew", "response_format": "url"}
    first = await client.with_options(timeout=0.7, max_retries=4).images.generate(**wish)
    again = await client.images.generate(**wish, extra_headers={"x-stainless-retry-count": "1"})
    assert media_of(again.data[0].url) == media_of(first.data[0].url)


if __name__ == "__main__":
    url = f"{sys.argv[1]}/openai/v1"
    assert openai.__version__.startswith(sys.argv[2]), openai.__version__
    with OpenAI(base_url=url, api_key="any") as sync:
        call(sync)
    asyncio.run(call_async(AsyncOpenAI(base_url=url, api_key="any")))
