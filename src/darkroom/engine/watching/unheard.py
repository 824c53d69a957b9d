"""Finds in the stories what no news came of: it got lost, or no bus connects the processes."""

from datetime import UTC, datetime
from typing import get_args
from uuid import UUID

from darkroom.db import logs
from darkroom.db.rows import AnyRow
from darkroom.db.session import Database
from darkroom.media.events import MOVES, News

_NEVER = datetime.min.replace(tzinfo=UTC)
_MOVES = frozenset(logs.name_of(kind) for kind in get_args(MOVES))


class Unheard:
    """Compares the lines that were written since the last look with the news that came."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._line: int | None = None
        self._heard: dict[UUID, datetime] = {}
        self._heard_before: dict[UUID, datetime] = {}

    async def begin(self) -> None:
        """Look at nothing that is older than this, unless a look was begun. Raises `DatabaseUnavailable`."""
        if self._line is None:
            self._line = await self._database.read(logs.newest)

    def stop(self) -> None:
        """Forget everything: nobody watches."""
        self._line = None
        self._heard, self._heard_before = {}, {}

    def hear(self, event: News) -> None:
        """News came."""
        self._heard[event.media_id] = event.at

    async def look(self) -> list[UUID]:
        """Media to which something happened that was not heard of. Raises `DatabaseUnavailable`; then look again."""
        found: dict[UUID, None] = {}
        line = began = self._line
        while line is not None and (rows := await self._database.read(logs.after, line)):
            found |= {row.media_id: None for row in rows if row.event in _MOVES and not self._has_heard(row)}
            line = rows[-1].id
        if self._line != began:  # all who watched have left meanwhile
            return []
        self._line = line
        self._heard_before, self._heard = self._heard, {}
        return list(found)

    def _has_heard(self, row: AnyRow) -> bool:
        return any(row.at <= heard.get(row.media_id, _NEVER) for heard in (self._heard_before, self._heard))
