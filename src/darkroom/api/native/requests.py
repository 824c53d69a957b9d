"""What callers send, checked in form: whether the model takes it, the engine says."""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from darkroom.engine.costs import By
from darkroom.engine.intake import Order
from darkroom.engine.queries import Filter
from darkroom.media.ages import PATTERN as AGE
from darkroom.media.ages import as_age
from darkroom.media.model import WEBHOOK_EVENTS, Webhook
from darkroom.media.states import Status

LONGEST_PROMPT = 32_000
LONGEST_URL = 2048
MOST_METADATA_BYTES = 4096
PICTURES = ("image", "mask", "images")
MOST_FIELDS = 100
MOST_VALUES = 10_000
DEEPEST = 16
EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
LATEST = datetime(9999, 12, 30, tzinfo=UTC)


def storable(value: Any) -> Any:
    """`value` if every database can keep it: no NUL, no half of a surrogate pair, no infinite number, not too much."""
    level, left = [value], MOST_VALUES
    for _ in range(DEEPEST):
        left -= len(level)
        if left < 0:
            raise ValueError(f"may hold at most {MOST_VALUES} values")
        for item in level:
            _check_scalar(item)
        level = [child for item in level for child in _children(item)]
        if not level:
            return value
    raise ValueError(f"may be nested at most {DEEPEST} deep")


def _children(item: Any) -> list[Any]:
    if isinstance(item, Mapping):
        return [*item.keys(), *item.values()]
    return list(item) if isinstance(item, list | tuple) else []


def _check_scalar(item: Any) -> None:
    if isinstance(item, str):
        if "\x00" in item:
            raise ValueError("may not hold a NUL character")
        if not item.isascii() and any("\ud800" <= character <= "\udfff" for character in item):
            raise ValueError("may not hold half of a surrogate pair")
    elif isinstance(item, float) and not math.isfinite(item):
        raise ValueError("numbers must be finite")


def _not_blank(prompt: str) -> str:
    if not prompt.strip():
        raise ValueError("must say something: 1 to 32,000 characters")
    return prompt


def _whole(number: Any) -> Any:
    """JSON has one kind of number: 7.0 is 7."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _written_out(instant: Any) -> Any:
    """A number would be taken for seconds since 1970, or for milliseconds."""
    if isinstance(instant, str) and not _DATE.match(instant):
        raise ValueError("must be a time as in RFC 3339, such as 2026-11-23T12:00:00Z")
    return instant


def _few(metadata: Any) -> Any:
    """Look before each entry is looked at: a body holds millions."""
    if isinstance(metadata, Mapping) and len(metadata) > MOST_METADATA_BYTES:
        raise ValueError(f"may have at most {MOST_METADATA_BYTES} bytes as JSON; this has {len(metadata)} entries")
    return metadata


def _small(metadata: dict[str, str]) -> dict[str, str]:
    size = len(json.dumps(metadata, ensure_ascii=False).encode())
    if size > MOST_METADATA_BYTES:
        raise ValueError(f"may have at most {MOST_METADATA_BYTES} bytes as JSON; this has {size}")
    return metadata


Storable = AfterValidator(storable)
NO_NUL = r"^[^\x00]*$"
Text = Annotated[str, Field(json_schema_extra={"pattern": NO_NUL}), Storable]
Prompt = Annotated[
    str,
    Field(min_length=1, max_length=LONGEST_PROMPT, json_schema_extra={"pattern": r"^[^\x00]*[^\x00\s][^\x00]*$"}),
    Storable,
    AfterValidator(_not_blank),
]
Picture = Annotated[
    str,
    Field(
        min_length=1,
        description="The id of an uploaded file, a data: URI, or an https URL to fetch it from.",
        json_schema_extra={"pattern": NO_NUL},
    ),
    Storable,
]
Url = Annotated[str, Field(min_length=1, max_length=LONGEST_URL, json_schema_extra={"pattern": NO_NUL}), Storable]
Name = Annotated[Text, Field(min_length=1, max_length=100)]
Whole = BeforeValidator(_whole)
Instant = Annotated[datetime, BeforeValidator(_written_out)]
Event = Literal["started", "progress", "output", "completed"]
Metadata = Annotated[
    dict[str, Text],
    Field(json_schema_extra={"propertyNames": {"pattern": NO_NUL}}),
    BeforeValidator(_few),
    Storable,
    AfterValidator(_small),
]


class GenerateRequest(BaseModel):
    """A prompt and how to make it a picture."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"prompt": "a lighthouse at dusk", "parameters": {"width": 768, "seed": 7}}]},
    )

    prompt: Prompt = Field(description="What the picture shows.")
    model: Name | None = Field(default=None, description="A name from `GET /models`; left out: the default one.")
    parameters: Annotated[dict[str, Any], Storable] = Field(
        default={}, description="Parameters of the model: `GET /models/{name}` has their schema."
    )
    image: Picture | None = Field(default=None, description="The picture to start from, as `parameters.image`.")
    mask: Picture | None = Field(default=None, description="Where to paint, as `parameters.mask`.")
    images: list[Picture] | None = Field(
        default=None, min_length=1, max_length=16, description="The pictures to go by, as `parameters.images`."
    )
    priority: Annotated[int, Field(ge=-100, le=100), Whole] = Field(default=0, description="Higher goes first.")
    tags: list[Name] = Field(default=[], max_length=16, description="To find the media by.")
    metadata: Metadata = Field(default={}, description="Kept and shown, not looked at; at most 4 kB.")
    max_tries: Annotated[int, Field(ge=1, le=100), Whole] | None = Field(
        default=None, description="Tries before it ends as ERROR; left out: the service's setting."
    )
    webhook: Url | None = Field(
        default=None, description="The https address to tell what becomes of it, by a signed POST."
    )
    webhook_events: list[Event] = Field(
        default=["completed"],
        min_length=1,
        max_length=len(WEBHOOK_EVENTS),
        description="What to tell: it is `started`; it has made `progress`, at most twice a second; its pictures are "
        "there (`output`); it is `completed`, in whichever way.",
    )

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, body: Any) -> Any:
        if isinstance(body, Mapping) and len(body) > MOST_FIELDS:
            raise ValueError(f"has {len(body)} fields; there are only: {', '.join(cls.model_fields)}")
        return body

    @model_validator(mode="after")
    def _said_once(self) -> Self:
        for name in self._pictures:
            if name in self.parameters:
                raise ValueError(f"{name} is given twice: leave it out here or in parameters")
        return self

    @property
    def _pictures(self) -> dict[str, Any]:
        return {name: given for name in PICTURES if (given := getattr(self, name)) is not None}

    def order(self, idempotency_key: str | None) -> Order:
        """The same, for the engine."""
        events = tuple(dict.fromkeys(self.webhook_events))
        return Order(
            prompt=self.prompt,
            model=self.model,
            parameters={**self.parameters, **self._pictures},
            priority=self.priority,
            tags=tuple(self.tags),
            metadata=self.metadata,
            max_tries=self.max_tries,
            idempotency_key=idempotency_key,
            webhook=Webhook(self.webhook, events) if self.webhook else None,
        )


class ListQuery(BaseModel):
    """What to list. A filter that is not known is refused: ignored, it would show more than was asked for."""

    model_config = ConfigDict(extra="forbid")

    cursor: UUID | None = Field(default=None, description="`next_cursor` of the page before.")
    limit: int = Field(default=20, ge=1, le=100, description="Most items a page.")
    status: Status | None = Field(default=None, description="Only these.")
    model: Text | None = Field(default=None, max_length=100, description="Only of this model.")
    tag: Text | None = Field(default=None, max_length=100, description="Only with this tag.")
    q: Text | None = Field(default=None, max_length=200, description="Only with all these words in the prompt.")
    created_after: Instant | None = Field(default=None, description="Only made at or after this.")
    created_before: Instant | None = Field(default=None, description="Only made before this.")

    def filter(self) -> Filter:
        """The same, for the engine."""
        return Filter(
            status=self.status,
            model=self.model,
            tag=self.tag,
            q=self.q,
            created_after=as_utc(self.created_after),
            created_before=as_utc(self.created_before),
        )


def _day(text: Any) -> date | timedelta:
    age = as_age(text) if isinstance(text, str) and re.fullmatch(AGE, text) else None
    if age is not None:
        return age
    try:
        if isinstance(text, str) and _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError("must be a day such as 2026-11-23, or an age such as 24h, 7d or 4w")


Day = Annotated[
    date | timedelta,
    PlainValidator(_day),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "pattern": f"^{AGE}$"}]}),
]


class CostQuery(BaseModel):
    """Which costs to add up."""

    model_config = ConfigDict(extra="forbid")

    by: By = Field(default="model", description="What to add up by.")
    since: Day | None = Field(
        default=None,
        description="The first day (UTC), or an age: the day on which that long ago was. Left out: 30 days ago.",
    )
    until: Day | None = Field(default=None, description="The last day, in the same way. Left out: today.")

    def days(self, now: datetime) -> tuple[date, date]:
        """The first day and the last one, asked at `now`."""
        first = timedelta(days=30) if self.since is None else self.since
        last = timedelta(0) if self.until is None else self.until
        return _day_at(first, now), _day_at(last, now)


def _day_at(day: date | timedelta, now: datetime) -> date:
    if isinstance(day, timedelta):
        return (now - min(day, now - EARLIEST)).date()
    return day


def as_utc(at: datetime | None) -> datetime | None:
    """A time from a query; without a zone it is in UTC, and one at which nothing can be made is moved nearer."""
    if at is None:
        return None
    aware = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return min(max(aware, EARLIEST), LATEST)
