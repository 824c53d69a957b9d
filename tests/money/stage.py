"""Where runs take place, several at once: each has a backend and a database of its own."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from darkroom.db import schema
from darkroom.db.session import open_database
from darkroom.settings import Settings
from money.audit import PRICE
from money.plans import Plan
from money.vendors import Vendor
from services.backends.base import Fake
from services.databases import address, execute

MODEL = "pictures"
LEASE = 3.0
SETTLE = 5.0
"""Longer than requests are late, by more than this machine may be."""


@dataclass(frozen=True, slots=True)
class Place:
    """What one run has."""

    folder: Path
    fake: Fake
    settings: Settings


class Stage:
    """Places for at most `together` runs of a vendor. `server`: a PostgreSQL; None: SQLite files."""

    def __init__(self, vendor: Vendor, folder: Path, *, together: int, server: str | None = None) -> None:
        self.vendor = vendor
        self._folder = folder
        self._server = server
        self._together = together
        self._fakes: asyncio.Queue[Fake] = asyncio.Queue()
        self._template = f"darkroom_money_{uuid4().hex[:12]}"

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Stage"]:
        """With backends that answer, and a database to copy."""
        await self._make_template()
        with ExitStack() as stack:
            for _ in range(self._together):
                self._fakes.put_nowait(stack.enter_context(self.vendor.fake().running()))
            yield self
        if self._server:
            await execute(self._server, f"DROP DATABASE {self._template} WITH (FORCE)")

    @asynccontextmanager
    async def place(self, plan: Plan) -> AsyncIterator[Place]:
        """A place for a run, once there is one; what it leaves behind stays, but for a PostgreSQL database."""
        fake = await self._fakes.get()
        fake.faults.clear()
        fake.seconds = plan.seconds
        folder = self._folder / f"{self.vendor.name}-{plan.seed}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        name = f"{self._template}_{plan.seed}"
        try:
            yield Place(folder, fake, self._settings(plan, folder, fake, await self._copy(folder, name)))
        finally:
            self._fakes.put_nowait(fake)
            if self._server:
                await execute(self._server, f"DROP DATABASE {name} WITH (FORCE)")

    def _settings(self, plan: Plan, folder: Path, fake: Fake, database: str) -> Settings:
        route = {"provider": self.vendor.name, "price": {"per_picture": str(PRICE)}, **self.vendor.route(folder)}
        return Settings.model_validate(
            {
                "data_dir": folder,
                "database_url": database,
                "lease": LEASE,
                "poll_interval": 0.05,
                "stop_grace": 0,
                "retry": {"base": 0.05, "cap": 0.2},
                "starter_models": False,
                "accounts": {self.vendor.name: {"settle": SETTLE, **self.vendor.account(fake)}},
                "models": {MODEL: {"routes": [route], "resubmit": plan.resubmit}},
                "default_model": MODEL,
            }
        )

    async def _make_template(self) -> None:
        if self._server:
            await execute(self._server, f"CREATE DATABASE {self._template}")
        async with open_database(self._template_url).running() as database:
            await schema.upgrade(database)

    @property
    def _template_url(self) -> str:
        return address(self._server, self._template) if self._server else f"sqlite:///{self._folder}/template.db"

    async def _copy(self, folder: Path, name: str) -> str:
        if self._server:
            await execute(self._server, f"CREATE DATABASE {name} TEMPLATE {self._template}")
            return address(self._server, name)
        shutil.copy(self._folder / "template.db", folder / "darkroom.db")
        return f"sqlite:///{folder}/darkroom.db"
