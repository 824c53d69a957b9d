"""The starter catalogue from outside: one key, one command, a picture. A real process, against fakes of the vendors."""

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from services.backends.base import data_uri, picture
from services.backends.bfl import BFLFake
from services.backends.fal import FalFake
from services.backends.openai import OpenAIFake
from services.backends.replicate import ReplicateFake
from services.command import Command


@pytest.fixture
def replicate(monkeypatch: pytest.MonkeyPatch) -> Iterator[ReplicateFake]:
    with ReplicateFake().running() as fake:
        monkeypatch.setenv("REPLICATE_API_TOKEN", fake.key)
        yield fake


def made(ended: Any, darkroom: Command) -> list[tuple[int, int]]:
    """The sizes of the pictures that a command wrote."""
    sizes = []
    for line in ended.out.splitlines():
        with Image.open(darkroom.folder / line) as picture:
            picture.load()
            sizes.append(picture.size)
    return sizes


def pixels(content: bytes) -> bytes:
    with Image.open(io.BytesIO(content)) as picture:
        return picture.convert("RGB").tobytes()


def test_a_token_is_all_that_flux_schnell_needs(darkroom: Command, replicate: ReplicateFake) -> None:
    here = darkroom.using(DARKROOM_ACCOUNTS__REPLICATE__URL=f"{replicate.url}/v1")
    ended = here.good("generate", "-m", "flux-schnell", "a lighthouse at dusk")
    assert len(made(ended, darkroom)) == 1
    [created] = replicate.created
    asked = created.body["input"]
    assert asked["prompt"] == "a lighthouse at dusk"
    assert asked["num_outputs"] == 1
    [media] = here.good("media", "list", "--json").json
    assert media["cost"] == {"amount": "0.003", "currency": "USD"}


def test_another_backend_does_it_where_the_first_one_is_down(
    darkroom: Command, replicate: ReplicateFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    replicate.fail("create", status=503, times=100)
    with FalFake().running() as fal:
        monkeypatch.setenv("FAL_KEY", fal.key)
        here = darkroom.using(
            DARKROOM_ACCOUNTS__REPLICATE__URL=f"{replicate.url}/v1",
            DARKROOM_ACCOUNTS__FAL__URL=fal.url,
            DARKROOM_RETRY__BASE="0.05",
        )
        ended = here.good("generate", "-m", "flux-schnell", "a fox", "-p", "aspect_ratio=16:9", "--json")
        [created] = fal.created
    assert ended.json["number_of_tries"] == 2
    assert created.body["image_size"] == "landscape_16_9"
    assert replicate.created == []


def test_fal_makes_the_size_that_is_asked_for(darkroom: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    with FalFake().running() as fake:
        monkeypatch.setenv("FAL_KEY", fake.key)
        here = darkroom.using(DARKROOM_ACCOUNTS__FAL__URL=fake.url)
        ended = here.good("generate", "-m", "flux-dev", "a fox", "-n", 2, "--width", 96, "--height", 64)
        [created] = fake.created
    assert made(ended, darkroom) == [(96, 64), (96, 64)]
    assert created.body["image_size"] == {"width": 96, "height": 64}
    assert created.body["num_images"] == 2


def test_bfl_changes_a_picture(darkroom: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    start = picture(64, 48, seed=7)
    with BFLFake().running() as fake:
        monkeypatch.setenv("BFL_API_KEY", fake.key)
        here = darkroom.using(DARKROOM_ACCOUNTS__BFL__URL=f"{fake.url}/v1")
        image = f"image={data_uri(start)}"
        ended = here.good("generate", "-m", "flux-kontext-pro", "make it winter", "-p", image, "-n", 1)
        [created] = fake.created
    assert len(made(ended, darkroom)) == 1
    assert pixels(base64.b64decode(created.body["input_image"])) == pixels(start)
    assert "n" not in created.body


def test_openai_says_what_it_cost(darkroom: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    with OpenAIFake().running() as fake:
        monkeypatch.setenv("OPENAI_API_KEY", fake.key)
        here = darkroom.using(DARKROOM_ACCOUNTS__OPENAI__URL=f"{fake.url}/v1")
        ended = here.good("generate", "-m", "gpt-image-2", "a fox", "-p", "quality=low", "--json")
    assert ended.json["status"] == "COMPLETED"
    assert float(ended.json["cost"]["amount"]) > 0


def test_models_show_what_a_key_opens(darkroom: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    before = darkroom.good("models", "--usable", "--json").json["items"]
    monkeypatch.setenv("FAL_KEY", "a-key-of-fal")
    after = {model["name"]: model for model in darkroom.good("models", "--json").json["items"]}
    assert [model["name"] for model in before] == ["sketch", "dummy"]
    assert after["flux-schnell"]["usable"]
    assert after["flux-schnell"]["routes"][0]["problem"] == "REPLICATE_API_TOKEN is not set"
    assert after["gpt-image-2"]["problem"] == "OPENAI_API_KEY is not set"
    assert "a-key-of-fal" not in json.dumps(after)
