"""The process of a Celery worker: `darkroom worker`, or plain `celery -A darkroom.celery_app worker`.

Celery hands out tickets, each in a thread of its pool; the jobs run on one event loop in a thread of its own.
"""

import asyncio
import logging
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import asynccontextmanager
from functools import partial
from types import FrameType
from typing import Any, NoReturn

import structlog
from celery import Celery, Task, bootsteps, signals
from celery.concurrency.thread import TaskPool
from celery.worker import state as celery_state

from darkroom import settings as settings_module
from darkroom import telemetry
from darkroom.dispatch.queues import TASK, celery_of
from darkroom.engine import health
from darkroom.engine.claiming import Tickets
from darkroom.engine.core import Engine
from darkroom.errors import DarkroomError
from darkroom.settings import Settings, SettingsError
from darkroom.wiring import open_engine, queues_of, warn_of_what_is_missing

log = structlog.get_logger(__name__)

REFUSED = 2
"""A setting or an argument is wrong."""
UNREACHABLE = 3
"""The database does not answer, or is not at the schema of this version."""


def __getattr__(name: str) -> Celery:
    """`app`, as `celery -A darkroom.celery_app` looks for it, with the settings of the environment."""
    if name != "app":
        raise AttributeError(name)
    try:
        settings = settings_module.load()
    except SettingsError as error:
        _refuse(str(error), REFUSED)
    if settings.broker_url is None:
        _refuse("there is no broker: set DARKROOM_BROKER_URL", REFUSED)
    telemetry.set_up(level=settings.log_level, style=settings.log_format)
    return app_of(settings)


def _refuse(message: str, code: int) -> NoReturn:
    """End the process with one line that says why. Celery takes any other error for a mistake, and shows it whole."""
    sys.stderr.write(f"darkroom: {message}\n")
    sys.exit(code)


def app_of(settings: Settings, *, lanes: Sequence[str] = (), concurrency: int | None = None) -> Celery:
    """Celery as a worker of `lanes` (none: all), at most `concurrency` jobs at once (None: as each lane says)."""
    served = {name: lane for name, lane in settings.lanes.items() if name in lanes or not lanes}
    if concurrency is not None:
        served = {name: lane.model_copy(update={"concurrency": concurrency}) for name, lane in served.items()}
    app = celery_of(queues_of(settings, lanes=tuple(served)))
    app.conf.worker_concurrency = concurrency or sum(lane.concurrency for lane in served.values())
    app.register_task(Ticket(Runtime(settings.model_copy(update={"lanes": settings.lanes | served}))))
    app.steps["worker"].add(Serving)
    app.steps["consumer"].add(LettingGo)
    return app


class Runtime:
    """The engine at work on an event loop of its own, for threads that hand it tickets."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._queues = queues_of(settings)
        self._started: Future[None] = Future()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop
        self._engine: Engine
        self._tickets: Mapping[str, Tickets] = {}
        self._cut_off = asyncio.Event()

    def start(self, queues: Sequence[str]) -> None:
        """Return once jobs of `queues` can be run. Raises what the engine raises when it is opened."""
        self._thread = threading.Thread(target=self._run, args=(queues,), name="engine")
        self._thread.start()
        self._started.result()

    def redeem(self, queue: str) -> None:
        """Redeem a ticket that came from `queue`: return when the job that it is for has ended."""
        ticket = self._tickets[queue].redeem()
        try:
            asyncio.run_coroutine_threadsafe(ticket, self._loop).result()
        except CancelledError:
            log.debug("ticket_dropped", queue=queue)
        except RuntimeError:
            if not self._loop.is_closed():
                raise
            ticket.close()

    def soon(self, call: Callable[[], object]) -> None:
        """Have the event loop call this, if it is still there. Safe in a signal handler."""
        if self._thread is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)

    def stop(self) -> None:
        """Claim no more and let jobs end for a while; asked again, give back those that run. On the event loop."""
        if self._engine.stopping.is_set():
            self._engine.stop_at_once()
        else:
            self._engine.begin_stop()

    def join(self) -> None:
        """Return once all jobs have ended or were given back, and late tickets were handed on: no more will come."""
        self.soon(self._finish)
        if self._thread is not None:
            self._thread.join()

    def _finish(self) -> None:
        self._engine.begin_stop()
        self._cut_off.set()

    def _run(self, queues: Sequence[str]) -> None:
        try:
            with asyncio.Runner(loop_factory=_new_loop) as runner:
                self._loop = runner.get_loop()
                runner.run(self._work(queues))
        except BaseException as error:
            if self._started.done():
                log.critical("engine_broke", exc_info=True)
                celery_state.should_stop = 1
            else:
                self._started.set_exception(error)

    async def _work(self, queues: Sequence[str]) -> None:
        async with open_engine(self._settings) as engine, _probed(engine, self._settings):
            await health.require_schema(engine)
            warn_of_what_is_missing(self._settings, list(engine.catalogue))
            workers = {self._queues.name(worker.lane): worker for worker in engine.workers}
            self._tickets = {queue: Tickets(workers[queue]) for queue in queues}
            self._engine = engine
            async with engine.working(tuple(self._tickets.values())):
                self._started.set_result(None)
                await engine.stopping.wait()
            await self._cut_off.wait()
            for tickets in self._tickets.values():
                engine.dispatcher.wake(tickets.lane, tickets.late)


@asynccontextmanager
async def _probed(engine: Engine, settings: Settings) -> AsyncIterator[None]:
    """Answer probes while the context is open, if there is a port for them."""
    if settings.worker_port is None:
        yield
        return
    from darkroom.api.probes import answering  # loads the web framework

    async with answering(engine, settings.host, settings.worker_port):
        yield


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class Ticket(Task):  # type: ignore[misc]
    """A right to one claim. It runs as long as the job that it claimed, so that Celery bounds and shows the work."""

    name = TASK

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    def run(self) -> None:
        self.runtime.redeem(self.request.delivery_info["routing_key"])


class Serving(bootsteps.StartStopStep):  # type: ignore[misc]
    """Runs the engine while the worker runs. It stops before the pool does, which then has nothing to wait for."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        if worker.pool_cls is not TaskPool:
            _refuse("jobs run on one event loop: use --pool threads, or leave it out", REFUSED)
        super().__init__(worker, **options)
        self._runtime: Runtime = worker.app.tasks[TASK].runtime

    def start(self, worker: Any) -> None:
        """Start the engine, and answer signals. A worker that cannot work ends, with one line that says why."""
        try:
            self._runtime.start(list(worker.app.amqp.queues.consume_from))
        except SettingsError as error:
            _refuse(str(error), REFUSED)
        except DarkroomError as error:
            _refuse(error.message, UNREACHABLE)
        self._hub = worker.hub
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, self._on_signal)
        log.info("worker_started", node=worker.hostname, concurrency=worker.concurrency)

    def stop(self, worker: Any) -> None:
        """Return once no job is left."""
        self._runtime.join()
        log.info("worker_stopped", node=worker.hostname)

    terminate = stop

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """In the place of Celery's own handlers, whose cold shutdown a pool of threads does not know."""
        celery_state.should_stop = 0
        self._runtime.soon(partial(self._stop, signal.Signals(number)))

    def _stop(self, number: signal.Signals) -> None:
        """Stop, on the event loop; Celery's own loop, which may sleep for seconds, is to notice now."""
        log.info("worker_stopping", signal=number.name)
        self._runtime.stop()
        self._hub.call_soon(_nothing)


def _nothing() -> None:
    pass


class LettingGo(bootsteps.StartStopStep):  # type: ignore[misc]
    """Has tickets that were taken and not begun go with a connection that is lost: the janitor sends others.

    On Redis, Celery would try to put them back through what is left of the connection, and write them to a file.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        """Tell the channel of the tickets, which is new with each connection."""
        consumer.task_consumer.channel.do_restore = False


@signals.setup_logging.connect  # type: ignore[untyped-decorator]
def _set_up_logging(loglevel: int, **_: Any) -> None:
    """Keep Celery from setting up logs; its own lines are shown from the level that it was started with."""
    logging.getLogger("celery").setLevel(loglevel)
