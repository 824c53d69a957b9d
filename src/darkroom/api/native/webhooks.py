"""What webhooks are told and were told, and what proves that it was us."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from darkroom.api.deps import EngineDep
from darkroom.api.native import schemas, webhook_schemas
from darkroom.api.native.media import answer
from darkroom.api.native.webhook_schemas import DeliveryQuery
from darkroom.api.problems import ALWAYS, responses
from darkroom.engine.queries import Located
from darkroom.media.model import Delivery

router = APIRouter(tags=["webhooks"], responses=ALWAYS)


def told(located: Located, delivery: Delivery) -> bytes:
    """The body of a message: what happened, and the media as `GET /media/{media_id}` shows it now."""
    message = webhook_schemas.WebhookMessage(
        type=f"media.{delivery.event}", timestamp=delivery.created_at, data=schemas.media_out(located)
    )
    return message.model_dump_json().encode()


@router.get("/webhooks/deliveries", response_model=webhook_schemas.DeliveryPage, responses=responses(422, 503))
async def list_deliveries(engine: EngineDep, query: Annotated[DeliveryQuery, Query()]) -> Response:
    """List what webhooks were told or are to be told, newest first, with every try."""
    page = await engine.deliveries.page(
        media_id=query.media_id, state=query.state, cursor=query.cursor, limit=query.limit
    )  # fmt: skip
    items = [webhook_schemas.delivery_out(delivery) for delivery in page.items]
    return answer(
        webhook_schemas.DeliveryPage(items=items, next_cursor=str(page.next_cursor) if page.next_cursor else None)
    )


@router.get(
    "/webhooks/deliveries/{delivery_id}", response_model=webhook_schemas.Delivery, responses=responses(404, 422, 503)
)
async def get_delivery(delivery_id: UUID, engine: EngineDep) -> Response:
    """Show a delivery."""
    return answer(webhook_schemas.delivery_out(await engine.deliveries.get(delivery_id)))


@router.post(
    "/webhooks/deliveries/{delivery_id}/resend",
    status_code=202,
    response_model=webhook_schemas.Delivery,
    responses=responses(404, 422, 503),
)
async def resend(delivery_id: UUID, engine: EngineDep) -> Response:
    """Send a delivery again, whatever became of it, with ten tries. It has the same `webhook-id`."""
    return answer(webhook_schemas.delivery_out(await engine.deliveries.send_again(delivery_id)), 202)


@router.get("/webhooks/secret", response_model=webhook_schemas.WebhookSecrets, responses=responses(503))
async def show_secret(engine: EngineDep) -> Response:
    """Show what webhooks are signed with (Standard Webhooks, HMAC-SHA256)."""
    return answer(webhook_schemas.secrets_out(await engine.webhook_secrets.signing()))


@router.post("/webhooks/secret/rotate", response_model=webhook_schemas.WebhookSecrets, responses=responses(503))
async def rotate_secret(engine: EngineDep) -> Response:
    """Replace the secret. For a day both sign, so that targets can be changed one by one."""
    return answer(webhook_schemas.secrets_out(await engine.webhook_secrets.rotate()))
