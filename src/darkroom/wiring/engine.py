"""Every part of the service, connected, and closed in the right order."""

import os
import secrets
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from random import Random

from darkroom.db.session import Database, connect_apart, open_database
from darkroom.delivery.book import Book
from darkroom.delivery.secrets import Secrets
from darkroom.dispatch.base import Dispatcher
from darkroom.dispatch.embedded import EmbeddedDispatcher
from darkroom.dispatch.queues import Queues
from darkroom.engine.accounts import Accounts
from darkroom.engine.admission import Admission
from darkroom.engine.catalogue import Catalogue
from darkroom.engine.claiming import Claimer
from darkroom.engine.core import Engine
from darkroom.engine.costs import Costs
from darkroom.engine.fetching import Fetcher
from darkroom.engine.hooks import Hooks
from darkroom.engine.inputs import Inputs
from darkroom.engine.janitor import Janitor, Sweeper
from darkroom.engine.lanes import Lanes
from darkroom.engine.lanes import Limits as LaneLimits
from darkroom.engine.lifecycle import Lifecycle
from darkroom.engine.loops import cancel, start
from darkroom.engine.observing.standing import Standing
from darkroom.engine.own_pictures import OwnPictures
from darkroom.engine.queries import Queries
from darkroom.engine.runner import Tools
from darkroom.engine.ways import Ways
from darkroom.engine.worker import Worker
from darkroom.errors import Unavailable
from darkroom.events.base import EventBus
from darkroom.events.memory import MemoryBus
from darkroom.imaging import Developer, Intake, Limits
from darkroom.media.money import Budget
from darkroom.media.policy import Backoff
from darkroom.security.egress import Egress
from darkroom.security.links import LinkSigner
from darkroom.settings import Settings, SettingsError, StorageOptions
from darkroom.storage.base import Storage
from darkroom.storage.registry import open_storage
from darkroom.storage.timed import TimedStorage
from darkroom.telemetry import metrics, traces
from darkroom.wiring.models import budgets_of, catalogue_of, providers_of

SHORTEST_SECRET = 16


@dataclass(frozen=True, slots=True)
class _Parts:
    """What was opened, and what it was opened by."""

    settings: Settings
    database: Database
    storage: Storage
    inputs: Inputs
    egress: Egress
    catalogue: Catalogue
    developer: Developer
    dispatcher: Dispatcher
    bus: EventBus


@asynccontextmanager
async def open_engine(settings: Settings) -> AsyncIterator[Engine]:
    """Every part of the service, connected. Workers start with `engine.working()`.

    Raises `SettingsError` if the settings name what is not there.
    """
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(traces.exporting(settings.traces_url, ratio=settings.trace_ratio))
        stack.push_async_callback(cancel, start("loop lag", metrics.watch_loop))
        storage = TimedStorage(storage_of(settings), partial(metrics.Timing, metrics.STORAGE_SECONDS, Unavailable))
        stack.push_async_callback(storage.aclose)
        providers = providers_of(settings)
        for provider in providers.values():
            stack.push_async_callback(provider.aclose)
        catalogue = catalogue_of(settings, providers)
        developer = _developer(settings)
        stack.push_async_callback(developer.aclose)
        taking_in = Intake(limits=Limits(settings.max_upload_bytes, settings.input.max_pixels))
        stack.push_async_callback(taking_in.aclose)
        dispatcher = dispatcher_of(settings)
        stack.push_async_callback(dispatcher.aclose)
        database = await stack.enter_async_context(database_of(settings).running())
        bus = await stack.enter_async_context(_news(settings, database))
        egress = Egress(settings.egress_allow)
        stack.push_async_callback(egress.aclose)
        fetch = OwnPictures(
            database, storage, cache(partial(links_of, settings)), Fetcher(egress, most=settings.max_upload_bytes)
        )
        inputs = Inputs(database, storage, taking_in, fetch, keep=timedelta(days=settings.input.keep_days))
        yield _assemble(_Parts(settings, database, storage, inputs, egress, catalogue, developer, dispatcher, bus))


def database_of(settings: Settings) -> Database:
    """The database, not yet connected."""
    return open_database(settings.database, timed=partial(metrics.Timing, metrics.DATABASE_SECONDS, Unavailable))


@asynccontextmanager
async def _news(settings: Settings, database: Database) -> AsyncIterator[EventBus]:
    """What carries news: on PostgreSQL to every process, else within this one."""
    if database.dialect == "sqlite":
        yield MemoryBus()
        return
    from darkroom.events.postgres import PostgresBus

    async with PostgresBus(partial(connect_apart, settings.database)).running() as bus:
        yield bus


def dispatcher_of(settings: Settings) -> Dispatcher:
    """What wakes workers: those in this process, or through the broker those of all machines."""
    if settings.broker_url is None:
        return EmbeddedDispatcher()
    from darkroom.dispatch.celery import CeleryDispatcher  # loads Celery

    return CeleryDispatcher(queues_of(settings), counted=metrics.count_tickets)


def queues_of(settings: Settings, lanes: Sequence[str] | None = None) -> Queues:
    """The queues of `lanes` (None: all) at the broker, which the settings must name."""
    assert settings.broker_url is not None
    return Queues(
        settings.broker_url,
        lanes=tuple(settings.lanes if lanes is None else lanes),
        prefix=settings.broker_queue_prefix,
        quorum=settings.broker_quorum_queues,
    )


def storage_of(settings: Settings) -> Storage:
    """The store of pictures. Raises `SettingsError`."""
    try:
        return open_storage(settings.storage, options=_storage_options(settings.storage_options))
    except ValueError as error:
        raise SettingsError(f"DARKROOM_STORAGE_URL: {error}") from error


def _storage_options(options: StorageOptions) -> dict[str, str | bool]:
    """What was set, under the store's own names."""
    secret = options.secret_access_key
    given: dict[str, str | bool | None] = {
        "endpoint": options.endpoint,
        "region": options.region,
        "access_key_id": options.access_key_id,
        "secret_access_key": secret.get_secret_value() if secret else None,
        "allow_http": options.allow_http or None,
        "virtual_hosted_style_request": options.virtual_hosted or None,
    }
    return {name: value for name, value in given.items() if value is not None}


def links_of(settings: Settings) -> LinkSigner:
    """The signer of links, with the secret of the settings or the one kept in the data folder."""
    if settings.secret is not None:
        return LinkSigner(settings.secret.get_secret_value().encode())
    return LinkSigner(_kept_secret(settings.data_dir / "secret"))


def _hooks(settings: Settings, bus: EventBus) -> Hooks | None:
    """What backends may call, where they can: they take https only."""
    public = settings.public_url
    return Hooks(bus, links_of(settings), public) if public and public.startswith("https://") else None


def _kept_secret(path: Path) -> bytes:
    """The secret in `path`, made at first use. Whoever comes first wins: all processes get the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    if not path.exists():
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_hex(32))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    secret = path.read_bytes()
    if len(secret) < SHORTEST_SECRET:
        raise SettingsError(f"{path} is too short to sign links: delete it and a new one is made")
    return secret


def _claimers(workers: Sequence[Worker], dispatcher: Dispatcher) -> Sequence[Claimer]:
    """Workers that are woken in this process claim by themselves; others do by tickets."""
    if not isinstance(dispatcher, EmbeddedDispatcher):
        return ()
    return [Claimer(worker, partial(dispatcher.due, worker.lane)) for worker in workers]


def _limits(settings: Settings) -> dict[str, LaneLimits]:
    return {name: LaneLimits(lane.concurrency, lane.max_queued) for name, lane in settings.lanes.items()}


def _developer(settings: Settings) -> Developer:
    output = settings.output
    limits = Limits(max_bytes=output.max_bytes, max_pixels=output.max_pixels)
    return Developer(limits=limits, thumbnails=output.thumbnails, metadata=output.metadata)


def _assemble(parts: _Parts) -> Engine:
    settings, database, dispatcher = parts.settings, parts.database, parts.dispatcher
    lease = timedelta(seconds=settings.lease)
    lifecycle = Lifecycle(database, parts.bus, dispatcher, lease=lease)
    budgets = budgets_of(settings)
    sweeper = Sweeper(database, parts.storage)
    admission = Admission(database, {name: lane.max_queued for name, lane in settings.lanes.items()})
    tools = _tools(parts, lifecycle, budgets)
    workers = [
        Worker(name, concurrency=lane.concurrency, tools=tools, bus=parts.bus, lease=lease)
        for name, lane in settings.lanes.items()
    ]
    return Engine(
        database=database,
        storage=parts.storage,
        inputs=parts.inputs,
        egress=parts.egress,
        deliveries=Book(database),
        webhook_secrets=Secrets(database),
        catalogue=parts.catalogue,
        bus=parts.bus,
        dispatcher=dispatcher,
        lifecycle=lifecycle,
        queries=Queries(database),
        standing=Standing(database, lifecycle.now, list(settings.lanes)),
        lanes=Lanes(database, lifecycle, dispatcher, here=_limits(settings)),
        accounts=Accounts(database, lifecycle, parts.catalogue),
        costs=Costs(database, lifecycle.now, budgets),
        admission=admission,
        sweeper=sweeper,
        janitor=_janitor(parts, lifecycle, sweeper, admission),
        workers=workers,
        claimers=_claimers(workers, dispatcher),
        max_tries=settings.max_tries,
        stop_grace=timedelta(seconds=settings.stop_grace),
        poll_interval=timedelta(seconds=settings.poll_interval),
    )


def _tools(parts: _Parts, lifecycle: Lifecycle, budgets: Sequence[Budget]) -> Tools:
    settings = parts.settings
    return Tools(
        lifecycle=lifecycle,
        storage=parts.storage,
        developer=parts.developer,
        ways=Ways(lifecycle, parts.catalogue, parts.inputs, budgets, rng=Random()),  # noqa: S311 - jitter
        hooks=_hooks(settings, parts.bus),
        worker=f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}",
        backoff=Backoff(settings.retry.base, settings.retry.cap),
        job_timeout=timedelta(seconds=settings.job_timeout),
        patience=timedelta(seconds=settings.patience),
    )


def _janitor(parts: _Parts, lifecycle: Lifecycle, sweeper: Sweeper, admission: Admission) -> Janitor:
    settings = parts.settings
    return Janitor(
        parts.database,
        lifecycle,
        parts.dispatcher,
        sweeper,
        admission,
        lanes=list(settings.lanes),
        lease=timedelta(seconds=settings.lease),
        interval=timedelta(seconds=settings.poll_interval),
        retention=timedelta(days=settings.retention_days) if settings.retention_days else None,
        inputs=parts.inputs,
    )
