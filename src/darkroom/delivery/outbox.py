"""What is to be told of a media, written down in the transaction in which it happens."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import Connection

from darkroom.db import deliveries, media
from darkroom.media.ids import new_id
from darkroom.media.model import Attempt, Delivery, Webhook
from darkroom.media.states import ENDED, DeliveryState

STARTED, PROGRESS, OUTPUT, COMPLETED = "started", "progress", "output", "completed"
"""The events of `WEBHOOK_EVENTS`."""
NOBODY: Final = "?"
"""The host of an address that has none; sending there fails, and says why."""
APART: Final = timedelta(milliseconds=500)
"""At least so long between two tellings of progress."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something happened to a media of `owner` (empty: nobody's) that its webhook may have to be told."""

    media_id: UUID
    owner: str
    webhook: Webhook | None
    event: str
    at: datetime


def note(connection: Connection, notices: Sequence[Notice]) -> None:
    """Have webhooks told of what they asked for. Costs nothing where there is none.

    The caller has moved these media in the same transaction, so that nobody else notes anything of them meanwhile.
    """
    wanted = [notice for notice in notices if notice.webhook is not None and notice.event in notice.webhook.events]
    if not wanted:
        return
    gone = deliveries.with_state(connection, {notice.media_id for notice in wanted}, DeliveryState.GONE)
    ended = {notice.media_id for notice in wanted if notice.event == COMPLETED}
    if ended:
        deliveries.forget(connection, ended, PROGRESS, max(notice.at for notice in wanted))
    rows = [_row(notice) for notice in wanted if notice.media_id not in gone and not _is_told(connection, notice)]
    if rows:
        deliveries.add(connection, rows)


def take_back(connection: Connection, media_id: UUID, at: datetime) -> None:
    """Do not say any more that a media has ended: it goes on. Whoever is saying it finds out: `is_taken_back`."""
    deliveries.hold(connection, media_id)
    deliveries.forget(connection, [media_id], COMPLETED, at)


def is_taken_back(connection: Connection, delivery: Delivery) -> bool:
    """Whether it says that a media has ended which goes on, or has ended anew: that is told by itself."""
    if delivery.event != COMPLETED:
        return False
    now = media.live_job(connection, delivery.media_id)
    goes_on = now is not None and now.status not in ENDED
    return goes_on or deliveries.is_noted_after(connection, delivery)


def put_off(
    connection: Connection,
    delivery: Delivery,
    attempts: Sequence[Attempt],
    *,
    tries: int,
    until: datetime,
    at: datetime,
) -> bool:
    """Have one that was not told tried again, unless it was taken back meanwhile. False: it is not to be told by us."""
    held = deliveries.put_off(connection, delivery, attempts, tries=tries, until=until)
    if held and is_taken_back(connection, delivery):
        deliveries.drop(connection, delivery, at)
        return False
    return held


def _is_told(connection: Connection, notice: Notice) -> bool:
    """Whether what is told anyway says the same: progress is told as it is then."""
    since = notice.at - APART
    return notice.event == PROGRESS and deliveries.is_noted(connection, notice.media_id, PROGRESS, since=since)


def _row(notice: Notice) -> dict[str, object]:
    assert notice.webhook is not None
    return {
        "id": new_id(notice.at), "media_id": notice.media_id, "owner": notice.owner, "event": notice.event,
        "url": notice.webhook.url, "host": _host_of(notice.webhook.url),
        "created_at": notice.at,
    }  # fmt: skip


def _host_of(url: str) -> str:
    """The host of an address that was checked. Raises nothing: a media's move must not fail for its webhook."""
    try:
        return (urlsplit(url).hostname or NOBODY)[:255]
    except ValueError:
        return NOBODY
