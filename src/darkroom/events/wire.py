"""News as text, to be sent to other processes, which may run an older or a newer version.

A payload is the sender, a space, and a JSON array of `[name, fields]`.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, get_args
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from darkroom.media.events import TRAVELLING, News

LARGEST = 7999
"""Bytes of a payload: PostgreSQL takes fewer than 8,000 in a notification."""

_KINDS: dict[str, Any] = {kind.__name__: kind for kind in get_args(TRAVELLING)}


@cache
def _adapter(kind: Any) -> TypeAdapter[News]:
    return TypeAdapter(kind)


def encode(event: News) -> bytes:
    """One event as JSON."""
    kind: Any = type(event)
    return b'["%s",%s]' % (kind.__name__.encode(), _adapter(kind).dump_json(event))


def pack(sender: str, events: Iterable[bytes]) -> Iterator[str]:
    """Payloads of at most `LARGEST` bytes with `events`, which are encoded, in their order.

    An event that is too large by itself gets a payload of its own all the same.
    """
    gathered: list[bytes] = []
    room = most = LARGEST - len(_payload(sender, ()))
    for event in events:
        if gathered and len(event) + 1 > room:
            yield _payload(sender, gathered)
            gathered, room = [], most
        gathered.append(event)
        room -= len(event) + 1
    if gathered:
        yield _payload(sender, gathered)


def _payload(sender: str, events: Iterable[bytes]) -> str:
    return f"{sender} [{b','.join(events).decode()}]"


def sender_of(payload: str) -> str:
    """Who sent it."""
    return payload.partition(" ")[0]


def unpack(payload: str, wanted: Callable[[UUID], bool]) -> Iterator[News]:
    """The events in a payload of media that are `wanted`.

    Fields that this version does not know are left out, and so is an event that it cannot read.
    """
    try:
        items = json.loads(payload.partition(" ")[2])
    except ValueError:
        return
    for item in items if isinstance(items, list) else ():
        match item:
            case [str(name), {"media_id": str(media_id)} as fields] if name in _KINDS and _is(wanted, media_id):
                yield from _decoded(name, fields)


def _is(wanted: Callable[[UUID], bool], media_id: str) -> bool:
    try:
        return wanted(UUID(media_id))
    except ValueError:
        return False


def _decoded(name: str, fields: dict[str, Any]) -> tuple[News, ...]:
    try:
        return (_adapter(_KINDS[name]).validate_python(fields),)
    except ValidationError:
        return ()
