"""What a provider made, on its way into the store: developed, put there, and told to the record."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from darkroom.engine.catalogue import Route
from darkroom.engine.transitions import reporting
from darkroom.engine.transitions.base import prefix_of
from darkroom.engine.transitions.leasing import Task
from darkroom.imaging import Description, Developer, Picture
from darkroom.media.events import Stored
from darkroom.media.model import File
from darkroom.providers.base import Produced
from darkroom.storage.base import Storage
from darkroom.telemetry import traces

LANDING = 2.0
"""Seconds that a put gets to end when its job is stopped: what lands later is not cleared with the rest."""


@dataclass(slots=True)
class Made:
    """What a provider gave: pictures by index, what it says that they cost, and how long it worked in seconds."""

    pictures: dict[int, Produced] = field(default_factory=dict)
    cost: Decimal | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Keeper:
    """Keeps the pictures of one job. `insist` does what it is given until the store takes it."""

    task: Task
    storage: Storage
    developer: Developer
    now: Callable[[], datetime]
    insist: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]

    async def keep(self, route: Route, made: Made) -> reporting.Complete:
        """Develop and store all of `made`; what there is to report.

        Raises:
            InvalidOutput: one of them is no picture.
            OutputTooLarge: one of them is larger than what is taken.
        """
        media, job = self.task.media, self.task.job
        files, stored = [], []
        for index, produced in sorted(made.pictures.items()):
            with traces.span("develop", index=index):
                picture = await self.developer.develop(
                    produced.content,
                    output_format=media.parameters.get("output_format"),
                    description=Description(media.prompt, media.model, produced.seed, media.parameters),
                )
            files.append(await self._store(index, picture, produced.seed))
            stored.append(Stored(media.id, job.id, self.now(), index, picture.content_type, len(picture.content)))
        return reporting.Complete(
            job.id, self.now(), route.provider_name, tuple(files), tuple(stored), self._cost(route, made, files),
            media.model, route.account if route.account.guarded else None, route.label, media.webhook,
        )  # fmt: skip

    def _cost(self, route: Route, made: Made, files: Sequence[File]) -> Decimal | None:
        """What the backend said that it cost, or else what it should, by the route's price."""
        if made.cost is not None or route.price is None:
            return made.cost
        sizes = [(file.width, file.height) for file in files]
        return route.price.cost(self.task.media.parameters, sizes, made.seconds)

    async def _store(self, index: int, picture: Picture, seed: int | None) -> File:
        base = f"{prefix_of(self.task.media.id, self.task.job.id)}{index}"
        key, thumbnail_key = f"{base}.{picture.extension}", None
        await self._put(key, picture.content, picture.content_type)
        if picture.thumbnail is not None:
            thumbnail_key = f"{base}.thumbnail.webp"
            await self._put(thumbnail_key, picture.thumbnail, "image/webp")
        return File(
            media_id=self.task.media.id, index=index, key=key, thumbnail_key=thumbnail_key,
            content_type=picture.content_type, width=picture.width, height=picture.height,
            bytes=len(picture.content), sha256=picture.sha256, placeholder=picture.placeholder, seed=seed,
        )  # fmt: skip

    async def _put(self, key: str, content: bytes, content_type: str) -> None:
        with traces.span("store", "client", bytes=len(content)):
            await self.insist(lambda: self._land(key, content, content_type))

    async def _land(self, key: str, content: bytes, content_type: str) -> None:
        """Put, and if the job is stopped meanwhile, wait for the end: no file may appear after the clean-up."""
        putting = asyncio.ensure_future(self.storage.put(key, content, content_type=content_type))
        try:
            await asyncio.shield(putting)
        except asyncio.CancelledError:
            await asyncio.wait([putting], timeout=LANDING)
            putting.cancel()
            raise
