"""A ComfyUI server, as its server.py, execution.py and main.py are.

It knows the nodes of the text-to-image and image-to-image workflows that come with ComfyUI, runs one workflow at a
time, and forgets its queue and its history when it is restarted. `workflow()` makes such a workflow.
"""

import asyncio
import json
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from email import message_from_bytes
from typing import Any, Literal
from uuid import UUID, uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from services.backends.base import Fake, picture

CHECKPOINTS = ["v1-5-pruned-emaonly.safetensors"]
CLASSES = {
    "CheckpointLoaderSimple", "CLIPTextEncode", "EmptyLatentImage", "KSampler", "LoadImage", "LoadImageMask",
    "PreviewImage", "SaveImage", "SetLatentNoiseMask", "VAEDecode", "VAEEncode",
}  # fmt: skip
OUTPUT_CLASSES = {"SaveImage": "output", "PreviewImage": "temp"}
FILE_CLASSES = ("LoadImage", "LoadImageMask")

Nodes = dict[str, Any]
Item = tuple[float, str, Nodes, dict[str, Any], list[str]]


def workflow(*, image: bool = False, preview_only: bool = False) -> Nodes:
    """The default workflow of ComfyUI in its API format; `image`: that from a picture and a mask."""
    nodes: Nodes = {
        "3": _node(
            "KSampler", seed=156680208700286, steps=20, cfg=8.0, sampler_name="euler", scheduler="normal", denoise=1.0,
            model=["4", 0], positive=["6", 0], negative=["7", 0], latent_image=["5", 0],
        ),
        "4": _node("CheckpointLoaderSimple", ckpt_name=CHECKPOINTS[0]),
        "5": _node("EmptyLatentImage", width=512, height=512, batch_size=1),
        "6": _node("CLIPTextEncode", text="a glass bottle", clip=["4", 1]),
        "7": _node("CLIPTextEncode", text="text, watermark", clip=["4", 1]),
        "8": _node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": _node("SaveImage", filename_prefix="ComfyUI", images=["8", 0]),
        "12": _node("PreviewImage", images=["8", 0]),
    }  # fmt: skip
    if image:
        nodes["10"] = _node("LoadImage", image="example.png")
        nodes["11"] = _node("LoadImageMask", image="example.png", channel="red")
        nodes["5"] = _node("VAEEncode", pixels=["10", 0], vae=["4", 2])
    if preview_only:
        del nodes["9"]
    return nodes


def _node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"inputs": inputs, "class_type": kind, "_meta": {"title": kind}}


class ComfyUIFake(Fake):
    """A ComfyUI server.

    Endpoints: create (POST /prompt), queue (GET) and dequeue (POST /queue), history (/history/{id}), histories
    (/history), output (/view), upload (/upload/image), interrupt, ws. What it does is in its attributes:

    seconds, step_seconds: how long a run takes, and each step of its sampler.
    guarded: whether a proxy before it asks for `key`.
    old: whether it is as before Comfy-Org/ComfyUI#8189 and #9607 (2025): it chooses ids itself, interrupts whatever
    runs, and sends previews that do not say whose they are.
    hangs: whether runs do not end. failure: what they fail of (the exception's message).
    websocket: whether /ws works, is refused, or never answers.
    """

    def __init__(self, *, seconds: float = 0.0, port: int = 0) -> None:
        super().__init__(seconds=seconds, port=port)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sockets: dict[str, WebSocket] = {}
        self._features: set[str] = set()
        self._worker: asyncio.Task[None] | None = None
        self.reset(seconds)

    def reset(self, seconds: float = 0.0) -> None:
        """Be as new."""
        self.seconds, self.step_seconds = seconds, 0.0
        self.guarded = self.old = self.hangs = False
        self.failure: str | None = None
        self.websocket: Literal["works", "refused", "hangs"] = "works"
        self.files: dict[tuple[str, str, str], bytes] = {("input", "", "example.png"): picture()}
        self._forget() if self._loop is None else self.restart()
        for kept in (self.created, self.calls, self.faults):
            kept.clear()

    @property
    def routes(self) -> Sequence[BaseRoute]:
        return [
            Route("/prompt", self._create, methods=["POST"], name="create"),
            Route("/queue", self._queue, methods=["GET"], name="queue"),
            Route("/queue", self._dequeue, methods=["POST"], name="dequeue"),
            Route("/history/{id}", self._history_of, methods=["GET"], name="history"),
            Route("/history", self._histories, methods=["GET"], name="histories"),
            Route("/view", self._view, methods=["GET"], name="output"),
            Route("/upload/image", self._upload, methods=["POST"], name="upload"),
            Route("/interrupt", self._interrupt, methods=["POST"], name="interrupt"),
            WebSocketRoute("/ws", self._ws, name="ws"),
        ]

    # What tests do to it

    def restart(self) -> None:
        """End the process and start it again: files stay, all else is forgotten, connections break."""
        self._in_loop(self._forget)

    def cut_websockets(self) -> None:
        """Break every websocket off."""
        self._in_loop(self._cut)

    def submit(self, nodes: Nodes | None = None, *, client: str | None = None) -> str:
        """Somebody else's run, by the web interface or (without a client) by a script; its id."""
        prompt_id = str(uuid4())
        extra = {"client_id": client} if client else {}
        self._in_loop(lambda: self._put(prompt_id, nodes or workflow(), extra))
        return prompt_id

    def state(self, prompt_id: str) -> str:
        """ "pending", "running", "success", "error", or "unknown"."""
        if self._running is not None and self._running[1] == prompt_id:
            return "running"
        if any(item[1] == prompt_id for item in self._pending):
            return "pending"
        return str(self.history[prompt_id]["status"]["status_str"]) if prompt_id in self.history else "unknown"

    @property
    def waiting(self) -> list[str]:
        """The ids in the queue, the next one first."""
        return [item[1] for item in self._pending]

    @property
    def listeners(self) -> int:
        """How many websockets are open."""
        return len(self._sockets)

    def remove(self, prompt_id: str) -> None:
        """Somebody takes a run off the queue."""
        self._pending = [item for item in self._pending if item[1] != prompt_id]

    def _in_loop(self, do: Callable[[], Any]) -> None:
        async def done() -> None:
            do()

        assert self._loop is not None, "nobody has called it yet"
        asyncio.run_coroutine_threadsafe(done(), self._loop).result(5)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._loop = asyncio.get_running_loop()
        if self.guarded and scope["type"] == "http" and not self._is_let_in(scope):
            await Response(b'{"message": "Unauthorized"}', 401)(scope, receive, send)
            return
        await super().__call__(scope, receive, send)

    def _is_let_in(self, scope: Scope) -> bool:
        return dict(scope["headers"]).get(b"authorization") == f"Bearer {self.key}".encode()

    def _forget(self) -> None:
        self._number = 0
        self._pending: list[Item] = []
        self._running: Item | None = None
        self._interrupted = False
        self.history: dict[str, dict[str, Any]] = {}
        self._client: str | None = None
        if self._worker is not None:
            self._worker.cancel()
            self._worker = None
        self._cut()

    def _cut(self) -> None:
        sockets, self._sockets = self._sockets, {}
        self._features.clear()
        for socket in sockets.values():
            asyncio.ensure_future(socket.close(1011))  # noqa: RUF006 - it is over at once

    # Submitting

    async def _create(self, request: Request) -> Response:
        body = await request.json()
        if "prompt" not in body:
            return _refused("no_prompt", "No prompt provided", "No prompt provided")
        prompt_id = str(uuid4()) if self.old else body.get("prompt_id") or str(uuid4())
        if str(UUID(prompt_id)) != prompt_id:
            return _refused("invalid_prompt_id", "prompt_id must be a valid UUID", "")
        refusal = self._validated(body["prompt"])
        if refusal is not None:
            return refusal
        extra = {**body.get("extra_data", {}), "create_time": int(time.time() * 1000)}
        if "client_id" in body:
            extra["client_id"] = body["client_id"]
        number = self._put(prompt_id, body["prompt"], extra)
        return JSONResponse({"prompt_id": prompt_id, "number": number, "node_errors": {}})

    def _put(self, prompt_id: str, nodes: Nodes, extra: dict[str, Any]) -> int:
        outputs = [node for node in nodes if nodes[node]["class_type"] in OUTPUT_CLASSES]
        number, self._number = self._number, self._number + 1
        self._pending.append((number, prompt_id, nodes, extra, outputs))
        if self._worker is None or self._worker.done() or self._worker.get_loop() is not asyncio.get_running_loop():
            self._worker = asyncio.ensure_future(self._work())
        return number

    def _validated(self, nodes: Nodes) -> Response | None:
        for name, node in nodes.items():
            if node["class_type"] not in CLASSES:
                title = node.get("_meta", {}).get("title", node["class_type"])
                words = f"Node '{title}' not found. The custom node may not be installed."
                return _refused("missing_node_type", words, f"Node ID '#{name}'")
        errors = {name: list(self._wrong(node)) for name, node in nodes.items()}
        outputs = [node for node in nodes if nodes[node]["class_type"] in OUTPUT_CLASSES]
        if not outputs:
            return _refused("prompt_no_outputs", "Prompt has no outputs", "")
        if not any(errors.values()):
            return None
        told = {
            name: {"errors": each, "dependent_outputs": outputs, "class_type": nodes[name]["class_type"]}
            for name, each in errors.items()
            if each
        }
        lines = "\n".join(f"{error['message']}: {error['details']}" for each in errors.values() for error in each)
        return _refused("prompt_outputs_failed_validation", "Prompt outputs failed validation", lines, told)

    def _wrong(self, node: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        inputs = node["inputs"]
        if node["class_type"] == "CheckpointLoaderSimple" and inputs["ckpt_name"] not in CHECKPOINTS:
            details = f"ckpt_name: {inputs['ckpt_name']!r} not in {CHECKPOINTS}"
            yield _error("value_not_in_list", "Value not in list", details, "ckpt_name")
        if node["class_type"] in FILE_CLASSES:
            folder, _, name = inputs["image"].rpartition("/")
            if ("input", folder, name) not in self.files:
                details = f"image - Invalid image file: {inputs['image']}"
                yield _error("custom_validation_failed", "Custom validation failed for node", details, "image")

    # Looking

    async def _queue(self, request: Request) -> Response:
        running = [self._running] if self._running else []
        return JSONResponse({"queue_running": running, "queue_pending": self._pending})

    async def _history_of(self, request: Request) -> Response:
        wanted = request.path_params["id"]
        return JSONResponse({wanted: self.history[wanted]} if wanted in self.history else {})

    async def _histories(self, request: Request) -> Response:
        most = int(request.query_params.get("max_items", 10_000))
        return JSONResponse(dict(list(self.history.items())[-most:]))

    async def _view(self, request: Request) -> Response:
        query = request.query_params
        content = self.files.get((query.get("type", "output"), query.get("subfolder", ""), query["filename"]))
        return Response(status_code=404) if content is None else Response(content, media_type="image/png")

    async def _upload(self, request: Request) -> Response:
        parts = _parts(request.headers["content-type"], await request.body())
        (upload, content), kind = parts["image"], parts.get("type", ("", b"input"))[1].decode()
        folder = parts.get("subfolder", ("", b""))[1].decode()
        stem, _, ending = upload.rpartition(".")
        name, n = upload, 1
        while self.files.get((kind, folder, name), content) != content:
            name, n = f"{stem} ({n}).{ending}", n + 1
        self.files[kind, folder, name] = content
        return JSONResponse({"name": name, "subfolder": folder, "type": kind})

    # Stopping

    async def _dequeue(self, request: Request) -> Response:
        for prompt_id in (await request.json()).get("delete", ()):
            self.remove(prompt_id)
        return Response()

    async def _interrupt(self, request: Request) -> Response:
        body = await request.body()
        wanted = json.loads(body).get("prompt_id") if body and not self.old else None
        if self._running is not None and wanted in (None, self._running[1]):
            self._interrupted = True
        return Response()

    # Executing

    async def _work(self) -> None:
        while self._pending:
            self._running = self._pending.pop(0)
            await self._execute(self._running)

    async def _execute(self, item: Item) -> None:
        _, prompt_id, nodes, extra, _ = item
        self._client, self._interrupted = extra.get("client_id"), False
        self.record(prompt_id, {"prompt": nodes, "extra_data": extra})
        messages = [await self._report("execution_start", prompt_id=prompt_id)]
        messages.append(await self._report("execution_cached", nodes=[], prompt_id=prompt_id))
        outputs: dict[str, Any] = {}
        ending = await self._run(prompt_id, nodes)
        if ending is None:
            outputs = {node: {"images": self._saved(nodes, node)} for node in item[4]}
            ending = ("execution_success", {})
        messages.append(await self._report(ending[0], prompt_id=prompt_id, **ending[1]))
        done = ending[0] == "execution_success"
        status = {"status_str": "success" if done else "error", "completed": done, "messages": messages}
        self._running = None
        self.history[prompt_id] = {"prompt": item, "outputs": outputs, "status": status, "meta": {}}
        await self._tell("executing", {"node": None, "prompt_id": prompt_id})

    async def _run(self, prompt_id: str, nodes: Nodes) -> tuple[str, dict[str, Any]] | None:
        """Sample in steps. How it ended early, if it did: the message's name and data."""
        for node in nodes:
            await self._tell("executing", {"node": node, "display_node": node, "prompt_id": prompt_id})
        steps = int(nodes["3"]["inputs"]["steps"])
        at = {"node_id": "3", "node_type": "KSampler", "executed": ["4", "5"]}
        for step in range(1, steps + 1):
            until = time.monotonic() + self.seconds / steps + self.step_seconds
            while not self._interrupted and (self.hangs or time.monotonic() < until):
                await asyncio.sleep(0.005)
            if self._interrupted:
                return "execution_interrupted", at
            if self.failure is not None:
                words = {"exception_message": self.failure, "exception_type": "torch.OutOfMemoryError"}
                return "execution_error", {**at, **words, "traceback": [], "current_inputs": {}, "current_outputs": []}
            await self._progress(prompt_id, step, steps)
        return None

    async def _progress(self, prompt_id: str, step: int, steps: int) -> None:
        await self._tell("progress", {"value": step, "max": steps, "prompt_id": prompt_id, "node": "3"})
        state = {
            "value": float(step),
            "max": float(steps),
            "state": "running",
            "node_id": "3",
            "prompt_id": prompt_id,
        }
        loader = {"value": 1.0, "max": 1.0, "state": "finished", "node_id": "4", "prompt_id": prompt_id}
        if not self.old:
            await self._tell("progress_state", {"prompt_id": prompt_id, "nodes": {"4": loader, "3": state}})
        image = picture(16, 12, form="JPEG", seed=step)
        if self._client in self._features:
            metadata = json.dumps({"node_id": "3", "prompt_id": prompt_id, "image_type": "image/jpeg"}).encode()
            await self._send(struct.pack(">II", 4, len(metadata)) + metadata + image)
        else:
            await self._send(struct.pack(">II", 1, 1) + image)

    def _saved(self, nodes: Nodes, node: str) -> list[dict[str, str]]:
        kind = OUTPUT_CLASSES[nodes[node]["class_type"]]
        latent, sampler = nodes["5"]["inputs"], nodes["3"]["inputs"]
        width, height = min(latent.get("width", 64), 64), min(latent.get("height", 64), 64)
        prefix, images = nodes[node]["inputs"].get("filename_prefix", "ComfyUI_temp"), []
        for index in range(latent.get("batch_size", 1)):
            name = f"{prefix}_{len(self.files):05}_.png"
            self.files[kind, "", name] = picture(width, height, seed=sampler["seed"] + index)
            images.append({"filename": name, "subfolder": "", "type": kind})
        return images

    # Telling

    async def _report(self, event: str, **data: Any) -> tuple[str, dict[str, Any]]:
        data["timestamp"] = int(time.time() * 1000)
        await self._tell(event, data)
        return event, data

    async def _tell(self, event: str, data: Mapping[str, Any]) -> None:
        await self._send(json.dumps({"type": event, "data": data}))

    async def _send(self, message: str | bytes) -> None:
        """To the client whose run it is; to all, where that has none."""
        sids = list(self._sockets) if self._client is None else [self._client]
        for socket in [self._sockets[sid] for sid in sids if sid in self._sockets]:
            await _send(socket, message)

    async def _ws(self, socket: WebSocket) -> None:
        if self.websocket == "hangs":
            await asyncio.Event().wait()
        if self.websocket == "refused" or (self.guarded and not self._is_let_in(socket.scope)):
            await socket.close()
            return
        await socket.accept()
        sid = socket.query_params.get("clientId") or uuid4().hex
        self._sockets[sid] = socket
        waiting = len(self._pending) + bool(self._running)
        status = {"status": {"exec_info": {"queue_remaining": waiting}}, "sid": sid}
        await _send(socket, json.dumps({"type": "status", "data": status}))
        try:
            while True:
                said = await socket.receive_json()
                if said["type"] == "feature_flags" and said["data"].get("supports_preview_metadata") and not self.old:
                    self._features.add(sid)
                    await _send(socket, json.dumps({"type": "feature_flags", "data": {"max_upload_size": 104857600}}))
        except (WebSocketDisconnect, RuntimeError):
            pass  # it left, or was cut off
        finally:
            if self._sockets.get(sid) is socket:
                del self._sockets[sid]
                self._features.discard(sid)


async def _send(socket: WebSocket, message: str | bytes) -> None:
    with suppress(WebSocketDisconnect, RuntimeError, OSError):  # it left
        await (socket.send_bytes(message) if isinstance(message, bytes) else socket.send_text(message))


def _parts(content_type: str, body: bytes) -> dict[str, tuple[str, bytes]]:
    """The fields of a form by name: the file's name, if it is one, and the content."""
    form: Any = message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    return {
        part.get_param("name", header="content-disposition"): (part.get_filename() or "", part.get_payload(decode=True))
        for part in form.get_payload()
    }


def _error(kind: str, message: str, details: str, field: str) -> dict[str, Any]:
    return {"type": kind, "message": message, "details": details, "extra_info": {"input_name": field}}


def _refused(kind: str, message: str, details: str, node_errors: Mapping[str, Any] | None = None) -> Response:
    error = {"type": kind, "message": message, "details": details, "extra_info": {}}
    return JSONResponse({"error": error, "node_errors": node_errors or {}}, 400)
