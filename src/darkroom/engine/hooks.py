"""Hooks: addresses of ours that a backend calls once it is done, so that nobody has to wait for the next look."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from darkroom.events.base import EventBus
from darkroom.media.events import BackendSpoke, News
from darkroom.security.links import LinkSigner


class Hooks:
    """The hooks of jobs. `public_url`: where backends reach us."""

    def __init__(self, bus: EventBus, links: LinkSigner, public_url: str) -> None:
        self._bus = bus
        self._links = links
        self._base = public_url

    @contextmanager
    def open(self, media_id: UUID, job_id: UUID) -> Iterator["JobHook"]:
        """The hook of a job, which hears while the context is open; also if that of an earlier job is called."""
        signature = self._links.sign_hook(media_id, job_id)
        hook = JobHook(f"{self._base}/hooks/{media_id}/{job_id}?signature={signature}")
        with self._bus.listening(media_id, hook.listen):
            yield hook


class JobHook:
    """A hook, on the event loop of the job. It remembers a call that nobody waited for."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._called = asyncio.Event()

    def listen(self, event: News) -> None:
        """Hear of something that happened to the media."""
        if isinstance(event, BackendSpoke):
            self._called.set()

    async def heard(self, *, within: float) -> None:
        """Return once it is called, or after `within` seconds."""
        try:
            async with asyncio.timeout(within):
                await self._called.wait()
        except TimeoutError:
            return
        self._called.clear()
