"""Callers who left, and webhooks that are due among many that wait.

Revision ID: 0005
Revises: 0004
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

LEFT = sa.text("left_at IS NOT NULL")
PENDING = sa.text("state = 'pending'")


def upgrade() -> None:
    op.add_column(
        "media",
        sa.Column(
            "left_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the caller who waited for it went away without it",
        ),
    )
    op.create_index("ix_media_left", "media", ["left_at"], sqlite_where=LEFT, postgresql_where=LEFT)
    op.create_index(
        "ix_deliveries_latest", "deliveries", ["due_at", "host"], sqlite_where=PENDING, postgresql_where=PENDING
    )


def downgrade() -> None:
    op.drop_index("ix_deliveries_latest", "deliveries")
    op.drop_index("ix_media_left", "media")
    op.drop_column("media", "left_at")
