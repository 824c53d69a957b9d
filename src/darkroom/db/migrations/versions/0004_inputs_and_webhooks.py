"""Pictures to start from, and webhooks.

Revision ID: 0004
Revises: 0003
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

PENDING = sa.text("state = 'pending'")
STATES = ("pending", "delivered", "failed", "gone")
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.add_column("media", sa.Column("webhook", JSON, nullable=True, comment="whom to tell of it"))
    op.create_table(
        "inputs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=True),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("content_type", sa.String(length=100), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("metadata", JSON, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inputs")),
        comment="pictures that callers gave to start from; kept for a while after they were last asked for",
    )
    op.create_index("ix_inputs_used_at", "inputs", ["used_at"])
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("media_id", sa.Uuid(), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=False, comment="its media's; empty: nobody's"),
        sa.Column("event", sa.String(length=16), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column(
            "host",
            sa.String(length=255),
            nullable=False,
            comment="of the url: no host is sent to more than a few times at once",
        ),
        sa.Column(
            "state",
            sa.Enum(*STATES, name="deliverystate", native_enum=False, create_constraint=True, length=16),
            nullable=False,
        ),
        sa.Column(
            "tries", sa.Integer(), nullable=False, comment="that ended, since it was noted or last asked for again"
        ),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "claims",
            sa.Integer(),
            nullable=False,
            comment="how often it was taken: who took it last may say what came of it",
        ),
        sa.Column(
            "held_until",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="whoever took it may be sending it until then",
        ),
        sa.Column("attempts", JSON, nullable=False, comment="what became of each try, the latest last"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["media_id"], ["media.id"], name=op.f("fk_deliveries_media_id_media"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        comment="what webhooks are told, and what became of it",
    )
    op.create_index("ix_deliveries_media", "deliveries", ["media_id", "id"])
    op.create_index("ix_deliveries_list", "deliveries", ["owner", "id"])
    op.create_index("ix_deliveries_list_state", "deliveries", ["owner", "state", "id"])
    op.create_index(
        "ix_deliveries_due", "deliveries", ["host", "due_at"], sqlite_where=PENDING, postgresql_where=PENDING
    )
    op.create_table(
        "webhook_secrets",
        sa.Column("owner", sa.String(length=200), nullable=False, comment="empty: nobody's"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column(
            "expires_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when it stops signing, because it was replaced",
        ),
        sa.PrimaryKeyConstraint("owner", "created_at", name=op.f("pk_webhook_secrets")),
        comment="what webhooks are signed with",
    )


def downgrade() -> None:
    op.drop_table("webhook_secrets")
    op.drop_table("deliveries")
    op.drop_table("inputs")
    op.drop_column("media", "webhook")
