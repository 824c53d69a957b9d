"""The API of Black Forest Labs, as it looks from outside: https://docs.bfl.ai."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from services.backends.base import Fake, picture

Outcome = Literal["Ready", "Error", "Request Moderated", "Content Moderated", "Reticulating"]


@dataclass(slots=True)
class Task:
    """A task at BFL."""

    id: str
    body: Mapping[str, Any]
    outcome: Outcome
    starts: float
    ends: float

    @property
    def size(self) -> tuple[int, int]:
        return self.body.get("width", 64), self.body.get("height", 48)


class BFLFake(Fake):
    """Endpoints: `create`, `poll`, `output`.

    `outcome`: what becomes of the tasks from now on. `waits`: seconds before they show progress; `seconds` more, and
    they end; `hangs`: they never do. `expired`: whether pictures are gone. `region`: the origin of polling URLs.
    `active_tasks`: how many an account may have at once. `has_credits`: else 402.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reset(self.seconds)

    def reset(self, seconds: float = 0.0) -> None:
        """Be as new."""
        for kept in (self.created, self.calls, self.faults):
            kept.clear()
        self.seconds = seconds
        self.waits = 0.0
        self.outcome: Outcome = "Ready"
        self.hangs = self.expired = False
        self.active_tasks = 24
        self.has_credits = True
        self.region = self.url
        self.tasks: dict[str, Task] = {}

    @property
    def routes(self) -> Sequence[BaseRoute]:
        return [
            Route("/v1/get_result", self._poll, methods=["GET"], name="poll"),
            Route("/results/{id}/sample.jpeg", self._output, methods=["GET"], name="output"),
            Route("/v1/{model}", self._create, methods=["POST"], name="create"),
        ]

    def forget(self) -> None:
        """Know no task any more."""
        self.tasks.clear()

    async def _create(self, request: Request) -> Response:
        if not self._knows(request):
            return JSONResponse({"detail": "Not authenticated"}, 403)
        if not self.has_credits:
            return JSONResponse({"detail": "Insufficient credits"}, 402)
        now = time.monotonic()
        if sum(now < task.ends for task in self.tasks.values()) >= self.active_tasks:
            return JSONResponse({"detail": "Rate limit exceeded: too many active tasks"}, 429)
        body = json.loads(await request.body())
        if wrong := _wrong(body):
            return JSONResponse({"detail": [wrong]}, 422)
        starts = now + self.waits
        task = Task(str(uuid4()), body, self.outcome, starts, float("inf") if self.hangs else starts + self.seconds)
        self.tasks[task.id] = task
        self.record(task.id, body)
        polling_url = f"{self.region}/v1/get_result?id={task.id}"
        return JSONResponse({"id": task.id, "polling_url": polling_url, "cost": 3.0, "input_mp": 0, "output_mp": 1.0})

    async def _poll(self, request: Request) -> Response:
        if not self._knows(request):
            return JSONResponse({"detail": "Not authenticated"}, 403)
        task, now = self.tasks.get(request.query_params.get("id", "")), time.monotonic()
        if task is None:
            return JSONResponse(_answer(request.query_params.get("id"), "Task not found"))
        if now < task.ends:
            whole = task.ends - task.starts
            progress = None if now < task.starts else (now - task.starts) / whole
            return JSONResponse(_answer(task.id, "Pending", progress=progress))
        if task.outcome != "Ready":
            details = {"Moderation Reasons": ["Derivative Works Filter"]} if "Moderated" in task.outcome else None
            return JSONResponse(_answer(task.id, task.outcome, details=details))
        sample = f"{self.url}/results/{task.id}/sample.jpeg?sig=signed"
        result = {"sample": sample, "prompt": task.body["prompt"], "seed": task.body.get("seed", 7), "duration": 1.5}
        return JSONResponse(_answer(task.id, "Ready", result=result, progress=1.0))

    async def _output(self, request: Request) -> Response:
        task = self.tasks.get(request.path_params["id"])
        if task is None or self.expired:
            return Response("<Error><Code>AuthenticationFailed</Code></Error>", 403, media_type="application/xml")
        return Response(picture(*task.size, form="JPEG", seed=task.body.get("seed", 7)), media_type="image/jpeg")

    def _knows(self, request: Request) -> bool:
        return request.headers.get("x-key") == self.key


def _answer(task_id: str | None, status: str, **said: Any) -> dict[str, Any]:
    return {"id": task_id, "status": status, "result": None, "progress": None, "details": None, "preview": None, **said}


def _wrong(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """What is wrong with a request, in the shape of FastAPI."""
    if not body.get("prompt"):
        return {"loc": ["body", "prompt"], "msg": "Field required", "type": "missing"}
    for name in ("width", "height"):
        if body.get(name, 64) < 32:
            return {"loc": ["body", name], "msg": "Input should be greater", "type": "greater_than_equal"}
    return None
