"""What was told to webhooks, for those who look into it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from darkroom.db import deliveries
from darkroom.db.session import Database
from darkroom.delivery.secrets import NOBODYS
from darkroom.errors import NotFound
from darkroom.media.model import Delivery
from darkroom.media.states import DeliveryState


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of the list, newest first. `next_cursor`: None at the end."""

    items: Sequence[Delivery]
    next_cursor: UUID | None


class Book:
    """The deliveries of an owner. Everything may raise `DatabaseUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self,
        *,
        media_id: UUID | None = None,
        state: DeliveryState | None = None,
        cursor: UUID | None = None,
        limit: int,
        owner: str = NOBODYS,
    ) -> Page:
        """Those before `cursor`, newest first; only of a media, or in a state, if asked for."""
        wanted = partial(deliveries.page, owner=owner, media_id=media_id, state=state, before=cursor, limit=limit + 1)
        found = await self._database.read(wanted)
        following = found[limit - 1].id if len(found) > limit else None
        return Page(found[:limit], following)

    async def get(self, delivery_id: UUID) -> Delivery:
        """One of them. Raises `NotFound`."""
        return _found(await self._database.read(deliveries.get, delivery_id), delivery_id)

    async def send_again(self, delivery_id: UUID) -> Delivery:
        """Have one sent once more, whatever became of it, with ten tries. Raises `NotFound`."""
        now = self._database.now()
        again = partial(deliveries.send_again, delivery_id=delivery_id, at=now)
        return _found(await self._database.transact(again), delivery_id)


def _found(delivery: Delivery | None, wanted: UUID) -> Delivery:
    if delivery is None:
        raise NotFound(f"there is no delivery {wanted}", field="delivery_id")
    return delivery
