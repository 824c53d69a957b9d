"""Requests that are sent once more by clients that know no idempotency key."""

from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from darkroom.db import media
from darkroom.db.session import Database
from darkroom.engine.intake import Order, fingerprint
from darkroom.media.ids import first_id_at

ASKED_WITHIN = timedelta(minutes=40)
"""As long as a client of OpenAI may go on asking: three times, for ten minutes each, with pauses between."""
ENDED_WITHIN = timedelta(seconds=30)
"""For so long after its end, a media is still an answer to a client that hung up just before it."""


async def find(database: Database, order: Order) -> UUID | None:
    """The media that `order` asked for before, if it says that it repeats one, or takes over what was left.

    It is the newest that the same owner asked for with the same content and without a key, if it is under way or has
    just ended. Raises `DatabaseUnavailable`.
    """
    if order.retried:
        since = first_id_at(database.now() - ASKED_WITHIN)
        return await database.read(
            media.find_repeated, order.owner, fingerprint(order), since=since, ended_after=_ended_after(database)
        )
    return await _take_over(database, order) if order.takes_over else None


async def _take_over(database: Database, order: Order) -> UUID | None:
    left = await database.read(
        media.find_left, order.owner, fingerprint(order),
        left_after=database.now() - ASKED_WITHIN, ended_after=_ended_after(database),
    )  # fmt: skip
    if left is None:
        return None
    is_ours: bool = await database.transact(partial(media.take_over, media_id=left))
    return left if is_ours else None


def _ended_after(database: Database) -> datetime:
    return database.now() - ENDED_WITHIN


async def leave(database: Database, media_id: UUID) -> None:
    """Note that whoever waited for a media went away without it. Raises `DatabaseUnavailable`."""
    await database.transact(partial(media.leave, media_id=media_id, at=database.now()))
