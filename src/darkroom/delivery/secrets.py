"""What each owner's webhooks are signed with."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from darkroom.db import webhook_secrets
from darkroom.db.session import Database
from darkroom.delivery.signing import new_secret
from darkroom.media.model import Secret

OVERLAP: Final = timedelta(days=1)
"""For so long a secret that was replaced signs beside the new one."""
NOBODYS: Final = ""


class Secrets:
    """Makes an owner's secret at first use. Everything may raise `DatabaseUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def signing(self, owner: str = NOBODYS) -> Sequence[Secret]:
        """The secrets that sign now, the current one first; at least one."""
        found = await self._database.read(webhook_secrets.signing, owner, self._database.now())
        if found and found[0].expires_at is None:
            return found
        return await self._database.transact(lambda connection: self._made(connection, owner))

    async def rotate(self, owner: str = NOBODYS) -> Sequence[Secret]:
        """Replace an owner's secret; the one before signs for another day."""

        def replace(connection: Connection) -> Sequence[Secret]:
            now = self._database.now()
            webhook_secrets.lock(connection)
            webhook_secrets.retire(connection, owner, now=now, at=now + OVERLAP)
            return self._made(connection, owner)

        return await self._database.transact(replace)

    def _made(self, connection: Connection, owner: str) -> Sequence[Secret]:
        now = self._database.now()
        webhook_secrets.lock(connection)
        found = webhook_secrets.signing(connection, owner, now)
        if not found or found[0].expires_at is not None:
            webhook_secrets.add(connection, Secret(owner, now, new_secret()))
        return webhook_secrets.signing(connection, owner, now)
