"""What a person says of an account: it may be asked again."""

from collections.abc import Sequence

from sqlalchemy import Connection

from darkroom.db import accounts
from darkroom.engine.transitions.base import Done


def reset(connection: Connection, items: Sequence[str]) -> list[Done[None]]:
    """Forget what failed at these accounts."""
    accounts.hold(connection, set(items))
    accounts.reset(connection, set(items))
    return [Done(None) for _ in items]
