"""What an application does with `replicate` 2.x: `replicate_2_calls.py URL`."""

import asyncio
import io
import sys

import pytest
import replicate
from PIL import Image
from replicate import AsyncReplicate, NotFoundError, Replicate, UnprocessableEntityError

MODEL = "darkroom/sketch"
WISH = {"prompt": "a pier", "width": 64, "height": 64}


def check(content: bytes, size: tuple[int, int] = (64, 64)) -> None:
    with Image.open(io.BytesIO(content)) as picture:
        picture.load()
        assert picture.size == size, picture.size


def drawing() -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(content, "PNG")
    return content.getvalue()


def call(client: Replicate) -> None:
    outputs = client.run(MODEL, input=WISH)
    check(outputs[0].read())
    version = client.models.versions.list(model_owner="darkroom", model_name="sketch").results[0]
    check(client.run(f"{MODEL}:{version.id}", input=WISH)[0].read())
    check(client.run(MODEL, input={**WISH, "image": io.BytesIO(drawing())})[0].read())
    prediction = client.predictions.create(version=version.id, input=WISH)
    done = client.predictions.wait(prediction.id)
    assert done.status == "succeeded", done
    assert prediction.id in [one.id for one in client.predictions.list()]
    assert client.predictions.cancel(prediction_id=prediction.id).status == "succeeded"
    deployed = client.deployments.predictions.create(
        deployment_owner="darkroom", deployment_name="sketch", input=WISH, prefer="wait"
    )
    assert client.predictions.wait(deployed.id).status == "succeeded"
    look_around(client)
    refuse(client)


def look_around(client: Replicate) -> None:
    model = client.models.get(model_owner="darkroom", model_name="sketch")
    assert "prompt" in model.latest_version["openapi_schema"]["components"]["schemas"]["Input"]["properties"], model
    assert "sketch" in [one.name for one in client.models.list()]
    assert [one.name for one in client.models.search(body="sketch")], "nothing found"
    assert client.hardware.list()
    assert client.account.get().username
    assert client.webhooks.default.secret.get().key.startswith("whsec_")
    stored = client.files.create(content=("start.png", drawing(), "image/png"))
    assert client.files.get(file_id=stored.id).size
    client.files.delete(file_id=stored.id)


def refuse(client: Replicate) -> None:
    with pytest.raises(NotFoundError):
        client.predictions.get(prediction_id="0199a000-0000-7000-8000-000000000000")
    with pytest.raises(UnprocessableEntityError):
        client.models.predictions.create(
            model_owner="darkroom", model_name="sketch", input={"prompt": "a pier", "width": -1}
        )


async def call_async(client: AsyncReplicate) -> None:
    async with client:
        outputs = await client.run(MODEL, input=WISH)
        check(await outputs[0].aread() if hasattr(outputs[0], "aread") else await outputs[0].read())


if __name__ == "__main__":
    assert replicate.__version__.startswith("2."), replicate.__version__
    base = f"{sys.argv[1]}/replicate/v1"
    with Replicate(bearer_token="any", base_url=base) as sync:
        call(sync)
    asyncio.run(call_async(AsyncReplicate(bearer_token="any", base_url=base)))
