"""The client for an event loop."""

import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2

from darkroom_client import _making, _waiting
from darkroom_client._asking import Patience
from darkroom_client._calls import Calls, MediaId, id_of
from darkroom_client._decoding import Json
from darkroom_client._http import options
from darkroom_client._orders import Order, Picture, Source, merged
from darkroom_client._running_async import AsyncRunner
from darkroom_client._telling import Listeners
from darkroom_client.events import Event, PreviewEvent
from darkroom_client.files import AsyncFile, BaseFile, ContentLink, Link, Upload
from darkroom_client.media import AsyncMedia, Job, JobStatus, LogLine, Page, Progress
from darkroom_client.models import Model


class AsyncDarkroom:
    """A Darkroom service, on asyncio's event loop. Close it, or use it as a context manager.

    async with AsyncDarkroom() as darkroom:
        media = await darkroom.generate("a red fox in the snow")
        await media.files[0].save("fox.png")
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float | None = 30.0,
        max_retries: int = 3,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """`base_url`, `api_key`: left out, `DARKROOM_URL` and `DARKROOM_API_KEY` say them.

        `timeout`: seconds for one answer; None: no limit. `max_retries`: how often to ask again where that is safe.
        `transport`: how to connect, for certificates of your own, and for tests.
        """
        self.base_url = _making.address(base_url)
        given = options(self.base_url, _making.key(api_key), timeout)
        self._http = httpx2.AsyncClient(transport=transport, **given)
        self._runner = AsyncRunner(self._http, timeout)
        self._link = Link(self)
        self._calls = Calls(self._media, Patience(retries=max_retries))

    async def __aenter__(self) -> "AsyncDarkroom":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.base_url}>"

    async def aclose(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    def _media(self, body: Json) -> AsyncMedia:
        return _making.media_of(AsyncMedia, AsyncFile, body, self._link)

    # Asking for pictures

    async def generate(
        self, prompt: str, *, model: str | None = None,
        image: Picture | None = None, mask: Picture | None = None, images: Sequence[Picture] | None = None,
        priority: int | None = None, tags: Iterable[str] | None = None, metadata: Mapping[str, str] | None = None,
        webhook: str | None = None, webhook_events: Iterable[str] | None = None, max_tries: int | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None, on_progress: Callable[[Progress], object] | None = None,
        on_preview: Callable[[PreviewEvent], object] | None = None,
        parameters: Mapping[str, Any] | None = None, **more: Any,
    ) -> AsyncMedia:  # fmt: skip
        """Ask for pictures, and wait for them; the COMPLETED media.

        `more`: parameters of the model (`width=768, seed=7`); those whose names are taken here go into `parameters`.
        `timeout`: seconds for all of it. The listeners may be `async`. Raises `GenerationFailed`,
        `GenerationCancelled`, `WaitTimeout` (it goes on), `MediaDeleted`, `APIError`, `APIConnectionError`.
        """
        order = Order(
            prompt=prompt, model=model, parameters=merged(parameters, more), image=image, mask=mask, images=images,
            priority=priority, tags=tags, metadata=metadata, webhook=webhook, webhook_events=webhook_events,
            max_tries=max_tries, idempotency_key=idempotency_key,
        )  # fmt: skip
        calls = self._calls.until(timeout)
        return await self._runner.run(_waiting.generate(calls, order, Listeners(on_progress, on_preview)))

    async def submit(
        self, prompt: str, *, model: str | None = None,
        image: Picture | None = None, mask: Picture | None = None, images: Sequence[Picture] | None = None,
        priority: int | None = None, tags: Iterable[str] | None = None, metadata: Mapping[str, str] | None = None,
        webhook: str | None = None, webhook_events: Iterable[str] | None = None, max_tries: int | None = None,
        idempotency_key: str | None = None,
        parameters: Mapping[str, Any] | None = None, **more: Any,
    ) -> AsyncMedia:  # fmt: skip
        """Ask for pictures, and do not wait: the media is durably accepted, and will end.

        However often it has to ask, one media is made; for more than this call, give an `idempotency_key` of your own,
        1 to 255 visible ASCII characters.
        """
        order = Order(
            prompt=prompt, model=model, parameters=merged(parameters, more), image=image, mask=mask, images=images,
            priority=priority, tags=tags, metadata=metadata, webhook=webhook, webhook_events=webhook_events,
            max_tries=max_tries, idempotency_key=idempotency_key,
        )  # fmt: skip
        return await self._runner.run(self._calls.submit(order))

    async def wait(
        self, media: MediaId, *, timeout: float | None = None,
        on_progress: Callable[[Progress], object] | None = None,
        on_preview: Callable[[PreviewEvent], object] | None = None,
    ) -> AsyncMedia:  # fmt: skip
        """The media once it is COMPLETED. Raises what `generate` raises."""
        listeners = Listeners(on_progress, on_preview)
        return await self._runner.run(_waiting.Wait(self._calls.until(timeout), media, listeners).result())

    # Following

    def stream(self, media: MediaId) -> AsyncGenerator[Event[AsyncMedia], None]:
        """What happens to a media, from how it is now to its `CompletedEvent` or `DeletedEvent`.

        Connections that break are made again; an event may come twice.
        """
        return self._runner.iterate(_waiting.follow(self._calls, media))

    def events(self, *, after: str | None = None) -> AsyncGenerator[Event[AsyncMedia], None]:
        """What happens to all media, from now on, or since the event with the id `after`; it never ends.

        Connections that break are made again; an event may come twice.
        """
        return self._runner.iterate(_waiting.follow_all(self._calls, after))

    async def get(self, media: MediaId) -> AsyncMedia:
        """The media as it is now. Raises `NotFound`."""
        return await self._runner.run(self._calls.get(media))

    async def get_by_job(self, job_id: str | UUID) -> AsyncMedia:
        """The media that a job belongs to: any of its jobs, the first one for ever."""
        return await self._runner.run(self._calls.of_job(job_id))

    async def status(self, job_id: str | UUID) -> JobStatus:
        """The little that a poller wants to know, by any job of the media: the cheapest answer."""
        return await self._runner.run(self._calls.status(job_id))

    async def jobs(self, media: MediaId) -> tuple[Job, ...]:
        """Every try at a media, in order."""
        return await self._runner.run(self._calls.jobs(media))

    def logs(self, media: MediaId) -> AsyncIterator[LogLine]:
        """What happened to a media, line by line, oldest first."""
        return self._runner.iterate(self._calls.logs(media))

    # Finding

    def list(
        self, *, model: str | None = None, status: str | None = None, tag: str | None = None, q: str | None = None,
        created_after: datetime | None = None, created_before: datetime | None = None, limit: int | None = None,
    ) -> AsyncIterator[AsyncMedia]:  # fmt: skip
        """The media, newest first, page after page as you iterate. `limit`: at most so many; `q`: words of the prompt.

        A time without a zone is local.
        """
        filters = {
            "model": model, "status": status, "tag": tag, "q": q,
            "created_after": created_after, "created_before": created_before,
        }  # fmt: skip
        return self._runner.iterate(self._calls.media(filters, limit))

    async def page(
        self, *, model: str | None = None, status: str | None = None, tag: str | None = None, q: str | None = None,
        created_after: datetime | None = None, created_before: datetime | None = None, limit: int = 20,
        cursor: str | None = None,
    ) -> Page[AsyncMedia]:  # fmt: skip
        """One page of the list; go on with `cursor=page.next_cursor`."""
        filters = {
            "model": model, "status": status, "tag": tag, "q": q,
            "created_after": created_after, "created_before": created_before,
        }  # fmt: skip
        return await self._runner.run(self._calls.page(filters, cursor, limit))

    # Changing

    async def cancel(self, media: MediaId) -> AsyncMedia:
        """Cancel a media: at once while it is IN_QUEUE, else as soon as its worker lets go. Raises `Conflict`."""
        return await self._runner.run(self._calls.move(media, "cancel"))

    async def retry(self, media: MediaId) -> AsyncMedia:
        """Put a media that is ERROR or CANCELLED back into the queue. Raises `Conflict`."""
        return await self._runner.run(self._calls.move(media, "retry"))

    async def delete(self, media: MediaId) -> None:
        """Delete a media with its files, whatever its status."""
        await self._runner.run(self._calls.delete(f"/media/{id_of(media)}"))

    # Pictures

    async def download(
        self, media: MediaId, to: str | os.PathLike[str] = ".", *, thumbnail: bool = False
    ) -> tuple[Path, ...]:  # fmt: skip
        """Save every picture of a media in the folder `to`. Raises `GenerationError` if there are none."""
        return await self._runner.run(self._calls.download(media, to, thumbnail=thumbnail))

    async def save(self, file: BaseFile, to: str | os.PathLike[str], *, thumbnail: bool = False) -> Path:
        """Write a picture to the file `to`, or into the folder, whole or not at all. Raises `DamagedFile`."""
        path: Path = await self._runner.run(self._calls.save(file, to, thumbnail=thumbnail))
        return path

    async def read(self, file: BaseFile, *, thumbnail: bool = False) -> bytes:
        """The bytes of a picture, checked; or those of a WebP of at most 384 px. Raises `DamagedFile`."""
        return await self._runner.run(self._calls.read(file, thumbnail=thumbnail))

    async def content_link(self, media: MediaId, index: int = 0) -> ContentLink:
        """A link to a picture that works without credentials until it expires. Raises `Conflict`: not completed."""
        return await self._runner.run(self._calls.link(media, index))

    async def upload(self, source: Source, *, name: str | None = None) -> Upload:
        """Keep a picture to start others from (`image=upload`): a path, bytes, an open file, or a file of a media."""
        return await self._runner.run(self._calls.upload(source, name))

    async def delete_upload(self, upload: Upload | str | UUID) -> None:
        """Delete an uploaded picture. Media that have yet to start from it end as ERROR."""
        await self._runner.run(self._calls.delete(f"/files/{id_of(upload)}"))

    # Models

    async def models(self) -> tuple[Model, ...]:
        """What can be asked for."""
        return await self._runner.run(self._calls.models())

    async def model(self, name: str) -> Model:
        """A model, with the schema of its parameters. Raises `NotFound`."""
        return await self._runner.run(self._calls.model(name))

    # Webhooks

    async def webhook_secrets(self) -> tuple[str, ...]:
        """What your webhooks are signed with, for `webhooks.verify`: the newest first, then those it has replaced."""
        return await self._runner.run(self._calls.webhook_secrets())
