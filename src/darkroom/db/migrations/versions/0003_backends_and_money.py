"""Accounts at backends, the routes of jobs, and money.

Revision ID: 0003
Revises: 0002
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

RUNNING = sa.text("state = 'running'")
ACCEPTED = sa.text("provider_ref IS NOT NULL")
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False, comment="in a row"),
        sa.Column("blocked_until", sa.DateTime(timezone=True), nullable=True, comment="nothing is sent there before"),
        sa.Column("reason", sa.Text(), nullable=True, comment="why it is blocked"),
        sa.Column(
            "next_at", sa.DateTime(timezone=True), nullable=True, comment="when its rate allows the next request"
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_accounts")),
        comment="what all workers know of an account at a backend; its limits are settings",
    )
    op.create_table(
        "spending",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False, comment="empty: nobody's"),
        sa.Column("model", sa.String(length=100), nullable=False),
        sa.Column("provider", sa.String(length=100), nullable=False),
        sa.Column("jobs", sa.Integer(), nullable=False, comment="that were settled"),
        sa.Column("pictures", sa.Integer(), nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "owner", "model", "provider", name=op.f("pk_spending")),
        comment="money by the day (UTC) on which it was set aside; outlives the media",
    )
    op.add_column("jobs", sa.Column("route", sa.Text(), nullable=True))
    op.add_column(
        "jobs",
        sa.Column(
            "sent_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when a request was about to be sent to the backend",
        ),
    )
    op.add_column(
        "jobs",
        sa.Column(
            "reserved", sa.BigInteger(), nullable=True, comment="set aside for it, until it is known what it cost"
        ),
    )
    op.add_column("jobs", sa.Column("routing", JSON, nullable=True, comment="what its media had tried before"))
    op.create_index("ix_jobs_account", "jobs", ["provider"], sqlite_where=RUNNING, postgresql_where=RUNNING)
    op.create_index("ix_jobs_ref", "jobs", ["provider_ref"], sqlite_where=ACCEPTED, postgresql_where=ACCEPTED)


def downgrade() -> None:
    op.drop_index("ix_jobs_ref", "jobs")
    op.drop_index("ix_jobs_account", "jobs")
    for column in ("routing", "reserved", "sent_at", "route"):
        op.drop_column("jobs", column)
    op.drop_table("spending")
    op.drop_table("accounts")
