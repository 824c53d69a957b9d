"""Those who watch: what each is still to be told, in a queue with an end."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from datetime import datetime

import structlog

log = structlog.get_logger(__name__)

LONGEST_QUEUE = 500
"""Texts that wait for a caller who does not fetch them; beyond that the caller is cut off."""
SILENCE = 13.0
"""Seconds without a text after which a watcher is told, at the next look, that we are still there."""


class Watcher:
    """Texts for one caller, iterated by one task: what has gathered comes in one piece."""

    __slots__ = ("_is_over", "_news", "_texts", "told_at")

    def __init__(self) -> None:
        self.told_at = asyncio.get_running_loop().time()
        self._texts: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._is_over = False

    def tell(self, text: bytes, now: float) -> None:
        """Give the caller `text` at `now`, in seconds of the loop's clock. One who is too slow is told no more."""
        if self._is_over:
            return
        if len(self._texts) >= LONGEST_QUEUE:
            log.info("watcher_cut_off", reason="it does not fetch what it is told")
            self._texts.clear()
            self.end()
            return
        self.told_at = now
        self._texts.append(text)
        self._news.set()

    def end(self) -> None:
        """Tell nothing more; what waits is still fetched."""
        self._is_over = True
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self._texts or not self._is_over:
            await self._news.wait()
            self._news.clear()
            if self._texts:
                texts = b"".join(self._texts)
                self._texts.clear()
                yield texts


class Audience:
    """Those who watch the same. `stamp`: when the media was updated last, as far as all of them know."""

    __slots__ = ("stamp", "watchers")

    def __init__(self) -> None:
        self.stamp: datetime | None = None
        self.watchers: set[Watcher] = set()

    def join(self, watcher: Watcher, seen: datetime | None) -> None:
        """Take in one who has seen the state of `seen`. Where the others know another, all are to be told."""
        if not self.watchers:
            self.stamp = seen
        elif self.stamp != seen:
            self.stamp = None
        self.watchers.add(watcher)

    def tell(self, text: bytes) -> None:
        """Tell everyone."""
        now = asyncio.get_running_loop().time()
        for watcher in self.watchers:
            watcher.tell(text, now)

    def reassure(self, silence: bytes) -> None:
        """Send `silence` to those who have heard nothing for a while."""
        now = asyncio.get_running_loop().time()
        for watcher in self.watchers:
            if now - watcher.told_at >= SILENCE:
                watcher.tell(silence, now)

    def end(self) -> None:
        """Let everyone go, once what waits has been fetched."""
        for watcher in self.watchers:
            watcher.end()
