"""Statements on `webhook_secrets`: what each owner's webhooks are signed with."""

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from darkroom.db.tables import webhook_secrets
from darkroom.media.model import Secret

_LOCK = 0xDA2C_0002


def lock(connection: Connection) -> None:
    """Let nobody else make or replace a secret until the transaction ends. SQLite lets only one write anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def signing(connection: Connection, owner: str, now: datetime) -> list[Secret]:
    """The secrets that sign now: the current one first, then those that were replaced, whatever the clock said."""
    theirs = webhook_secrets.c.owner == owner
    signs = or_(webhook_secrets.c.expires_at.is_(None), webhook_secrets.c.expires_at > now)
    in_turn = (webhook_secrets.c.expires_at.isnot(None), webhook_secrets.c.created_at.desc())
    rows = connection.execute(select(webhook_secrets).where(theirs, signs).order_by(*in_turn))
    return [Secret(**row._asdict()) for row in rows]


def add(connection: Connection, new: Secret) -> None:
    """Insert one."""
    connection.execute(insert(webhook_secrets), asdict(new))


def retire(connection: Connection, owner: str, *, now: datetime, at: datetime) -> None:
    """Have the current secret of an owner stop signing at `at`; forget those that have stopped."""
    theirs = webhook_secrets.c.owner == owner
    connection.execute(delete(webhook_secrets).where(theirs, webhook_secrets.c.expires_at <= now))
    connection.execute(
        update(webhook_secrets).where(theirs, webhook_secrets.c.expires_at.is_(None)).values(expires_at=at)
    )
