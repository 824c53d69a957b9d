"""What a stack stands on: database, broker and store, each where the settings say, or else started here."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.errors import NotInstalled

if TYPE_CHECKING:
    from darkroom.settings import Settings
    from darkroom.stack.brokers import RabbitMQ, Redis
    from darkroom.stack.service import Service

Variables = dict[str, str]


class Broker(StrEnum):
    """The brokers that can be started."""

    RABBITMQ = "rabbitmq"
    REDIS = "redis"


@dataclass(frozen=True, slots=True)
class Part:
    """One of the three: where it is, in words; the service, if it is ours; once it runs, how our processes find it."""

    name: str
    where: str
    service: "Service | None" = None
    variables: Callable[[], Variables] = dict


def parts(settings: "Settings", folder: Path, wanted: Broker | None) -> list[Part]:
    """All three, not yet started; those that are started keep their data in `folder`. Raises `NotInstalled`."""
    return [_database(settings, folder), _broker(settings, folder, wanted), _storage(settings, folder)]


def _database(settings: "Settings", folder: Path) -> Part:
    if settings.database_url is not None:
        return Part("database", "as DARKROOM_DATABASE_URL says")
    from darkroom.stack.postgres import Postgres

    postgres = Postgres(folder / "postgres")
    return _started("database", postgres, lambda: {"DARKROOM_DATABASE_URL": postgres.url()})


def _broker(settings: "Settings", folder: Path, wanted: Broker | None) -> Part:
    if settings.broker_url is not None:
        return Part("broker", "as DARKROOM_BROKER_URL says")
    broker = _installed_broker(folder, wanted)
    return _started("broker", broker, lambda: {"DARKROOM_BROKER_URL": broker.url})


def _installed_broker(folder: Path, wanted: Broker | None) -> "RabbitMQ | Redis":
    from darkroom.stack.brokers import RabbitMQ, Redis

    if wanted is Broker.REDIS:
        return Redis(folder / "redis")
    try:
        return RabbitMQ(folder / "rabbitmq")
    except NotInstalled:
        if wanted is not None:
            raise
        return Redis(folder / "redis")


def _storage(settings: "Settings", folder: Path) -> Part:
    if settings.storage_url is not None:
        return Part("storage", "as DARKROOM_STORAGE_URL says")
    from darkroom.stack.objects import ObjectStore

    try:
        store = ObjectStore(folder / "objects")
    except NotInstalled as error:
        return Part("storage", f"the folder {folder / 'files'}, as {error.message}")
    options = {
        "DARKROOM_STORAGE_OPTIONS__ENDPOINT": store.endpoint,
        "DARKROOM_STORAGE_OPTIONS__REGION": "us-east-1",
        "DARKROOM_STORAGE_OPTIONS__ACCESS_KEY_ID": store.access_key_id,
        "DARKROOM_STORAGE_OPTIONS__SECRET_ACCESS_KEY": store.secret_access_key,
        "DARKROOM_STORAGE_OPTIONS__ALLOW_HTTP": "true",
        "DARKROOM_STORAGE_OPTIONS__VIRTUAL_HOSTED": "false",
    }
    return _started("storage", store, lambda: {"DARKROOM_STORAGE_URL": f"s3://{store.bucket('darkroom')}", **options})


def _started(name: str, service: "Service", variables: Callable[[], Variables]) -> Part:
    return Part(name, f"{service.name}, 127.0.0.1:{service.port}", service, variables)
