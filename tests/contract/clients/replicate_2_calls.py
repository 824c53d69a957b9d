"""What an application does with `replicate` 2.x: `replicate_2_calls.py URL`."""

import asyncio
import base64
import io
import os
import sys
from typing import Any

import pytest
import replicate
from PIL import Image
from replicate import AsyncReplicate, NotFoundError, Replicate, UnprocessableEntityError
from replicate.exceptions import APIConnectionError, APITimeoutError, ModelError

MODEL = "darkroom/sketch"
NAMED: Any = {"model_owner": "darkroom", "model_name": "sketch"}
DUMMY: Any = {"model_owner": "darkroom", "model_name": "dummy"}
DEPLOYED: Any = {"deployment_owner": "darkroom", "deployment_name": "sketch"}
WISH: Any = {"prompt": "a pier", "width": 64, "height": 64}
SLOW: Any = {"prompt": "a pier", "delay": 60, "steps": 600}
FAILING: Any = {"prompt": "a pier", "error": "permanent", "error_rate": 1}
SIGNED: Any = {"expiry": 2_000_000_000, "owner": "darkroom", "signature": "any"}
NOWHERE = "0199a000-0000-7000-8000-000000000000"


def check(content: bytes, size: tuple[int, int] = (64, 64)) -> None:
    with Image.open(io.BytesIO(content)) as picture:
        picture.load()
        assert picture.size == size, picture.size


def check_model(model: Any) -> None:
    assert (model.owner, model.name) == ("darkroom", "sketch")
    check_version(model.latest_version)


def check_version(version: Any) -> None:
    assert "prompt" in version.openapi_schema["components"]["schemas"]["Input"]["properties"], version


def drawing() -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(content, "PNG")
    return content.getvalue()


def call(client: Replicate) -> None:
    outputs = client.run(MODEL, input={**WISH, "num_outputs": 2})
    check(outputs[0].read())
    check(b"".join(outputs[1]))
    version = client.models.versions.list(**NAMED).results[0]
    check(client.run(f"{MODEL}:{version.id}", input=WISH)[0].read())
    check(client.run(f"{MODEL}:{version.id}", input=WISH, wait=False)[0].read())
    check(client.run(MODEL, input={**WISH, "image": io.BytesIO(drawing())})[0].read())
    assert client.run(MODEL, input=WISH, use_file_output=False)[0].startswith("data:")
    predict(client, version.id)
    stream(client)
    look_around(client)
    keep_files(client)
    refuse(client)


def predict(client: Replicate, version: str) -> None:
    made = [
        client.predictions.create(version=version, input=WISH),
        client.predictions.create(version=MODEL, input=WISH, prefer="wait=5"),
        client.models.predictions.create(**NAMED, input=WISH),
        client.deployments.predictions.create(**DEPLOYED, input=WISH, prefer="wait"),
    ]
    assert made[3].status == "succeeded", "it was waited for"
    for prediction in made:
        done = client.predictions.wait(prediction.id)
        assert (done.status, done.model) == ("succeeded", MODEL), done
        assert client.predictions.get(prediction_id=prediction.id) == done
    listed = [one.id for one in client.predictions.list(created_after=made[1].created_at)]
    assert listed == [one.id for one in made[:0:-1]]
    assert client.predictions.cancel(prediction_id=made[0].id).status == "succeeded"
    slow = client.models.predictions.create(**DUMMY, input=SLOW, prefer="wait=1")
    assert slow.status == "starting", "the wait is over, and the prediction is not"
    client.predictions.cancel(prediction_id=slow.id)
    assert client.predictions.wait(slow.id).status == "canceled"


def stream(client: Replicate) -> None:
    """2.x polls: its streams are outputs as they come. `use` knows no client but those of the environment."""
    with pytest.warns(DeprecationWarning, match="deprecated"):
        outputs = list(client.stream(MODEL, input=WISH))
    assert len(outputs) == 1
    sketch: Any = replicate.use(MODEL)
    run = sketch.create(**WISH)
    check(base64.b64decode(run.output()[0].partition(",")[2]))
    assert "completed" in (run.logs() or "")


def look_around(client: Replicate) -> None:
    check_model(client.models.get(**NAMED))
    assert "sketch" in [one.name for one in client.models.list()]
    assert [one.name for one in client.models.search(body="sketch")] == ["sketch"]
    (version,) = client.models.versions.list(**NAMED)
    check_version(client.models.versions.get(**NAMED, version_id=version.id))
    assert client.deployments.get(**DEPLOYED).current_release.model == MODEL
    assert "sketch" in [one.name for one in client.deployments.list()]
    assert client.hardware.list()[0].sku == "lane"
    assert client.account.get().username == "darkroom"
    assert client.webhooks.default.secret.get().key.startswith("whsec_")


def keep_files(client: Replicate) -> None:
    stored = client.files.create(content=("start.png", drawing(), "image/png"), metadata={"order": "4711"})
    assert (stored.content_type, stored.metadata) == ("image/png", {"order": "4711"}), stored
    assert client.files.get(file_id=stored.id).checksums.sha256 == stored.checksums.sha256
    assert stored.id in [one.id for one in client.files.list()]
    content = client.files.download(file_id=stored.id, **SIGNED).read()
    check(content)
    assert stored.size == len(content)
    check(client.run(MODEL, input={**WISH, "image": stored.urls.get})[0].read())
    client.files.delete(file_id=stored.id)
    with pytest.raises(NotFoundError):
        client.files.get(file_id=stored.id)


def refuse(client: Replicate) -> None:
    with pytest.raises(NotFoundError, match="there is no media"):
        client.predictions.get(prediction_id=NOWHERE)
    with pytest.raises(NotFoundError, match="there is no model"):
        client.run("darkroom/nothing", input=WISH)
    with pytest.raises(UnprocessableEntityError, match=r"input\.width"):
        client.models.predictions.create(**NAMED, input={"prompt": "a pier", "width": -1})
    with pytest.raises(ModelError, match="permanent") as failed:
        client.run("darkroom/dummy", input=FAILING)
    assert failed.value.prediction.status == "failed"
    with pytest.raises(APITimeoutError):
        client.with_options(timeout=0.3, max_retries=0).run("darkroom/dummy", input={"prompt": "a pier", "delay": 2})
    with pytest.raises(APIConnectionError):
        client.with_options(base_url="http://127.0.0.1:9", max_retries=0).hardware.list()


async def call_async(client: AsyncReplicate) -> None:
    async with client:
        outputs = await client.run(MODEL, input={**WISH, "num_outputs": 2})
        check(await outputs[0].read())
        check(b"".join([chunk async for chunk in outputs[1]]))
        check(await (await client.run(MODEL, input={**WISH, "image": io.BytesIO(drawing())}))[0].read())
        sketch: Any = replicate.use(MODEL, use_async=True)
        check(base64.b64decode((await sketch(**WISH))[0].partition(",")[2]))
        await predict_async(client)
        await look_around_async(client)
        await keep_files_async(client)
        await refuse_async(client)


async def predict_async(client: AsyncReplicate) -> None:
    version = (await client.models.versions.list(**NAMED)).results[0].id
    made = [
        await client.predictions.create(version=version, input=WISH),
        await client.models.predictions.create(**NAMED, input=WISH),
        await client.deployments.predictions.create(**DEPLOYED, input=WISH, prefer="wait"),
    ]
    assert made[2].status == "succeeded", "it was waited for"
    for prediction in made:
        done = await client.predictions.wait(prediction.id)
        assert done.status == "succeeded", done
        assert await client.predictions.get(prediction_id=prediction.id) == done
    assert made[0].id in [one.id async for one in client.predictions.list()]
    slow = await client.models.predictions.create(**DUMMY, input=SLOW)
    await client.predictions.cancel(prediction_id=slow.id)
    assert (await client.predictions.wait(slow.id)).status == "canceled"


async def look_around_async(client: AsyncReplicate) -> None:
    check_model(await client.models.get(**NAMED))
    assert "sketch" in [one.name async for one in client.models.list()]
    assert [one.name async for one in client.models.search(body="sketch")] == ["sketch"]
    (version,) = [one async for one in client.models.versions.list(**NAMED)]
    check_version(await client.models.versions.get(**NAMED, version_id=version.id))
    assert (await client.deployments.get(**DEPLOYED)).current_release.model == MODEL
    assert "sketch" in [one.name async for one in client.deployments.list()]
    assert (await client.hardware.list())[0].sku == "lane"
    assert (await client.account.get()).username == "darkroom"
    assert (await client.webhooks.default.secret.get()).key.startswith("whsec_")


async def keep_files_async(client: AsyncReplicate) -> None:
    stored = await client.files.create(content=("start.png", drawing(), "image/png"))
    assert (await client.files.get(file_id=stored.id)).size == stored.size
    assert stored.id in [one.id async for one in client.files.list()]
    check(await (await client.files.download(file_id=stored.id, **SIGNED)).read())
    await client.files.delete(file_id=stored.id)
    with pytest.raises(NotFoundError):
        await client.files.get(file_id=stored.id)


async def refuse_async(client: AsyncReplicate) -> None:
    with pytest.raises(NotFoundError):
        await client.predictions.get(prediction_id=NOWHERE)
    with pytest.raises(UnprocessableEntityError):
        await client.models.predictions.create(**NAMED, input={"prompt": "a pier", "width": -1})
    with pytest.raises(ModelError, match="permanent"):
        await client.run("darkroom/dummy", input=FAILING)


if __name__ == "__main__":
    assert replicate.__version__.startswith("2."), replicate.__version__
    base = f"{sys.argv[1]}/replicate/v1"
    os.environ.update(REPLICATE_API_TOKEN="any", REPLICATE_BASE_URL=base)
    with Replicate(bearer_token="any", base_url=base) as sync:
        call(sync)
    asyncio.run(call_async(AsyncReplicate(bearer_token="any", base_url=base)))
