"""A fake of OpenAI's Images API, as its reference and its Python client describe it, and of servers that speak it."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from services.backends.base import Fake, picture

FORM_FIELDS = {"n": int, "partial_images": int, "output_compression": int, "stream": lambda text: text == "true"}

GPT_FIELDS = {
    "model", "prompt", "n", "size", "quality", "output_format", "output_compression", "background", "moderation",
    "stream", "partial_images", "user",
}  # fmt: skip
DALL_E_FIELDS = {"model", "prompt", "n", "size", "quality", "response_format", "user"}
FIELDS = {
    "gpt-image-1": GPT_FIELDS,
    "gpt-image-1-mini": GPT_FIELDS,
    "gpt-image-1.5": GPT_FIELDS,
    "chatgpt-image-latest": GPT_FIELDS,
    "gpt-image-2": GPT_FIELDS,
    "gpt-image-2.5-flare": GPT_FIELDS,
    "gpt-image-2.6-sunburst": GPT_FIELDS | {"complexity"},
    "dall-e-3": DALL_E_FIELDS | {"style"},
    "dall-e-2": DALL_E_FIELDS,
}
SIZES = {
    "dall-e-3": {"1024x1024", "1792x1024", "1024x1792"},
    "dall-e-2": {"256x256", "512x512", "1024x1024"},
}
BASIC_SIZES = {"auto", "1024x1024", "1536x1024", "1024x1536"}
QUALITIES = {"auto", "low", "medium", "high"}
MORE_QUALITIES = QUALITIES | {"xhigh", "max"}
OUTPUT_TOKENS = 1056
PARTIAL_TOKENS = 100
INPUT_PICTURE_TOKENS = 323
SCALE = 16
"""How much smaller the fake's pictures are than what was asked for."""


class Refused(Exception):
    """An error answer, as OpenAI words it."""

    def __init__(self, status: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"message": message, "type": "invalid_request_error", "param": None, "code": None, **more}

    def response(self) -> Response:
        return JSONResponse({"error": self.error}, self.status, {"x-request-id": "req_refused"})


def moderation(stage: str) -> Refused:
    return Refused(
        400,
        "Your request was rejected by the safety system. safety_violations=[violence].",
        type="image_generation_user_error",
        code="moderation_blocked",
        moderation_details={"moderation_stage": stage, "categories": ["violence"]},
    )


def missing(name: str) -> Refused:
    return Refused(400, f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")


QUOTA = Refused(
    429,
    "You exceeded your current quota, please check your plan and billing details.",
    type="insufficient_quota",
    code="insufficient_quota",
)
HARD_LIMIT = Refused(400, "Billing hard limit has been reached", code="billing_hard_limit_reached")
RATE_LIMIT = Refused(429, "Rate limit reached for images per minute.", type="requests", code="rate_limit_exceeded")
SERVER_ERROR = Refused(500, "The server had an error while processing your request.", type="server_error")


class OpenAIFake(Fake):
    """OpenAI's Images API below `/v1`. Endpoints: `create` (generations), `edit`, `output` (a picture by its URL).

    `local`: a server of one's own instead: any model and any field, no key, no usage, no streams.
    `lifetime`: seconds that a URL is good for. `host`: what URLs start with. `refusal`: how all requests are refused.
    `stream_error`: what a stream ends with after the first picture on its way; `ends_early`: it just ends there.
    `missing`: how many of the pictures are left out. `usage`: of each answer, instead of what was used.

    A prompt with the word "forbidden" is refused at once, one with "lurid" when its picture is there. What was begun
    is billed (`created`): it goes on where the caller leaves.
    """

    def __init__(self, *, seconds: float = 0.0, port: int = 0, local: bool = False) -> None:
        super().__init__(seconds=seconds, port=port)
        self.local = local
        self.forget(seconds=seconds)

    def forget(self, *, seconds: float = 0.0) -> None:
        """Be as new: for tests that share one, since stopping a server takes a while."""
        self.created, self.calls, self.faults = [], [], []
        self.seconds = seconds
        self.lifetime = 3600.0
        self.host = self.url
        self.refusal: Refused | None = None
        self.stream_error: Refused | None = None
        self.ends_early = False
        self.missing = 0
        self.usage: Any = None
        self.outputs: dict[str, tuple[bytes, float]] = {}

    @property
    def routes(self) -> Sequence[BaseRoute]:
        return (
            Route("/v1/images/generations", self._generations, methods=["POST"], name="create"),
            Route("/v1/images/edits", self._edits, methods=["POST"], name="edit"),
            Route("/outputs/{name}", self._output, methods=["GET"], name="output"),
        )

    async def _generations(self, request: Request) -> Response:
        return await self._answer(request, await request.json(), "image_generation", pictures=0)

    async def _edits(self, request: Request) -> Response:
        fields, files = form_of(request.headers["content-type"], await request.body())
        body = {name: FORM_FIELDS.get(name, str)(value) for name, value in fields.items()}
        return await self._answer(request, {**body, **files}, "image_edit", pictures=len(files))

    async def _answer(self, request: Request, body: dict[str, Any], kind: str, *, pictures: int) -> Response:
        try:
            self._check(request, body, edits=kind == "image_edit")
        except Refused as refused:
            return refused.response()
        ref = f"req_{len(self.created) + 1}"
        self.record(ref, body)
        if body.get("stream") and not self.local:
            return StreamingResponse(self._events(body, kind, pictures), media_type="text/event-stream")
        await left_or(request, self.duration(body))
        if "lurid" in body["prompt"]:
            return moderation("output").response()
        return JSONResponse(self._made(ref, body, pictures), headers={"x-request-id": ref})

    def duration(self, body: Mapping[str, Any]) -> float:
        """How many seconds the pictures take."""
        return self.seconds

    # What it refuses

    def _check(self, request: Request, body: Mapping[str, Any], *, edits: bool) -> None:
        if self.refusal:
            raise self.refusal
        if not body.get("prompt"):
            raise Refused(
                400, "Missing required parameter: 'prompt'.", param="prompt", code="missing_required_parameter"
            )
        if "forbidden" in body["prompt"]:
            raise moderation("input")
        if not self.local:
            self._check_key(request)
            check_fields(body, edits=edits)
            check_values(body)

    def _check_key(self, request: Request) -> None:
        given = request.headers.get("authorization", "")
        if not given:
            raise Refused(401, "You didn't provide an API key.")
        if given != f"Bearer {self.key}":
            shown = given.removeprefix("Bearer ")
            raise Refused(401, f"Incorrect API key provided: {shown[:3]}***{shown[-4:]}.", code="invalid_api_key")

    # What it makes

    def _made(self, ref: str, body: Mapping[str, Any], pictures: int) -> dict[str, Any]:
        n = body.get("n", 1)
        by_url = body.get("response_format", "url") == "url" and (self.local or body["model"].startswith("dall-e"))
        data = [self._entry(f"{ref}-{place}", drawn(body, place), by_url) for place in range(n - self.missing)]
        answer: dict[str, Any] = {"created": int(time.time()), "data": data}
        if not self.local and not body["model"].startswith("dall-e"):
            answer |= described(body) | {"usage": self.usage or used(body, pictures, details=True)}
        return answer

    def _entry(self, name: str, content: bytes, by_url: bool) -> dict[str, str]:
        if not by_url:
            return {"b64_json": base64.b64encode(content).decode()}
        self.outputs[name] = content, time.monotonic()
        return {"url": f"{self.host}/outputs/{name}"}

    async def _events(self, body: Mapping[str, Any], kind: str, pictures: int) -> AsyncIterator[str]:
        seconds = self.duration(body) / body["partial_images"]
        for place in range(body["partial_images"]):
            await asyncio.sleep(seconds if place else 0)
            event = {"type": f"{kind}.partial_image", "partial_image_index": place, **streamed(body, place + 1)}
            yield sse(event["type"], event)
        await asyncio.sleep(seconds)
        error = moderation("output") if "lurid" in body["prompt"] else self.stream_error
        if error:
            yield sse("error", {"type": "error", "error": error.error})
        elif not self.ends_early:
            usage = self.usage or used(body, pictures, details=False)
            yield sse(f"{kind}.completed", {"type": f"{kind}.completed", **streamed(body, 0), "usage": usage})

    async def _output(self, request: Request) -> Response:
        content, made = self.outputs.get(request.path_params["name"], (b"", float("-inf")))
        if time.monotonic() - made > self.lifetime:
            return Response("<Error><Code>AuthenticationFailed</Code></Error>", 403, media_type="application/xml")
        return Response(content, media_type="image/png")


def check_fields(body: Mapping[str, Any], *, edits: bool) -> None:
    """Whether the model is there and takes all that was sent."""
    model = body.get("model")
    if model not in FIELDS:
        raise Refused(400, f"Invalid value: {model!r}.", param="model", code="invalid_value")
    if edits and model == "dall-e-3":
        raise Refused(400, "Invalid value: 'dall-e-3'. Value must be 'dall-e-2'.", param="model", code="invalid_value")
    known = FIELDS[model] | ({"image", "mask", "input_fidelity"} if edits else set())
    if unknown := next((name for name in body if name.partition("[")[0] not in known), None):
        raise Refused(400, f"Unknown parameter: '{unknown}'.", param=unknown, code="unknown_parameter")
    if edits and body.keys().isdisjoint({"image", "image[]"}):
        raise missing("image")


def check_values(body: Mapping[str, Any]) -> None:
    model, n = body["model"], body.get("n", 1)
    if not 1 <= n <= (1 if model == "dall-e-3" else 10):
        raise Refused(400, f"Invalid 'n': {n}.", param="n", code="integer_above_max_value")
    if body.get("stream") and n > 1:
        raise Refused(400, "Streaming is only supported with n=1.")
    if not fits(model, body.get("size", "1024x1024")):
        raise Refused(400, f"Invalid size: {body['size']}.", param="size", code="invalid_value")
    if model.startswith(("gpt", "chatgpt")):
        wider = model.startswith(("gpt-image-2.5", "gpt-image-2.6"))
        if body.get("quality", "auto") not in (MORE_QUALITIES if wider else QUALITIES):
            raise Refused(400, f"Invalid value: '{body['quality']}'.", param="quality", code="invalid_value")


def fits(model: str, size: str) -> bool:
    if not model.startswith("gpt-image-2"):
        return size in SIZES.get(model, BASIC_SIZES)
    if size == "auto":
        return True
    width, height = (int(edge) for edge in size.split("x"))
    return (
        width % 16 == height % 16 == 0
        and max(width, height) <= min(3840, 3 * min(width, height))
        and 655_360 <= width * height <= 8_294_400
    )


def drawn(body: Mapping[str, Any], seed: int) -> bytes:
    """A picture of the shape that was asked for, a sixteenth as large."""
    size = body.get("size", "auto")
    width, height = (1024, 1024) if size == "auto" else (int(edge) for edge in size.split("x"))
    return picture(max(1, width // SCALE), max(1, height // SCALE), form=body.get("output_format", "png"), seed=seed)


def described(body: Mapping[str, Any]) -> dict[str, str]:
    known = {"background": "opaque", "output_format": "png", "quality": "medium", "size": "1024x1024"}
    return {name: body.get(name, value) for name, value in known.items()}


def streamed(body: Mapping[str, Any], seed: int) -> dict[str, Any]:
    content = base64.b64encode(drawn(body, seed)).decode()
    return {"b64_json": content, "created_at": int(time.time()), **described(body)}


def used(body: Mapping[str, Any], pictures: int, *, details: bool) -> dict[str, Any]:
    text, image = len(body["prompt"].split()), INPUT_PICTURE_TOKENS * pictures
    output = OUTPUT_TOKENS * body.get("n", 1) + PARTIAL_TOKENS * body.get("partial_images", 0)
    counts = {"input_tokens": text + image, "output_tokens": output, "total_tokens": text + image + output}
    told = {"output_tokens_details": {"image_tokens": output, "text_tokens": 0}} if details else {}
    return {**counts, "input_tokens_details": {"text_tokens": text, "image_tokens": image}, **told}


def sse(name: str, event: Mapping[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(event)}\n\n"


async def left_or(request: Request, seconds: float) -> None:
    """Wait so long, or until the caller has left."""
    try:
        async with asyncio.timeout(seconds):
            while (await request.receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return


def form_of(content_type: str, body: bytes) -> tuple[dict[str, str], dict[str, bytes]]:
    """The fields and the files of a multipart form."""
    boundary = content_type.partition("boundary=")[2].encode()
    fields: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for part in body.split(b"--" + boundary)[1:-1]:
        head, _, content = part.removeprefix(b"\r\n").removesuffix(b"\r\n").partition(b"\r\n\r\n")
        name = head.decode().partition('name="')[2].partition('"')[0]
        if b"filename=" in head:  # one that is repeated: image[], image[]1, image[]2
            repeats = sum(known.startswith(name) for known in files) if name.endswith("[]") else 0
            files[f"{name}{repeats or ''}"] = content
        else:
            fields[name] = content.decode()
    return fields, files
