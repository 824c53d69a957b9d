"""Every setting, documented here and nowhere else: the reference is made from this tree.

A class's docstring is its heading there. Within a class the order matters: a check sees only the fields
above its own.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo, field_validator

from darkroom.settings import checks
from darkroom.settings.models import Models, Money, Providers
from darkroom.settings.section import DAY, MIB, Bytes, FilePath, Name, Seconds, Section


class StorageOptions(Section):
    """How to reach the object store, where its address in `storage_url` does not say it."""

    endpoint: Annotated[str, AfterValidator(checks.public_url)] | None = Field(
        default=None,
        description="Address of the store's API, for stores that are not the vendor's own.",
        examples=["https://minio.example.com:9000"],
    )
    region: Name | None = Field(default=None, description="Region of the bucket.", examples=["eu-central-1"])
    access_key_id: Name | None = Field(
        default=None,
        description="Public half of the key; unset: what the vendor's own tools would use.",
        examples=["AKIAIOSFODNN7EXAMPLE"],
        repr=False,
    )
    secret_access_key: SecretStr | None = Field(
        default=None,
        description="Secret half of the key.",
        examples=["replace-with-the-secret-half-of-the-key"],
        repr=False,
    )
    allow_http: bool = Field(default=False, description="Whether the endpoint may be plain http://, without TLS.")
    virtual_hosted: bool = Field(
        default=False,
        description="Whether the bucket is part of the host name (bucket.host) instead of the path.",
    )


class Data(Section):
    """Where everything is kept."""

    data_dir: FilePath = Field(
        default=Path("darkroom-data"),
        description="Folder of the database and the pictures, unless kept elsewhere; made if absent.",
    )
    database_url: Annotated[str, AfterValidator(checks.database_url)] | None = Field(
        default=None,
        description=f"Database: {checks.DATABASE_SCHEMES}; unset: SQLite in the data folder.",
        examples=["postgresql://darkroom:password@localhost/darkroom"],
        repr=False,
    )
    migrate: bool = Field(
        default=True,
        description="Whether `darkroom serve` brings the database to the schema of its version; "
        "otherwise it refuses to start until `darkroom db upgrade` has.",
    )
    storage_url: Annotated[str, AfterValidator(checks.storage_url)] | None = Field(
        default=None,
        description=f"Where pictures are kept: {checks.STORAGE_SCHEMES}; unset: the data folder.",
        examples=["s3://pictures/darkroom"],
        repr=False,
    )
    storage_options: StorageOptions = Field(default=StorageOptions(), description="Options of the object store.")
    retention_days: Annotated[int, Field(ge=1, le=36_500)] | None = Field(
        default=None,
        description="Ended media older than this many days are deleted; unset: kept for ever.",
        examples=[90],
    )

    @property
    def database(self) -> str:
        """The effective address of the database, of either kind. May hold a password."""
        return self.database_url or f"sqlite:///{self.data_dir}/darkroom.db"

    @property
    def storage(self) -> str:
        """The effective address of the pictures; a folder's path is percent-encoded."""
        return self.storage_url or (self.data_dir / "files").as_uri()


class Service(Section):
    """Where the service listens, and to whom."""

    allow_unauthenticated: bool = Field(
        default=False,
        description="Whether Darkroom may listen beyond this machine although it asks nobody for a key.",
    )
    host: Annotated[str, AfterValidator(checks.listening_address)] = Field(
        default="127.0.0.1",
        description="Address to listen on; one that others can reach needs allow_unauthenticated.",
    )
    port: int = Field(default=8000, ge=0, le=65535, description="TCP port to listen on; 0: any free one.")
    public_url: Annotated[str, AfterValidator(checks.public_url)] | None = Field(
        default=None,
        description="What links in answers start with, and where backends call back if it is https; "
        "unset: http://host:port.",
        examples=["https://pictures.example.com"],
    )
    processes: int = Field(default=1, ge=1, le=256, description="Server processes.")
    drain: Seconds = Field(
        default=0.0,
        le=3600,
        description="Seconds after SIGTERM in which requests are still answered, while /readyz says no: "
        "what a load balancer needs to notice.",
    )
    allowed_hosts: list[Annotated[str, AfterValidator(checks.host_header)]] = Field(
        default=[],
        description="Host headers answered besides localhost, the listening address and the public URL's.",
        examples=[["pictures.internal"]],
    )
    cors_origins: list[Annotated[str, AfterValidator(checks.origin)]] = Field(
        default=[],
        description='Origins whose web pages may call the API, such as https://app.example.com, or "*".',
        examples=[["https://app.example.com"]],
    )
    secret: Annotated[SecretStr, Field(min_length=16)] | None = Field(
        default=None,
        description="Signs links to pictures; unset: made once and kept in the data folder.",
        examples=["replace-with-a-long-random-text"],
        repr=False,
    )
    link_lifetime: Seconds = Field(
        default=3600.0, ge=1, le=7 * DAY, description="How long a link to a picture works, in seconds; 7 days at most."
    )
    max_body_bytes: Bytes = Field(
        default=1 * MIB, description="Largest body of a request that can hold no picture, in bytes."
    )
    max_upload_bytes: Bytes = Field(
        default=32 * MIB, description="Largest body of a request that can hold pictures, in bytes; of a picture, too."
    )
    egress_allow: list[Annotated[str, AfterValidator(checks.egress_target)]] = Field(
        default=[],
        description="Host names, addresses and networks besides the public internet that webhooks are sent to and "
        "pictures are fetched from, when callers name them; these may be plain http://.",
        examples=[["hooks.internal", "10.1.0.0/16"]],
    )
    openai_placeholder_pictures: bool = Field(
        default=False,
        description="Only to run the own tests of OpenAI's client against /openai/v1: whether a blank picture stands "
        "for bytes that are none, and what a model cannot do is left out.",
    )

    @field_validator("host")
    @classmethod
    def _guarded(cls, host: str, info: ValidationInfo) -> str:
        if checks.is_loopback(host) or info.data.get("allow_unauthenticated"):
            return host
        raise ValueError(
            "refused, because anyone who reaches this address could spend money and read every picture; "
            "keep 127.0.0.1, or set DARKROOM_ALLOW_UNAUTHENTICATED=1 if something else guards it"
        )

    @property
    def links_start_with(self) -> str:
        """What links in answers start with, without a slash at the end."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        return self.public_url or f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


class Telemetry(Section):
    """What Darkroom tells of itself: logs on standard error, metrics, traces."""

    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(checks.lower_case)] = Field(
        default="info", description="Least important kind of line to write."
    )
    log_format: Annotated[Literal["auto", "console", "json"], BeforeValidator(checks.lower_case)] = Field(
        default="auto", description="Shape of the lines; auto: console on a terminal, json elsewhere."
    )
    worker_port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None,
        description="TCP port on which `darkroom worker` answers /metrics, /healthz and /readyz; unset: none.",
        examples=[9100],
    )
    traces_url: Annotated[str, AfterValidator(checks.public_url)] | None = Field(
        default=None,
        description="Collector of traces, OTLP over HTTP; needs `darkroom[traces]`; unset: no traces.",
        examples=["http://otel-collector:4318"],
    )
    trace_ratio: float = Field(
        default=1.0, ge=0, le=1, description="Share of the requests that are traced, where the caller does not say."
    )


class Retry(Section):
    """When a failed job is tried again: exponential backoff with full jitter."""

    base: Seconds = Field(
        default=1.0, description="Longest wait before the second try, in seconds; doubles with each try."
    )
    cap: Seconds = Field(default=300.0, description="Longest wait before any try, in seconds.")


class Lane(Section):
    """Queues that workers serve; a model belongs to one. The lane `default` always exists."""

    concurrency: int = Field(default=16, ge=1, le=10_000, description="Jobs at once in one process.")
    max_queued: int = Field(
        default=100_000,
        ge=1,
        le=100_000_000,
        description="Jobs that may wait; beyond it new media are refused with 429 and Retry-After.",
    )


class Jobs(Section):
    """How jobs are run."""

    broker_url: Annotated[str, AfterValidator(checks.broker_url)] | None = Field(
        default=None,
        description=f"Broker between many machines: {checks.BROKER_SCHEMES}; unset: the server process works itself.",
        examples=["amqp://darkroom:password@localhost"],
        repr=False,
    )
    broker_queue_prefix: Annotated[str, AfterValidator(checks.queue_prefix)] = Field(
        default="darkroom",
        description="First part of the queues' names at the broker, prefix.lane: one for each Darkroom that shares it.",
        examples=["darkroom-staging"],
    )
    broker_quorum_queues: bool = Field(
        default=False,
        description="Whether the queues are quorum queues, kept on several nodes of a RabbitMQ cluster; "
        "existing queues must be deleted before it is changed.",
    )
    lanes: dict[Annotated[str, AfterValidator(checks.lane_name)], Lane] = Field(
        default={}, description="The lanes, by name; `default` is always there.", examples=[{"default": {}}]
    )
    max_tries: int = Field(default=5, ge=1, le=100, description="Tries at a media before it ends as ERROR.")
    retry: Retry = Field(default=Retry(), description="Waiting between tries.")
    job_timeout: Seconds = Field(
        default=900.0, ge=1, description="Hard limit for a provider to make the pictures of one job, in seconds."
    )
    patience: Seconds = Field(
        default=86_400.0,
        description="Seconds after a media's first failure in which it is tried again, be it throttled all the time.",
    )
    lease: Seconds = Field(
        default=30.0,
        ge=1,
        description="Seconds without a sign of life after which a worker's job is given to another.",
    )
    stop_grace: Seconds = Field(
        default=10.0, description="Seconds that running jobs get to end when the service is stopped."
    )
    poll_interval: Seconds = Field(
        default=1.0,
        ge=0.01,
        description="Seconds between two looks for due jobs when nothing wakes a worker.",
    )

    @field_validator("lanes")
    @classmethod
    def _with_default(cls, lanes: dict[str, Lane]) -> dict[str, Lane]:
        return {"default": Lane(), **lanes}


class Input(Section):
    """The pictures that callers give to start from."""

    keep_days: int = Field(
        default=30, ge=1, le=36_500, description="Days that they are kept after a request last named them."
    )
    max_pixels: int = Field(
        default=32 * MIB,
        ge=1,
        le=1024 * MIB,
        description="Largest one, in pixels; what is taken in is decoded, so that pixels cost memory meanwhile.",
    )


class Output(Section):
    """What is made and allowed of each picture."""

    thumbnails: bool = Field(default=True, description="Whether a thumbnail is kept with each picture.")
    metadata: bool = Field(
        default=True, description="Whether prompt, model, seed and parameters are written into pictures."
    )
    max_pixels: int = Field(default=64 * MIB, ge=1, le=1024 * MIB, description="Largest picture, in pixels.")
    max_bytes: Bytes = Field(default=64 * MIB, description="Largest picture, in bytes as the provider sends it.")


class Settings(Money, Models, Jobs, Telemetry, Service, Data):
    """The whole tree. The fields of the last base come first."""

    input: Input = Field(default=Input(), description="The pictures to start from.")
    output: Output = Field(default=Output(), description="The pictures.")
    providers: Providers = Field(default=Providers(), description="The providers.")
