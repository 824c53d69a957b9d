"""Settings with accounts at plain backends, and a clock that can be put forward."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from socket import create_server
from typing import Any
from uuid import UUID

from darkroom.engine.core import Engine
from darkroom.media.model import Job
from darkroom.settings import Account, Model, Retry, Route, Settings
from services.backends.base import Fake
from services.backends.plain import PlainFake

PLAIN = {
    "plain": "services.backends.plain:Plain",
    "listed": "services.backends.plain:Listed",
}
"""What is to be added to `registry.BUILT_IN`."""

PARAMETERS = {"n": {"maximum": 4}, "width": {}, "height": {}, "quality": {"enum": ["low", "high"]}}


def account(fake: Fake | str, **options: Any) -> Account:
    """Access to a fake, or to an address."""
    url = fake if isinstance(fake, str) else fake.url
    return Account(**{"provider": "plain", "url": url, "key": Fake.key, **options})


def route(name: str, **options: Any) -> Route:
    """A route by the account `name`."""
    parameters = options.pop("parameters", PARAMETERS)
    return Route(provider=name, model="plain-1", options={"parameters": parameters}, **options)


def model(*routes: Route | str, **options: Any) -> Model:
    """A model with these routes."""
    return Model(routes=[route(each) if isinstance(each, str) else each for each in routes], **options)


def settings_of(
    database_url: str, folder: Path, accounts: Mapping[str, Account], models: Mapping[str, Model], **more: Any
) -> Settings:
    """Settings for quick tests: short waits, and leases that outlast a clock that is put forward."""
    quick: dict[str, Any] = {"retry": Retry(base=0.01, cap=0.05), "poll_interval": 0.02, "stop_grace": 0}
    return Settings(
        data_dir=folder / "data", database_url=database_url, lease=7200, starter_models=False,
        accounts=dict(accounts), models=dict(models), **{**quick, **more},
    )  # fmt: skip


def nowhere() -> str:
    """An address at which nobody listens."""
    with create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


class Clock:
    """Puts the time of engines forward."""

    def __init__(self, *engines: Engine) -> None:
        self._ahead = timedelta(0)
        for engine in engines:
            self._follow(engine, engine.lifecycle.now)

    def _follow(self, engine: Engine, real: Any) -> None:
        def now() -> datetime:
            return real() + self._ahead

        engine.lifecycle.now = now
        engine.costs._now = now

    def forward(self, seconds: float) -> None:
        self._ahead += timedelta(seconds=seconds)


async def jobs_of(engine: Engine, media_id: UUID) -> Sequence[Job]:
    return await engine.queries.jobs(media_id)


async def way(engine: Engine, media_id: UUID) -> list[str | None]:
    """The accounts that the jobs of a media ended at, in order."""
    return [job.provider for job in await engine.queries.jobs(media_id)]


async def codes(engine: Engine, media_id: UUID) -> list[str]:
    """Why the jobs of a media failed, in order; empty for those that did not."""
    return [job.error.code if job.error else "" for job in await engine.queries.jobs(media_id)]


def creates(fake: PlainFake) -> int:
    """How often something was asked for, with or without success."""
    return len(fake.called("create"))
