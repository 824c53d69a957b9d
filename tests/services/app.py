"""The service in the test's own process, on a real HTTP server: starts in milliseconds."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trustme
import uvicorn
import uvloop

from darkroom.api.deps import Options
from darkroom.asgi import application
from darkroom.engine.core import Engine
from darkroom.settings import Settings

START_SECONDS = 20.0
QUICK = {"poll_interval": 0.05, "retry": {"base": 0.01, "cap": 0.01}, "stop_grace": 0.2}


class Client(httpx2.Client):
    """A client that knows the ways of a media."""

    def generate(self, prompt: str = "a lighthouse at dusk", **request: Any) -> dict[str, Any]:
        """Ask for a media of the dummy model, unless `request` says otherwise; the answer."""
        response = self.post("/media/generate", json={"prompt": prompt, "model": "dummy", **request})
        assert response.status_code == 202, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def media(self, media_id: str) -> dict[str, Any]:
        """The media as it is now."""
        answer: dict[str, Any] = self.get(f"/media/{media_id}").raise_for_status().json()
        return answer

    def until(self, media_id: str, *statuses: str, within: float = 20.0) -> dict[str, Any]:
        """The media once it is in one of `statuses`."""
        deadline = time.monotonic() + within
        while (media := self.media(media_id))["status"] not in statuses:
            assert time.monotonic() < deadline, f"not {statuses} within {within} s: {media}"
            time.sleep(0.01)
        return media

    def completed(self, prompt: str = "a lighthouse at dusk", **request: Any) -> dict[str, Any]:
        """A media that was asked for and is COMPLETED."""
        return self.until(self.generate(prompt, **request)["id"], "COMPLETED")

    def listed(self, **filters: Any) -> list[dict[str, Any]]:
        """The whole list, page by page."""
        items: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = self.get("/media", params=filters | ({"cursor": cursor} if cursor else {})).raise_for_status().json()
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return items


class App:
    """A service, on a free port of this machine."""

    def __init__(self, settings: Settings, *, working: bool) -> None:
        self.settings = settings
        self._application = application(settings, working=working)
        config = uvicorn.Config(
            self._application,
            port=0,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=2,
            server_header=False,
        )
        self._server = uvicorn.Server(config)
        self.loop: asyncio.AbstractEventLoop
        self._socket = config.bind_socket()
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    @contextmanager
    def running(self) -> Iterator["App"]:
        """Serve while the context is open."""
        thread = threading.Thread(target=self._run, name="app")
        thread.start()
        try:
            self._wait_until_started(thread)
            yield self
        finally:
            self._server.should_exit = True
            thread.join(START_SECONDS)
            self._socket.close()
            assert not thread.is_alive(), "the service did not stop"

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            self.loop = runner.get_loop()
            runner.run(self._server.serve([self._socket]))

    @property
    def options(self) -> Options:
        """How its surfaces behave."""
        options: Options = self._application.state.options
        return options

    @property
    def engine(self) -> Engine:
        """Its engine, which lives on its own event loop."""
        engine: Engine = self._application.state.engine
        return engine

    def client(self, **options: Any) -> Client:
        """A client of it."""
        return Client(base_url=self.url, timeout=30, **options)

    def _wait_until_started(self, thread: threading.Thread) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._server.started:
            assert thread.is_alive(), "the service did not start"
            assert time.monotonic() < deadline, f"not started within {START_SECONDS} s"
            time.sleep(0.002)


class OverTls(App):
    """A service with a certificate for 127.0.0.1 of an authority of its own, whose certificate is at `trusted`."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        super().__init__(settings, working=True)
        authority, certificate = trustme.CA(), folder / "certificate.pem"
        self.trusted = folder / "trusted.pem"
        authority.cert_pem.write_to_path(self.trusted)
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
        self._server.config.ssl_certfile = str(certificate)
        self.url = self.url.replace("http:", "https:")


RunApp = Callable[..., AbstractContextManager[App]]


@pytest.fixture
def run_app(tmp_path: Path) -> RunApp:
    """Run the service with these settings: `with run_app(database_url=…) as app`. `working`: with workers."""

    def run(*, working: bool = True, **settings: Any) -> AbstractContextManager[App]:
        return App(Settings(**{"data_dir": tmp_path / "data", **QUICK, **settings}), working=working).running()

    return run


@pytest.fixture
def over_tls(tmp_path: Path, sqlite_url: str) -> Iterator[OverTls]:
    """The service over https."""
    settings = Settings(data_dir=tmp_path / "data", database_url=sqlite_url, starter_models=False, **QUICK)
    with OverTls(settings, tmp_path).running() as app:
        yield app


@pytest.fixture
def app(run_app: RunApp, database_url: str) -> Iterator[App]:
    """The service with workers, on each kind of database."""
    with run_app(database_url=database_url) as running:
        yield running


@pytest.fixture
def client(app: App) -> Iterator[Client]:
    """A client of `app`."""
    with app.client() as client:
        yield client


@pytest.fixture
def idle(run_app: RunApp, database_url: str) -> Iterator[Client]:
    """A client of a service without workers, on each kind of database: what is queued stays queued."""
    with run_app(database_url=database_url, working=False) as app, app.client() as client:
        yield client


@pytest.fixture
def sqlite_app(run_app: RunApp, sqlite_url: str) -> Iterator[App]:
    """The service with workers, for what no database can change."""
    with run_app(database_url=sqlite_url) as running:
        yield running
