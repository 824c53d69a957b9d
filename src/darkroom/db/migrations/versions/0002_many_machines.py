"""Lanes that can be paused, jobs that know their owner, media that carry their trace.

Revision ID: 0002
Revises: 0001
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

QUEUED = sa.text("state = 'queued'")


def upgrade() -> None:
    op.create_table(
        "lanes",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "seen_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="when a process last had it in its settings",
        ),
        sa.Column(
            "reminded_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when tickets were last compared with due jobs",
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lanes")),
        comment="what all processes know of a lane; its limits are settings",
    )
    op.add_column(
        "media",
        sa.Column(
            "trace", sa.String(length=55), nullable=True, comment="traceparent of the request (W3C Trace Context)"
        ),
    )
    op.add_column(
        "jobs",
        sa.Column(
            "owner",
            sa.String(length=200),
            nullable=False,
            server_default=sa.text("''"),
            comment="its media's; empty: nobody's",
        ),
    )
    op.execute(
        "UPDATE jobs SET owner = (SELECT media.owner FROM media WHERE media.id = jobs.media_id) "
        "WHERE media_id IN (SELECT id FROM media WHERE owner IS NOT NULL)"
    )
    op.drop_index("ix_jobs_claim", "jobs")
    _create_claim_index("lane", sa.literal_column("priority DESC"), "owner", "run_at", "id")


def downgrade() -> None:
    op.drop_index("ix_jobs_claim", "jobs")
    _create_claim_index("lane", sa.literal_column("priority DESC"), "run_at", "id")
    op.drop_column("jobs", "owner")
    op.drop_column("media", "trace")
    op.drop_table("lanes")


def _create_claim_index(*columns: str | sa.ColumnElement[str]) -> None:
    op.create_index("ix_jobs_claim", "jobs", list(columns), sqlite_where=QUEUED, postgresql_where=QUEUED)
