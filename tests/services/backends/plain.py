"""A backend of no vendor's, with the adapter to it: what the engine does, without what is peculiar to a vendor."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import uuid4

from starlette.requests import Request as Asked
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from darkroom.errors import OutputExpired, Permanent, ProviderError, Rejected, Transient
from darkroom.media.model import Request
from darkroom.providers.base import NO_OPTIONS, Accepted, Capabilities, Event, Finished, Options, Produced, Provider
from darkroom.providers.http import Backend
from darkroom.providers.parameters import declared, schema_of
from services.backends.base import Fake, picture

Outcome = Literal["done", "failed", "wrong", "rejected", "cancelled"]
FAILURES: Mapping[str, type[ProviderError]] = {
    "failed": Transient, "wrong": Permanent, "rejected": Rejected, "cancelled": Transient,
}  # fmt: skip


@dataclass(slots=True)
class Made:
    """A picture on its way: what becomes of it, and when (monotonic)."""

    id: str
    body: Mapping[str, Any]
    outcome: Outcome
    ends: float


class PlainFake(Fake):
    """Endpoints: `create`, `list`, `status`, `cancel`, `output`.

    `outcome`: what becomes of what is begun from now on, `seconds` later, or never if it `hangs`. `costs`,
    `worked`: what it says of the price in US dollars and of its time in seconds. `size`: of its pictures.
    `cancelled`: the ids that it was told to stop. `most_at_once`: what was on its way at the same time, at most.
    """

    def __init__(self, *, seconds: float = 0.0, port: int = 0) -> None:
        super().__init__(seconds=seconds, port=port)
        self.reset(seconds)

    def reset(self, seconds: float = 0.0) -> None:
        """Be as new: for tests that share one, since stopping a server takes a while."""
        self.created, self.calls, self.faults = [], [], []
        self.seconds = seconds
        self.outcome: Outcome = "done"
        self.hangs = False
        self.costs: str | None = None
        self.worked: float | None = None
        self.size = (64, 48)
        self.cancelled: list[str] = []
        self.most_at_once = 0
        self.made: dict[str, Made] = {}

    @property
    def routes(self) -> Sequence[BaseRoute]:
        return [
            Route("/jobs", self._create, methods=["POST"], name="create"),
            Route("/jobs", self._list, methods=["GET"], name="list"),
            Route("/jobs/{id}", self._status, methods=["GET"], name="status"),
            Route("/jobs/{id}/cancel", self._cancel, methods=["POST"], name="cancel"),
            Route("/jobs/{id}/{index}.png", self._output, methods=["GET"], name="output"),
        ]

    def finish(self) -> None:
        """Be done with all that is on its way."""
        self.hangs = False
        for made in self.made.values():
            made.ends = min(made.ends, time.monotonic())

    @property
    def prompts(self) -> list[str]:
        """Those of what was begun, in order."""
        return [created.body["prompt"] for created in self.created]

    async def _create(self, asked: Asked) -> Response:
        if asked.headers.get("authorization") != f"Bearer {self.key}":
            return JSONResponse({"detail": "who are you?"}, 401)
        body, now = json.loads(await asked.body()), time.monotonic()
        ends = float("inf") if self.hangs else now + self.seconds
        made = Made(uuid4().hex, body, self.outcome, ends)
        self.made[made.id] = made
        self.most_at_once = max(self.most_at_once, sum(each.ends > now for each in self.made.values()))
        self.record(made.id, body)
        return JSONResponse({"id": made.id}, 201)

    async def _list(self, asked: Asked) -> Response:
        media = asked.query_params["media"]
        return JSONResponse([each.id for each in self.made.values() if each.body["media"] == media])

    async def _status(self, asked: Asked) -> Response:
        made = self.made.get(asked.path_params["id"])
        if made is None:
            return JSONResponse({"detail": "no such job"}, 404)
        state = "working" if time.monotonic() < made.ends else made.outcome
        return JSONResponse({"id": made.id, "state": state, "cost": self.costs, "seconds": self.worked})

    async def _cancel(self, asked: Asked) -> Response:
        made = self.made[asked.path_params["id"]]
        self.cancelled.append(made.id)
        if made.ends > time.monotonic():
            made.outcome, made.ends = "cancelled", time.monotonic()
        return JSONResponse({"id": made.id})

    async def _output(self, asked: Asked) -> Response:
        return Response(picture(*self.size), media_type="image/png")


class Plain(Provider):
    """The adapter. `poll`: seconds between two looks."""

    capabilities = Capabilities(resumes=True, cancels=True, remote=True, paid=True)

    def __init__(
        self, *, key: str | None = None, url: str = "http://127.0.0.1:9", timeout: float = 5.0, poll: float = 0.02
    ) -> None:
        self._key = key
        self._poll = poll
        self._backend = Backend("plain", url, authorization={"authorization": f"Bearer {key}"}, timeout=timeout)

    def problem(self) -> str | None:
        return None if self._key else "its key is not set"

    def describe(self, model: str) -> str:
        return model

    def schema(self, model: str, options: Options = NO_OPTIONS) -> dict[str, Any]:
        return schema_of(declared(options))

    async def generate(self, request: Request, *, resume: str | None) -> AsyncIterator[Event]:
        ref = resume
        if ref is None:
            body = {"prompt": request.prompt, "media": str(request.media_id), "model": request.model}
            answer = await self._backend.create("jobs", json={**body, **request.parameters, **request.extra})
            yield Accepted(ref := answer["id"])
        while (status := await self._status(ref))["state"] == "working":
            await asyncio.sleep(self._poll)
        if status["state"] != "done":
            raise FAILURES[status["state"]](f"plain says {status['state']}")
        for index in range(request.n):
            yield Produced(index, await self._backend.download(f"{self._backend.url}/jobs/{ref}/{index}.png"))
        yield Finished(cost=Decimal(status["cost"]) if status["cost"] else None, seconds=status["seconds"])

    async def _status(self, ref: str) -> Any:
        try:
            return await self._backend.ask("GET", f"jobs/{ref}")
        except Permanent as error:
            raise OutputExpired("plain does not know it any more") from error

    async def cancel(self, ref: str) -> None:
        await self._backend.ask("POST", f"jobs/{ref}/cancel", times=1)

    async def aclose(self) -> None:
        await self._backend.aclose()


class Listed(Plain):
    """The same, where what was asked for can be looked up."""

    capabilities = Capabilities(resumes=True, cancels=True, finds=True, remote=True, paid=True)

    async def find(self, request: Request, *, since: datetime) -> Sequence[str]:
        refs: list[str] = await self._backend.ask("GET", "jobs", times=1, params={"media": str(request.media_id)})
        return refs
