"""Webhooks as callers see them: messages, deliveries, secrets."""

from collections.abc import Sequence
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from darkroom.api.native.schemas import Media
from darkroom.media import model
from darkroom.media.states import DeliveryState


class WebhookMessage(BaseModel):
    """What a webhook is sent, signed as Standard Webhooks has it."""

    type: str = Field(description="`media.` and the event.")
    timestamp: AwareDatetime = Field(description="When it happened.")
    data: Media = Field(description="The media as it is when this is sent.")


class DeliveryQuery(BaseModel):
    """Which deliveries to list."""

    model_config = ConfigDict(extra="forbid")

    cursor: UUID | None = Field(default=None, description="`next_cursor` of the page before.")
    limit: int = Field(default=20, ge=1, le=100, description="Most items a page.")
    media_id: UUID | None = Field(default=None, description="Only of this media.")
    state: DeliveryState | None = Field(default=None, description="Only these.")


class Attempt(BaseModel):
    """One try to tell a webhook."""

    at: AwareDatetime
    seconds: float = Field(description="From sending to the answer, or until it was given up.")
    status: int | None = Field(description="HTTP status of the answer; null: there was none.")
    error: str | None = Field(description="Why it failed; null: it did not.")


class Delivery(BaseModel):
    """An event that a webhook is told, and what became of that."""

    id: UUID = Field(description="Without its dashes and after `msg_`, the `webhook-id` of the message.")
    media_id: UUID
    event: str = Field(description="`started`, `progress`, `output` or `completed`.")
    url: str
    state: DeliveryState = Field(description="`failed`: its tries are spent. `gone`: the target answered 410.")
    tries: int = Field(description="Since it happened, or was last asked for again; there are ten.")
    next_try: AwareDatetime | None = Field(description="When it is told next; null: it is not.")
    attempts: list[Attempt] = Field(description="What became of the last 30 tries, the latest last.")
    created_at: AwareDatetime = Field(description="When it happened.")
    ended_at: AwareDatetime | None


class DeliveryPage(BaseModel):
    """A stretch of the list; `next_cursor: null` is the end."""

    items: list[Delivery]
    next_cursor: str | None


class PreviousSecret(BaseModel):
    """A secret that was replaced, and signs a little longer."""

    key: str
    expires_at: AwareDatetime


class WebhookSecrets(BaseModel):
    """What webhooks are signed with."""

    key: str = Field(description="`whsec_` and the secret in base64.")
    created_at: AwareDatetime
    previous: list[PreviousSecret] = Field(description="Those that sign beside it, because they were just replaced.")


def delivery_out(delivery: model.Delivery) -> Delivery:
    """A delivery as it is shown."""
    return Delivery(
        id=delivery.id,
        media_id=delivery.media_id,
        event=delivery.event,
        url=delivery.url,
        state=delivery.state,
        tries=delivery.tries,
        next_try=delivery.due_at if delivery.state is DeliveryState.PENDING else None,
        attempts=[
            Attempt(at=made.at, seconds=made.seconds, status=made.status, error=made.error)
            for made in delivery.attempts
        ],
        created_at=delivery.created_at,
        ended_at=delivery.ended_at,
    )  # fmt: skip


def secrets_out(signing: Sequence[model.Secret]) -> WebhookSecrets:
    """The secrets that sign now, the newest first."""
    current, *others = signing
    previous = [
        PreviousSecret(key=secret.secret, expires_at=secret.expires_at)
        for secret in others
        if secret.expires_at is not None
    ]
    return WebhookSecrets(key=current.secret, created_at=current.created_at, previous=previous)
