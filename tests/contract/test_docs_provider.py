"""The provider that docs/providers.md shows keeps the contract as it stands there."""

import asyncio
import base64
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from provider_suite import ProviderContract
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from darkroom.providers.base import Provider
from services.backends.base import Fake, picture

PAGE = Path(__file__).parents[2] / "docs" / "providers.md"


def shown() -> str:
    return re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)[0]


class WebUIFake(Fake):
    """Endpoint: `create`. The pictures of a batch have consecutive seeds; 20 steps take a second."""

    @property
    def routes(self) -> Sequence[BaseRoute]:
        return [Route("/sdapi/v1/txt2img", self._create, methods=["POST"], name="create")]

    async def _create(self, request: Request) -> Response:
        body = json.loads(await request.body())
        self.record("", body)
        await asyncio.sleep((body["steps"] - 1) / 20)
        seeds = range(body["seed"], body["seed"] + body["batch_size"])
        pictures = [picture(body["width"], body["height"], seed=seed) for seed in seeds]
        return JSONResponse({"images": [base64.b64encode(each).decode() for each in pictures]})


@pytest.fixture(scope="module")
def webui() -> Iterator[WebUIFake]:
    with WebUIFake().running() as fake:
        yield fake


class TestShownProvider(ProviderContract):
    model = "dreamshaper_8"
    parameters = {"width": 64, "height": 64, "steps": 1}
    slow_parameters = {"steps": 150}

    @pytest.fixture(autouse=True)
    def _at(self, webui: WebUIFake) -> None:
        self.url = webui.url

    def make(self) -> Provider:
        names: dict[str, Any] = {"__name__": "my_package.webui"}
        exec(compile(shown(), str(PAGE), "exec"), names)
        made: Provider = names["WebUI"](url=self.url)
        return made


def test_the_shown_provider_is_short() -> None:
    assert len(shown().splitlines()) < 60
