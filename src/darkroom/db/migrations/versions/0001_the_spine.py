"""Media, their jobs, files, tags and stories, and the trash.

Revision ID: 0001
Revises:
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "media",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "IN_QUEUE",
                "PROCESSING",
                "COMPLETED",
                "ERROR",
                "CANCELLED",
                name="status",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("owner", sa.String(length=200), nullable=True),
        sa.Column("model", sa.String(length=100), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("parameters", JSON, nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("number_of_tries", sa.Integer(), nullable=False),
        sa.Column("max_tries", sa.Integer(), nullable=False),
        sa.Column("next_run", sa.DateTime(timezone=True), nullable=True),
        sa.Column("progress", JSON, nullable=True),
        sa.Column("error", JSON, nullable=True),
        sa.Column("cost", sa.BigInteger(), nullable=True),
        sa.Column("tags", JSON, nullable=False),
        sa.Column("metadata", JSON, nullable=False),
        sa.Column("idempotency_key", sa.String(length=255), nullable=True),
        sa.Column("fingerprint", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_media")),
    )
    op.create_index("ix_media_list", "media", ["owner", "id"], unique=False)
    op.create_index("ix_media_list_model", "media", ["owner", "model", "id"], unique=False)
    op.create_index("ix_media_list_status", "media", ["owner", "status", "id"], unique=False)
    op.create_index(
        "uq_media_idempotency",
        "media",
        ["owner", "idempotency_key"],
        unique=True,
        sqlite_where=sa.text("owner IS NOT NULL AND idempotency_key IS NOT NULL"),
        postgresql_where=sa.text("owner IS NOT NULL AND idempotency_key IS NOT NULL"),
    )
    op.create_index(
        "uq_media_idempotency_unowned",
        "media",
        ["idempotency_key"],
        unique=True,
        sqlite_where=sa.text("owner IS NULL AND idempotency_key IS NOT NULL"),
        postgresql_where=sa.text("owner IS NULL AND idempotency_key IS NOT NULL"),
    )
    op.create_table(
        "trash",
        sa.Column("prefix", sa.String(length=100), nullable=False),
        sa.Column("delete_after", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("prefix", name=op.f("pk_trash")),
        comment="what the store may still hold and no media needs: the janitor removes it",
    )
    op.create_index("ix_trash_delete_after", "trash", ["delete_after"], unique=False)
    op.create_table(
        "files",
        sa.Column("media_id", sa.Uuid(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("thumbnail_key", sa.Text(), nullable=True),
        sa.Column("content_type", sa.String(length=100), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("placeholder", sa.Text(), nullable=True),
        sa.Column("seed", BIG_ID, nullable=True),
        sa.ForeignKeyConstraint(["media_id"], ["media.id"], name=op.f("fk_files_media_id_media"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("media_id", "index", name=op.f("pk_files")),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("media_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "queued",
                "running",
                "succeeded",
                "failed",
                "lost",
                "released",
                "cancelled",
                name="jobstate",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("lane", sa.String(length=100), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("worker", sa.String(length=200), nullable=True),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("provider", sa.String(length=100), nullable=True),
        sa.Column("provider_ref", sa.Text(), nullable=True),
        sa.Column("error", JSON, nullable=True),
        sa.Column("cost", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["media_id"], ["media.id"], name=op.f("fk_jobs_media_id_media"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("media_id", "number", name=op.f("uq_jobs_media_id_number")),
    )
    op.create_index(
        "ix_jobs_claim",
        "jobs",
        ["lane", sa.literal_column("priority DESC"), "run_at", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'queued'"),
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "ix_jobs_lease",
        "jobs",
        ["lease_expires_at"],
        unique=False,
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_table(
        "logs",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("media_id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event", sa.String(length=50), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["media_id"], ["media.id"], name=op.f("fk_logs_media_id_media"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_logs")),
    )
    op.create_index("ix_logs_story", "logs", ["media_id", "id"], unique=False)
    op.create_table(
        "tags",
        sa.Column("tag", sa.String(length=100), nullable=False),
        sa.Column("media_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["media_id"], ["media.id"], name=op.f("fk_tags_media_id_media"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tag", "media_id", name=op.f("pk_tags")),
        comment="finds media by tag; what a media's tags are stands in its own row",
    )
    op.create_index("ix_tags_media_id", "tags", ["media_id"], unique=False)


def downgrade() -> None:
    for table in ("trash", "tags", "logs", "files", "jobs", "media"):
        op.drop_table(table)
