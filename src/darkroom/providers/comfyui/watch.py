"""What a ComfyUI server tells of one run over its websocket.

It is a convenience: progress, previews, and a hint that the run has ended. What became of it is asked over HTTP.
"""

import asyncio
import json
import struct
from collections.abc import Mapping
from typing import Any, Final, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from darkroom.providers.base import Preview, Progress
from darkroom.providers.http import SLOWEST

OPENING: Final = 5.0
"""Seconds that the websocket gets to open."""
CLOSING: Final = 1.0
CHANCES: Final = 5
"""How often it is opened for one run; then it is done without."""
MOST_FRAME: Final = 32 * 1024 * 1024
MOST_FRAMES: Final = 1024
"""Unread ones. Beyond that the server has to wait for us, and so do its other clients."""

FEATURES: Final = json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
"""Said first: previews then come with the id of their run."""

ENDS: Final = frozenset({"execution_success", "execution_error", "execution_interrupted"})
PREVIEW: Final = 1
PREVIEW_WITH_METADATA: Final = 4


class Watch:
    """Listens to one run. `client`: the id that the run was submitted by; the server sends its messages there alone.

    `prompt_id`: its id at the server, set as soon as that is known. `rest`: the first rest between two looks at the
    run, in seconds; the others are longer.
    """

    def __init__(self, url: str, client: str, headers: Mapping[str, str], *, rest: float) -> None:
        self.prompt_id = client
        self._url = f"ws{url.removeprefix('http')}/ws?clientId={client}"
        self._headers = headers
        self._rest, self._longest = rest, rest * SLOWEST
        self._until: float | None = None
        self._socket: ClientConnection | None = None
        self._chances = CHANCES
        self._runs = False
        self._steps = Steps()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Open the websocket, if it is not and can be."""
        if self._socket is not None or self._chances == 0:
            return
        self._chances -= 1
        try:
            self._socket = await connect(
                self._url, additional_headers=self._headers, open_timeout=OPENING, close_timeout=CLOSING,
                max_size=MOST_FRAME, max_queue=MOST_FRAMES, proxy=None,
            )  # fmt: skip
            await self._socket.send(FEATURES)
        except (OSError, TimeoutError, WebSocketException):
            await self.close()

    async def close(self) -> None:
        """Close it. May be called twice."""
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()

    async def hear(self) -> Progress | Preview | None:
        """The next thing that is told; None: it is time to look at the run. Without a websocket this just waits."""
        await self.open()
        if self._until is None:
            self._until = asyncio.get_running_loop().time() + self._rest
        try:
            async with asyncio.timeout_at(self._until):
                heard = await self._next()
        except TimeoutError:
            heard = None
        if heard is None:
            self._until, self._rest = None, min(self._rest * 1.5, self._longest)
        return heard

    async def _next(self) -> Progress | Preview | None:
        while self._socket is not None:
            try:
                message = await self._socket.recv()
            except ConnectionClosed:
                await self.close()
                return None
            heard, is_over = self._told(message)
            if heard is not None or is_over:
                return heard
        await asyncio.Event().wait()
        return None

    def _told(self, message: str | bytes) -> tuple[Progress | Preview | None, bool]:
        """What a message says of our run, and whether the run has ended."""
        if isinstance(message, bytes):
            return self._preview(message), False
        try:
            told = json.loads(message)
            kind, data = told["type"], told["data"]
            if data["prompt_id"] != self.prompt_id:
                return None, False
        except (ValueError, KeyError, TypeError):
            return None, False
        self._runs = True
        if kind == "progress":
            return self._steps.reach({data.get("node"): data}), False
        if kind == "progress_state":
            return self._steps.reach(data.get("nodes")), False
        return None, kind in ENDS or (kind == "executing" and data.get("node") is None)

    def _preview(self, frame: bytes) -> Preview | None:
        """The picture in a frame. One that does not name its run is ours only while ours is running."""
        try:
            kind, length = struct.unpack_from(">II", frame)
            if kind == PREVIEW and self._runs:
                return Preview(frame[8:])
            if kind == PREVIEW_WITH_METADATA and json.loads(frame[8 : 8 + length])["prompt_id"] == self.prompt_id:
                return Preview(frame[8 + length :])
        except (struct.error, ValueError, KeyError, TypeError):
            pass
        return None


class Steps:
    """How many steps are done of all the nodes that count steps, as far as they have shown themselves."""

    def __init__(self) -> None:
        self._nodes: dict[Any, tuple[int, int]] = {}
        self._last = Progress(0, 0)

    def reach(self, nodes: Any) -> Progress | None:
        """Take in what nodes say of themselves (`value` of `max`); the progress, where there is some."""
        for node, said in nodes.items() if isinstance(nodes, Mapping) else ():
            self._take(node, said)
        total = max(self._last.total, sum(most for _, most in self._nodes.values()))
        step = sum(value for value, _ in self._nodes.values())
        if step <= self._last.step:
            return None
        self._last = Progress(step, total)
        return self._last

    def _take(self, node: Any, said: Any) -> None:
        try:
            value, most = int(said["value"]), int(said["max"])
        except (KeyError, TypeError, ValueError):
            return
        if most > 1:
            self._nodes[node] = min(value, most), most
