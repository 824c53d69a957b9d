"""The tables. Indexes follow the queries, each named for the one it serves."""

from sqlalchemy import (
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from darkroom.db.types import BigId, Json, Money, UTCDateTime, enum_of
from darkroom.media.states import DeliveryState, JobState, Status

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

media = Table(
    "media",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("job_id", Uuid, nullable=False),
    Column("status", enum_of(Status), nullable=False),
    Column("owner", String(200)),
    Column("model", String(100), nullable=False),
    Column("prompt", Text, nullable=False),
    Column("words", Text, nullable=False),
    Column("parameters", Json, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("number_of_tries", Integer, nullable=False),
    Column("max_tries", Integer, nullable=False),
    Column("next_run", UTCDateTime),
    Column("progress", Json),
    Column("error", Json),
    Column("cost", Money),
    Column("tags", Json, nullable=False),
    Column("metadata", Json, nullable=False),
    Column("idempotency_key", String(255)),
    Column("fingerprint", String(64)),
    Column("trace", String(55), comment="traceparent of the request (W3C Trace Context)"),
    Column("webhook", Json, comment="whom to tell of it"),
    Column("left_at", UTCDateTime, comment="when the caller who waited for it went away without it"),
    Column("created_at", UTCDateTime, nullable=False),
    Column("updated_at", UTCDateTime, nullable=False),
    Column("started_at", UTCDateTime),
    Column("completed_at", UTCDateTime),
)

_owned = media.c.owner.isnot(None) & media.c.idempotency_key.isnot(None)
_unowned = media.c.owner.is_(None) & media.c.idempotency_key.isnot(None)

_left = media.c.left_at.isnot(None)

Index("ix_media_left", media.c.left_at, sqlite_where=_left, postgresql_where=_left)
Index("ix_media_list", media.c.owner, media.c.id)
Index("ix_media_list_status", media.c.owner, media.c.status, media.c.id)
Index("ix_media_list_model", media.c.owner, media.c.model, media.c.id)
Index(
    "uq_media_idempotency", media.c.owner, media.c.idempotency_key,
    unique=True, sqlite_where=_owned, postgresql_where=_owned,
)  # fmt: skip
Index(
    "uq_media_idempotency_unowned", media.c.idempotency_key,
    unique=True, sqlite_where=_unowned, postgresql_where=_unowned,
)  # fmt: skip

jobs = Table(
    "jobs",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("media_id", Uuid, ForeignKey("media.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", enum_of(JobState), nullable=False),
    Column("lane", String(100), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("owner", String(200), nullable=False, server_default=text("''"), comment="its media's; empty: nobody's"),
    Column("run_at", UTCDateTime, nullable=False),
    Column("worker", String(200)),
    Column("lease_expires_at", UTCDateTime),
    Column("cancel_requested_at", UTCDateTime),
    Column("created_at", UTCDateTime, nullable=False),
    Column("started_at", UTCDateTime),
    Column("finished_at", UTCDateTime),
    Column("provider", String(100)),
    Column("provider_ref", Text),
    Column("error", Json),
    Column("cost", Money),
    Column("route", Text),
    Column("sent_at", UTCDateTime, comment="when a request was about to be sent to the backend"),
    Column("reserved", Money, comment="set aside for it, until it is known what it cost"),
    Column("routing", Json, comment="what its media had tried before"),
    UniqueConstraint("media_id", "number"),
)

# As literals, not parameters: a partial index serves only a query that is known to ask for its part.
QUEUED = jobs.c.state == text("'queued'")
RUNNING = jobs.c.state == text("'running'")

Index(
    "ix_jobs_claim", jobs.c.lane, jobs.c.priority.desc(), jobs.c.owner, jobs.c.run_at, jobs.c.id,
    sqlite_where=QUEUED, postgresql_where=QUEUED,
)  # fmt: skip
Index("ix_jobs_lease", jobs.c.lease_expires_at, sqlite_where=RUNNING, postgresql_where=RUNNING)

Index("ix_jobs_account", jobs.c.provider, sqlite_where=RUNNING, postgresql_where=RUNNING)
_accepted = jobs.c.provider_ref.isnot(None)
Index("ix_jobs_ref", jobs.c.provider_ref, sqlite_where=_accepted, postgresql_where=_accepted)

accounts = Table(
    "accounts",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("failures", Integer, nullable=False, comment="in a row"),
    Column("blocked_until", UTCDateTime, comment="nothing is sent there before"),
    Column("reason", Text, comment="why it is blocked"),
    Column("next_at", UTCDateTime, comment="when its rate allows the next request"),
    comment="what all workers know of an account at a backend; its limits are settings",
)

spending = Table(
    "spending",
    metadata,
    Column("day", Date, nullable=False),
    Column("owner", String(200), nullable=False, comment="empty: nobody's"),
    Column("model", String(100), nullable=False),
    Column("provider", String(100), nullable=False),
    Column("jobs", Integer, nullable=False, comment="that were settled"),
    Column("pictures", Integer, nullable=False),
    Column("spent", Money, nullable=False),
    Column("reserved", Money, nullable=False),
    PrimaryKeyConstraint("day", "owner", "model", "provider"),
    comment="money by the day (UTC) on which it was set aside; outlives the media",
)

lanes = Table(
    "lanes",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("paused_at", UTCDateTime),
    Column("seen_at", UTCDateTime, nullable=False, comment="when a process last had it in its settings"),
    Column("reminded_at", UTCDateTime, comment="when tickets were last compared with due jobs"),
    comment="what all processes know of a lane; its limits are settings",
)

files = Table(
    "files",
    metadata,
    Column("media_id", Uuid, ForeignKey("media.id", ondelete="CASCADE"), nullable=False),
    Column("index", Integer, nullable=False),
    Column("key", Text, nullable=False),
    Column("thumbnail_key", Text),
    Column("content_type", String(100), nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("placeholder", Text),
    Column("seed", BigId),
    PrimaryKeyConstraint("media_id", "index"),
)

tags = Table(
    "tags",
    metadata,
    Column("tag", String(100), nullable=False),
    Column("media_id", Uuid, ForeignKey("media.id", ondelete="CASCADE"), nullable=False),
    PrimaryKeyConstraint("tag", "media_id"),
    Index("ix_tags_media_id", "media_id"),
    comment="finds media by tag; what a media's tags are stands in its own row",
)

logs = Table(
    "logs",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("media_id", Uuid, ForeignKey("media.id", ondelete="CASCADE"), nullable=False),
    Column("job_id", Uuid),
    Column("at", UTCDateTime, nullable=False),
    Column("event", String(50), nullable=False),
    Column("message", Text, nullable=False),
    Index("ix_logs_story", "media_id", "id"),
)

trash = Table(
    "trash",
    metadata,
    Column("prefix", String(100), primary_key=True),
    Column("delete_after", UTCDateTime, nullable=False),
    Index("ix_trash_delete_after", "delete_after"),
    comment="what the store may still hold and no media needs: the janitor removes it",
)

inputs = Table(
    "inputs",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("owner", String(200)),
    Column("name", String(255)),
    Column("key", Text, nullable=False),
    Column("content_type", String(100), nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("metadata", Json, nullable=False),
    Column("created_at", UTCDateTime, nullable=False),
    Column("used_at", UTCDateTime, nullable=False),
    Index("ix_inputs_used_at", "used_at"),
    comment="pictures that callers gave to start from; kept for a while after they were last asked for",
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("media_id", Uuid, ForeignKey("media.id", ondelete="CASCADE"), nullable=False),
    Column("owner", String(200), nullable=False, comment="its media's; empty: nobody's"),
    Column("event", String(16), nullable=False),
    Column("url", Text, nullable=False),
    Column("host", String(255), nullable=False, comment="of the url: no host is sent to more than a few times at once"),
    Column("state", enum_of(DeliveryState), nullable=False),
    Column("tries", Integer, nullable=False, comment="that ended, since it was noted or last asked for again"),
    Column("due_at", UTCDateTime, nullable=False),
    Column(
        "claims", Integer, nullable=False, comment="how often it was taken: who took it last may say what came of it"
    ),
    Column("held_until", UTCDateTime, comment="whoever took it may be sending it until then"),
    Column("attempts", Json, nullable=False, comment="what became of each try, the latest last"),
    Column("created_at", UTCDateTime, nullable=False),
    Column("ended_at", UTCDateTime),
    Index("ix_deliveries_media", "media_id", "id"),
    Index("ix_deliveries_list", "owner", "id"),
    Index("ix_deliveries_list_state", "owner", "state", "id"),
    comment="what webhooks are told, and what became of it",
)

PENDING = deliveries.c.state == text("'pending'")
Index(
    "ix_deliveries_due", deliveries.c.host, deliveries.c.due_at, sqlite_where=PENDING, postgresql_where=PENDING
)  # fmt: skip
Index(
    "ix_deliveries_latest", deliveries.c.due_at, deliveries.c.host, sqlite_where=PENDING, postgresql_where=PENDING
)  # fmt: skip

webhook_secrets = Table(
    "webhook_secrets",
    metadata,
    Column("owner", String(200), nullable=False, comment="empty: nobody's"),
    Column("created_at", UTCDateTime, nullable=False),
    Column("secret", Text, nullable=False),
    Column("expires_at", UTCDateTime, comment="when it stops signing, because it was replaced"),
    PrimaryKeyConstraint("owner", "created_at"),
    comment="what webhooks are signed with",
)
