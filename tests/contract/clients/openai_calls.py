"""What an application does with the `openai` package, whichever version is installed: `openai_calls.py URL`."""

import asyncio
import base64
import io
import sys
import warnings

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from PIL import Image


def size_of(encoded: str) -> tuple[int, int]:
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as picture:
        picture.load()
        return picture.size


def drawing() -> tuple[str, bytes, str]:
    content = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(content, "PNG")
    return "start.png", content.getvalue(), "image/png"


def call(client: OpenAI) -> None:
    made = client.images.generate(model="sketch", prompt="a pier", size="1024x1024", n=2)
    assert [size_of(one.b64_json or "") for one in made.data or ()] == [(1024, 1024)] * 2
    linked = client.images.generate(model="sketch", prompt="a pier", response_format="url").data or []
    assert (linked[0].url or "").startswith(str(client.base_url).partition("/openai")[0])
    edited = client.images.edit(model="sketch", image=drawing(), prompt="a pier in fog", size="1024x1024")
    assert size_of((edited.data or [])[0].b64_json or "") == (1024, 1024)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        varied = client.images.create_variation(model="sketch", image=drawing())
    size_of((varied.data or [])[0].b64_json or "")
    assert "sketch" in [model.id for model in client.models.list()]
    assert client.models.retrieve("sketch").object == "model"
    refuse(client)
    stream(client)


def refuse(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as bad:
        client.images.generate(model="sketch", prompt="a pier", size="999999x1")  # type: ignore[arg-type]
    assert bad.value.param == "size"
    with pytest.raises(openai.NotFoundError) as unknown:
        client.images.generate(model="no-such-model", prompt="a pier")
    assert unknown.value.code == "model_not_found"


def stream(client: OpenAI) -> None:
    events = list(client.images.generate(model="sketch", prompt="a pier", stream=True, partial_images=1))
    assert events[-1].type == "image_generation.completed", events
    size_of(events[-1].b64_json)


async def call_async(client: AsyncOpenAI) -> None:
    async with client:
        made = await client.images.generate(model="sketch", prompt="a pier", size="1024x1024")
        assert size_of((made.data or [])[0].b64_json or "") == (1024, 1024)


if __name__ == "__main__":
    url = f"{sys.argv[1]}/openai/v1"
    assert openai.__version__.startswith(sys.argv[2]), openai.__version__
    with OpenAI(base_url=url, api_key="any") as sync:
        call(sync)
    asyncio.run(call_async(AsyncOpenAI(base_url=url, api_key="any")))
