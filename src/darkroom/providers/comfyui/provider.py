"""One's own GPU behind a ComfyUI server.

A run goes by an id that we choose, and `Accepted` says it before anything is sent: so a process that ends at any time
leaves the id behind, and the server can be asked whether it knows it. One that does not (it never got the run, or was
restarted: its queue and history are in memory) gets the run again under the same id. An old server (before
Comfy-Org/ComfyUI#8189, 2025) chooses an id itself; there the run is found by its client id, which is ours.
"""

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlencode
from uuid import uuid4

import httpx2

from darkroom.errors import Interrupted, InvalidRequest, Permanent, ProviderError, SubmissionUncertain, Transient
from darkroom.media.model import Request
from darkroom.providers.base import (
    NO_OPTIONS,
    Accepted,
    Capabilities,
    Event,
    Finished,
    Options,
    Produced,
    Provider,
)
from darkroom.providers.comfyui import runs
from darkroom.providers.comfyui.runs import Ended, Run
from darkroom.providers.comfyui.watch import Watch
from darkroom.providers.comfyui.workflow import MOST, PICTURES, Workflow
from darkroom.providers.http import TIMEOUT, Backend, Headers
from darkroom.providers.parameters import picture_of, seed_of

URL: Final = "http://127.0.0.1:8188"
FOLDER: Final = "darkroom"
"""Where pictures that are sent go, below the server's `input` folder."""
LOOKED_THROUGH: Final = 256
"""Of the latest runs, how many are looked through for one that the server does not know by our id."""
STOPS: Final = 3
"""How often a run is told to stop that moves from the queue to the GPU meanwhile."""


class ComfyUI(Provider):
    """A ComfyUI server. A model is whatever the route's workflow makes; see `workflow` for the options.

    `key`: sent as a bearer token, for a server behind a proxy. `poll`: the first rest between two looks at a run, in
    seconds.
    """

    capabilities = Capabilities(resumes=True, cancels=True, reports_progress=True, max_n=MOST, remote=True)

    def __init__(
        self,
        *,
        key: str | None = None,
        url: str = URL,
        timeout: float = TIMEOUT,
        headers: Headers | None = None,
        poll: float = 0.5,
    ) -> None:
        self._authorization = {"Authorization": f"Bearer {key}"} if key else {}
        self._headers = headers or dict
        self._poll = poll
        self._server = Backend(
            "ComfyUI", url, authorization=self._authorization, timeout=timeout, headers=headers, refusal=_meaning
        )

    def describe(self, model: str) -> str:
        return f"{model} on a ComfyUI server"

    def schema(self, model: str, options: Options = NO_OPTIONS) -> dict[str, Any] | None:
        return Workflow.load(options).schema

    async def generate(self, request: Request, *, resume: str | None) -> AsyncIterator[Event]:
        workflow = _workflow(request)
        nodes = workflow.filled(request)
        ref = resume or str(uuid4())
        if resume is None:
            yield Accepted(ref)
        async with self._watch(ref) as watch:
            run = await self._find(ref, ref) if resume else None
            if run is None:
                await self._upload(request, workflow, nodes)
                await watch.open()
                run = Run(await self._submit(ref, nodes))
            while isinstance(run, Run):
                watch.prompt_id = run.id
                while (heard := await watch.hear()) is not None:
                    yield heard
                run = await self._find(ref, run.id)
        if run is None:
            raise Interrupted("ComfyUI does not know the run any more: it was restarted, or someone removed the run")
        seed = seed_of(request) if "seed" in workflow.targets else None
        for index, picture in enumerate(run.pictures(workflow.outputs, request.n)):
            yield Produced(index, await self._download(picture), seed)
        yield Finished(seconds=run.seconds)

    async def cancel(self, ref: str) -> None:
        for _ in range(STOPS):
            run = await self._queued(ref)
            if run is None:
                return
            if run.is_running:  # a server before Comfy-Org/ComfyUI#9607 stops whatever runs: so only if that is ours
                await self._server.ask("POST", "interrupt", json={"prompt_id": run.id})
                return
            await self._server.ask("POST", "queue", json={"delete": [run.id]})
        raise Transient("ComfyUI does not stop the run")

    async def aclose(self) -> None:
        await self._server.aclose()

    def _watch(self, ref: str) -> Watch:
        return Watch(self._server.url, ref, {**self._headers(), **self._authorization}, rest=self._poll)

    # Before it is taken

    async def _upload(self, request: Request, workflow: Workflow, nodes: dict[str, Any]) -> None:
        """Send the pictures that the request has, and name them in `nodes`."""
        for name in PICTURES:
            if name in request.parameters and name in workflow.targets:
                kind, content = picture_of(request.parameters[name])
                workflow.place(nodes, workflow.targets[name], await self._sent(kind, content))

    async def _sent(self, kind: str, content: bytes) -> str:
        """Send a picture, once for the same bytes; its name there. Raises `Transient`: nothing was submitted yet."""
        name = f"{hashlib.sha256(content).hexdigest()[:32]}.{kind.rpartition('/')[2]}"
        form = {"type": "input", "subfolder": FOLDER}
        try:
            answer = await self._server.ask("POST", "upload/image", data=form, files={"image": (name, content, kind)})
            return "/".join(part for part in (answer["subfolder"], answer["name"]) if part)
        except Interrupted as error:
            raise Transient(error.message, retry_after=error.retry_after) from error
        except (KeyError, TypeError) as error:
            raise Transient("ComfyUI does not say what it calls the picture that it was sent") from error

    async def _submit(self, ref: str, nodes: Mapping[str, Any]) -> str:
        """Submit a run; its id at the server. Where the answer got lost it may be there: that shows when looking."""
        with suppress(SubmissionUncertain):
            answer = await self._server.create("prompt", json={"prompt": nodes, "prompt_id": ref, "client_id": ref})
            if isinstance(answer, Mapping):
                return str(answer.get("prompt_id", ref))
        return ref

    # Afterwards

    async def _find(self, ref: str, prompt_id: str) -> Run | Ended | None:
        """What the server knows of a run. It goes from the queue to the history, so it is looked for in that order."""
        queued = await self._queued(ref)
        if queued is not None:
            return queued
        for path in (f"history/{prompt_id}", f"history?max_items={LOOKED_THROUGH}"):
            found = runs.ended(await self._look(path), ref)
            if found is not None:
                return found
        return None

    async def _download(self, picture: Mapping[str, str]) -> bytes:
        return await self._server.download(f"{self._server.url}/view?{urlencode(picture)}")

    async def _queued(self, ref: str) -> Run | None:
        return runs.queued(await self._look("queue"), ref)

    async def _look(self, path: str) -> Any:
        return await self._server.look(path, rest=self._poll)


def _workflow(request: Request) -> Workflow:
    try:
        return Workflow.load(request.options)
    except InvalidRequest as error:
        raise Permanent(f"the workflow of {request.model} cannot be used: {error.field} is wrong") from error


def _meaning(response: httpx2.Response, body: Any) -> ProviderError | None:
    """What is wrong with a workflow, where the server says it."""
    if response.status_code != 400 or not isinstance(body, Mapping) or "node_errors" not in body:
        return None
    return Permanent(f"ComfyUI does not take the workflow: {runs.complaint(body)}")
