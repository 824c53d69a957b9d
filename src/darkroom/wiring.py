"""The composition root: the only place that names adapters, and the one that owns lifetimes."""

import os
import secrets
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from darkroom.db.session import Database, open_database
from darkroom.dispatch.embedded import EmbeddedDispatcher
from darkroom.engine.catalogue import Catalogue, Model, Route, checked_defaults, defaults_of, with_output_format
from darkroom.engine.core import Engine
from darkroom.engine.janitor import Janitor, Sweeper
from darkroom.engine.lifecycle import Lifecycle
from darkroom.engine.queries import Queries
from darkroom.engine.runner import Tools
from darkroom.engine.worker import Worker
from darkroom.errors import DarkroomError
from darkroom.events.memory import MemoryBus
from darkroom.imaging import Developer, Limits
from darkroom.media.policy import Backoff
from darkroom.providers import registry
from darkroom.providers.base import Provider
from darkroom.security.links import LinkSigner
from darkroom.settings import Settings, SettingsError, StorageOptions
from darkroom.storage.base import Storage
from darkroom.storage.registry import open_storage

SHORTEST_SECRET = 16


@asynccontextmanager
async def open_engine(settings: Settings) -> AsyncIterator[Engine]:
    """Every part of the service, connected. Workers start with `engine.working()`.

    Raises `SettingsError` if the settings name what is not there.
    """
    async with AsyncExitStack() as stack:
        storage = storage_of(settings)
        stack.push_async_callback(storage.aclose)
        providers = _providers(settings)
        for provider in providers.values():
            stack.push_async_callback(provider.aclose)
        catalogue = catalogue_of(settings, providers)
        developer = _developer(settings)
        stack.push_async_callback(developer.aclose)
        database = await stack.enter_async_context(database_of(settings).running())
        yield _assemble(settings, database, storage, catalogue, developer)


def database_of(settings: Settings) -> Database:
    """The database, not yet connected."""
    return open_database(settings.database)


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


def _providers(settings: Settings) -> dict[str, Provider]:
    named = {route.provider for model in settings.models.values() for route in model.routes}
    options: dict[str, dict[str, Any]] = {"dummy": settings.providers.dummy.model_dump()}
    providers: dict[str, Provider] = {}
    for name in sorted(named):
        try:
            providers[name] = registry.load(name)(**options.get(name, {}))
        except (DarkroomError, ValueError) as error:
            raise SettingsError(f"provider {name}: {error}") from error
    return providers


def catalogue_of(settings: Settings, providers: Mapping[str, Provider]) -> Catalogue:
    """The models as declared, with what their providers say of them. Raises `SettingsError`."""
    models = []
    for name, declared in settings.models.items():
        try:
            routes = [Route(r.provider, providers[r.provider], r.model or r.provider) for r in declared.routes]
            first = routes[0]
            schema = with_output_format(first.provider.schema(first.model))
            models.append(
                Model(
                    name=name,
                    description=declared.description or first.provider.describe(first.model),
                    lane=declared.lane,
                    routes=tuple(routes),
                    schema=schema,
                    defaults=checked_defaults(name, schema, {**defaults_of(schema), **declared.defaults}),
                )
            )
        except DarkroomError as error:
            raise SettingsError(f"models.{name}: {error.message}") from error
    return Catalogue(models, default=settings.default_model)


def _developer(settings: Settings) -> Developer:
    output = settings.output
    limits = Limits(max_bytes=output.max_bytes, max_pixels=output.max_pixels)
    return Developer(limits=limits, thumbnails=output.thumbnails, metadata=output.metadata)


def _assemble(
    settings: Settings, database: Database, storage: Storage, catalogue: Catalogue, developer: Developer
) -> Engine:
    lease = timedelta(seconds=settings.lease)
    bus, dispatcher = MemoryBus(), EmbeddedDispatcher()
    lifecycle = Lifecycle(database, bus, dispatcher, lease=lease)
    sweeper = Sweeper(database, storage)
    tools = Tools(
        lifecycle=lifecycle,
        catalogue=catalogue,
        storage=storage,
        developer=developer,
        worker=f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}",
        backoff=Backoff(settings.retry.base, settings.retry.cap),
        job_timeout=timedelta(seconds=settings.job_timeout),
    )

    def worker(lane: str, concurrency: int) -> Worker:
        return Worker(
            lane, concurrency=concurrency, tools=tools, bus=bus, due=lambda: dispatcher.due(lane), lease=lease
        )

    return Engine(
        database=database,
        storage=storage,
        catalogue=catalogue,
        bus=bus,
        dispatcher=dispatcher,
        lifecycle=lifecycle,
        queries=Queries(database),
        sweeper=sweeper,
        janitor=Janitor(
            database,
            lifecycle,
            dispatcher,
            sweeper,
            lanes=list(settings.lanes),
            lease=lease,
            interval=timedelta(seconds=settings.poll_interval),
            retention=timedelta(days=settings.retention_days) if settings.retention_days else None,
        ),
        workers=[worker(name, lane.concurrency) for name, lane in settings.lanes.items()],
        max_tries=settings.max_tries,
        stop_grace=timedelta(seconds=settings.stop_grace),
    )
