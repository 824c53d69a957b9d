"""The web service's process: the surfaces on an engine, with embedded workers."""

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI

from darkroom import settings as settings_module
from darkroom import telemetry
from darkroom.api.app import create_app
from darkroom.api.deps import Options
from darkroom.engine.core import Engine
from darkroom.settings import Settings
from darkroom.wiring import links_of, open_engine

LOCAL = ("localhost", "127.0.0.1", "::1")


def app() -> FastAPI:
    """The service with the settings of the environment: what `uvicorn --factory darkroom.asgi:app` runs."""
    settings = settings_module.load()
    telemetry.set_up(level=settings.log_level, style=settings.log_format)
    return application(settings)


def application(settings: Settings, *, working: bool = True) -> FastAPI:
    """The service with these settings; `working`: whether it also makes the pictures."""

    @asynccontextmanager
    async def engine() -> AsyncIterator[Engine]:
        async with open_engine(settings) as opened:
            if not working:
                yield opened
                return
            with _stopping_with_parent(), _stopping_on_signals(opened, drain=settings.drain):
                async with opened.working():
                    yield opened

    return create_app(engine, _options(settings))


def _options(settings: Settings) -> Options:
    return Options(
        links=links_of(settings),
        public_url=settings.public_url,
        hosts=_hosts(settings),
        cors_origins=tuple(settings.cors_origins),
        max_body_bytes=settings.max_body_bytes,
        max_upload_bytes=settings.max_upload_bytes,
        link_lifetime=timedelta(seconds=settings.link_lifetime),
        openai_placeholders=settings.openai_placeholder_pictures,
    )


def _hosts(settings: Settings) -> tuple[str, ...] | None:
    """The names that are answered. Beyond this machine, with no names given, all are."""
    is_local = settings.host in LOCAL or settings.host.startswith("127.")
    if not is_local and not settings.allowed_hosts:
        return None
    public = urlsplit(settings.public_url).hostname if settings.public_url else None
    return (*LOCAL, settings.host, *settings.allowed_hosts, *([public] if public else ()))


@contextmanager
def _stopping_with_parent() -> Iterator[None]:
    """Of several server processes, stop when the one that started them is gone: nobody else would stop this one."""
    parent, loop = multiprocessing.parent_process(), asyncio.get_running_loop()
    if parent is None:
        yield
        return
    loop.add_reader(parent.sentinel, os.kill, os.getpid(), signal.SIGTERM)
    try:
        yield
    finally:
        loop.remove_reader(parent.sentinel)


@contextmanager
def _stopping_on_signals(engine: Engine, *, drain: float) -> Iterator[None]:
    """On SIGTERM or SIGINT, drain and stop; on a second one, stop at once. The server's own handlers end the server.

    That would otherwise first wait for the requests that wait for their pictures.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    leave = _Leaving(engine, drain, end_server=before)

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(leave, number)

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Leaving:
    """What a signal does, on the event loop: the first one, and those that come after it."""

    def __init__(self, engine: Engine, drain: float, end_server: Mapping[signal.Signals, Any]) -> None:
        self._engine = engine
        self._drain = drain
        self._end_server = end_server

    def __call__(self, number: int) -> None:
        if self._engine.stopping.is_set():
            self._engine.stop_at_once()
        elif self._engine.draining or not self._drain:
            self._stop(number)
        else:
            self._engine.draining = True
            asyncio.get_running_loop().call_later(self._drain, self._stop, number)

    def _stop(self, number: int) -> None:
        if not self._engine.stopping.is_set():
            self._engine.begin_stop()
            handler = self._end_server[signal.Signals(number)]
            if callable(handler):
                handler(number, None)
