"""Requests that are sent once more by clients that know no idempotency key."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection

from darkroom.db import media
from darkroom.db.session import Database
from darkroom.engine.intake import Order, fingerprint
from darkroom.media.ids import first_id_at

ASKED_WITHIN = timedelta(minutes=40)
"""As long as a client of OpenAI may go on asking: three times, for ten minutes each, with pauses between."""
ENDED_WITHIN = timedelta(seconds=30)
"""For so long after its end, a media is still an answer to a client that hung up just before it."""


async def find(database: Database, order: Order) -> UUID | None:
    """The media that `order` asked for before, if it says that it repeats one.

    It is the newest that the same owner asked for with the same content and without a key, if it is under way or has
    just ended. Raises `DatabaseUnavailable`.
    """
    if not order.retried:
        return None
    wanted, now = fingerprint(order), database.now()

    def newest(connection: Connection) -> UUID | None:
        return media.find_repeated(
            connection, order.owner, wanted, since=first_id_at(now - ASKED_WITHIN), ended_after=now - ENDED_WITHIN
        )

    return await database.read(newest)
