"""fal.ai's queue, as it looks from outside: https://fal.ai/docs/documentation/model-apis/inference/queue."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from services.backends.base import Fake, picture

Outcome = Literal["ok", "nsfw", "policy", "invalid", "crash", "unavailable", "nothing"]

SIZES = {"square_hd": (64, 64), "square": (32, 32), "landscape_4_3": (64, 48), "landscape_16_9": (64, 36)}
SIZES |= {"portrait_4_3": (48, 64), "portrait_16_9": (36, 64)}

ERRORS: Mapping[str, tuple[int, dict[str, Any], dict[str, str]]] = {
    "policy": (
        422,
        {
            "detail": [
                {"loc": ["body", "prompt"], "msg": "The content was flagged.", "type": "content_policy_violation"}
            ]
        },
        {"x-fal-retryable": "false"},
    ),
    "invalid": (
        422,
        {"detail": [{"loc": ["body", "seed"], "msg": "Input should be less.", "type": "less_than_equal"}]},
        {"x-fal-retryable": "false"},
    ),
    "crash": (
        500,
        {"detail": [{"loc": ["body"], "msg": "Internal server error", "type": "internal_server_error"}]},
        {"x-fal-retryable": "true"},
    ),
    "unavailable": (
        503,
        {"detail": "The runner disconnected", "error_type": "runner_disconnected"},
        {"x-fal-error-type": "runner_disconnected"},
    ),
    "cancelled": (
        499,
        {"detail": "The request was cancelled", "error_type": "client_cancelled"},
        {"x-fal-error-type": "client_cancelled"},
    ),
}

PROPERTIES = {
    "prompt": {"type": "string"},
    "num_images": {"type": "integer", "minimum": 1, "maximum": 4, "default": 1},
    "seed": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    "num_inference_steps": {"type": "integer", "minimum": 1, "maximum": 12, "default": 4},
    "image_size": {
        "anyOf": [{"$ref": "#/components/schemas/ImageSize"}, {"enum": [*SIZES], "type": "string"}],
        "default": "landscape_4_3",
    },
    "output_format": {"enum": ["jpeg", "png"], "type": "string", "default": "jpeg"},
    "enable_safety_checker": {"type": "boolean", "default": True},
}


@dataclass(slots=True)
class Queued:
    """A request in the queue."""

    id: str
    app: str
    body: Mapping[str, Any]
    outcome: Outcome | Literal["cancelled"]
    starts: float
    ends: float
    pictures: dict[str, bytes] = field(default_factory=dict)


class FalFake(Fake):
    """Endpoints: `create`, `status`, `result`, `cancel`, `output`, `models` (the catalogue).

    `outcome`: what becomes of the requests from now on. `waits`: seconds that they wait in the queue before they
    start; `seconds` more, and `step_seconds` for each step, and they end; `hangs`: they never do. `expired`: whether
    pictures are gone. `knows_apps`: whether the catalogue has the app.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reset(self.seconds)

    def reset(self, seconds: float = 0.0) -> None:
        """Be as new."""
        for kept in (self.created, self.calls, self.faults):
            kept.clear()
        self.seconds = seconds
        self.waits = self.step_seconds = 0.0
        self.outcome: Outcome = "ok"
        self.hangs = self.expired = False
        self.knows_apps = True
        self.requests: dict[str, Queued] = {}

    @property
    def routes(self) -> Sequence[BaseRoute]:
        one = "/{owner}/{app}/requests/{id}"
        return [
            Route("/v1/models", self._models, methods=["GET"], name="models"),
            Route("/files/{id}/{name}", self._output, methods=["GET"], name="output"),
            Route(f"{one}/status", self._status, methods=["GET"], name="status"),
            Route(f"{one}/cancel", self._cancel, methods=["PUT"], name="cancel"),
            Route(one, self._result, methods=["GET"], name="result"),
            Route("/{app:path}", self._create, methods=["POST"], name="create"),
        ]

    def forget(self) -> None:
        """Know no request any more."""
        self.requests.clear()

    async def _create(self, request: Request) -> Response:
        if not self._knows(request):
            return JSONResponse({"detail": "Authentication is required to access this application"}, 401)
        body = json.loads(await request.body())
        app, now = request.path_params["app"], time.monotonic()
        starts = now + self.waits
        lasts = self.seconds + self.step_seconds * body.get("num_inference_steps", 0)
        ends = float("inf") if self.hangs else starts + lasts
        queued = Queued(str(uuid4()), app, body, self.outcome, starts, ends)
        self.requests[queued.id] = queued
        self.record(queued.id, body)
        return JSONResponse({"status": "IN_QUEUE", "queue_position": 0, **self._urls(queued), "logs": None})

    async def _status(self, request: Request) -> Response:
        queued = self._found(request)
        if isinstance(queued, Response):
            return queued
        now = time.monotonic()
        if now < queued.starts:
            return JSONResponse({"status": "IN_QUEUE", "queue_position": 1, **self._urls(queued)}, 202)
        logs = self._logs(queued, now) if request.query_params.get("logs") == "1" else None
        if now < queued.ends:
            return JSONResponse({"status": "IN_PROGRESS", "logs": logs, **self._urls(queued)}, 202)
        answer = {"status": "COMPLETED", "logs": logs, "metrics": {"inference_time": 0.25}, **self._urls(queued)}
        if queued.outcome in ERRORS:
            answer |= {"error": "it failed", "error_type": ERRORS[queued.outcome][1].get("error_type")}
        return JSONResponse(answer)

    async def _result(self, request: Request) -> Response:
        queued = self._found(request)
        if isinstance(queued, Response):
            return queued
        if time.monotonic() < queued.ends:
            return JSONResponse({"detail": "Request is still in progress"}, 400)
        if queued.outcome in ERRORS:
            status, body, headers = ERRORS[queued.outcome]
            return JSONResponse(body, status, headers)
        seed = queued.body.get("seed", 7)
        size = queued.body.get("image_size", "landscape_4_3")
        width, height = (size["width"], size["height"]) if isinstance(size, dict) else SIZES[size]
        n = 0 if queued.outcome == "nothing" else queued.body.get("num_images", 1)
        queued.pictures = {f"{index}.png": picture(width, height, seed=seed + index) for index in range(n)}
        images = [
            {
                "url": f"{self.url}/files/{queued.id}/{name}",
                "width": width,
                "height": height,
                "content_type": "image/png",
            }
            for name in queued.pictures
        ]
        answer = {"images": images, "timings": {"inference": 0.25}, "seed": seed, "prompt": queued.body["prompt"]}
        return JSONResponse(answer | {"has_nsfw_concepts": [queued.outcome == "nsfw"] * n})

    async def _cancel(self, request: Request) -> Response:
        queued = self._found(request, {"status": "NOT_FOUND"})
        if isinstance(queued, Response):
            return queued
        if time.monotonic() >= queued.ends:
            return JSONResponse({"status": "ALREADY_COMPLETED"}, 400)
        queued.outcome, queued.ends = "cancelled", time.monotonic()
        return JSONResponse({"status": "CANCELLATION_REQUESTED"}, 202)

    async def _output(self, request: Request) -> Response:
        queued = self.requests.get(request.path_params["id"])
        content = queued.pictures.get(request.path_params["name"]) if queued and not self.expired else None
        return Response(content, media_type="image/png") if content else Response("not found", 404)

    async def _models(self, request: Request) -> Response:
        asked = request.query_params.get("endpoint_id", "")
        schemas = {
            "Input": {"type": "object", "properties": PROPERTIES, "required": ["prompt"]},
            "ImageSize": {
                "type": "object",
                "properties": {"width": {"type": "integer"}, "height": {"type": "integer"}},
            },
        }
        schema = {"$ref": "#/components/schemas/Input"}
        post = {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
        document = {"openapi": "3.0.4", "paths": {f"/{asked}": {"post": post}}, "components": {"schemas": schemas}}
        models = [{"endpoint_id": asked, "metadata": {"status": "active"}, "openapi": document}]
        return JSONResponse({"models": models if self.knows_apps else [], "next_cursor": None, "has_more": False})

    def _knows(self, request: Request) -> bool:
        return request.headers.get("authorization") == f"Key {self.key}"

    def _found(self, request: Request, otherwise: Any = None) -> Queued | Response:
        if not self._knows(request):
            return JSONResponse({"detail": "Authentication is required to access this application"}, 401)
        queued = self.requests.get(request.path_params["id"])
        return queued or JSONResponse(otherwise or {"detail": "Request not found"}, 404)

    def _urls(self, queued: Queued) -> dict[str, str]:
        """An app of three segments is polled by two."""
        response = f"{self.url}/{'/'.join(queued.app.split('/')[:2])}/requests/{queued.id}"
        urls = {"response_url": response, "status_url": f"{response}/status", "cancel_url": f"{response}/cancel"}
        return {"request_id": queued.id, **urls}

    def _logs(self, queued: Queued, now: float) -> list[dict[str, str]]:
        whole = queued.ends - queued.starts
        percent = 100 if whole <= 0 else min(100, int(100 * (now - queued.starts) / whole))
        bars = [f"{each:3d}%|{'#' * (each // 10):10}| {each}/100 [00:01<00:01, 9.9it/s]" for each in (0, percent)]
        words = ["Loading pipeline components...: 100%|##########| 7/7 [00:00<00:00]", *bars]
        stamp = "2026-01-01T00:00:00Z"
        return [{"timestamp": stamp, "level": "STDERR", "source": "USER", "message": each} for each in words]
