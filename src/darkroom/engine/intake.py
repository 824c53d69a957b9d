"""From what a caller sent to what is accepted: checked, completed, fingerprinted."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from darkroom.engine.catalogue import Catalogue
from darkroom.media.model import Submission, Webhook
from darkroom.telemetry import traces


@dataclass(frozen=True, slots=True)
class Order:
    """A caller's wish, its form checked, its model and parameters not yet.

    `retried`: whether a client that sends no key says that it asks once more; None: it does not say such things.
    `takes_over`: a client that asks once more without saying so gets what it left before.
    """

    prompt: str
    model: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    priority: int = 0
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    max_tries: int | None = None
    idempotency_key: str | None = None
    owner: str | None = None
    webhook: Webhook | None = None
    retried: bool | None = None
    takes_over: bool = False

    @property
    def is_repeatable(self) -> bool:
        """Whether a later request may stand for the same."""
        return self.idempotency_key is not None or self.retried is not None or self.takes_over


def accept(order: Order, catalogue: Catalogue, *, max_tries: int) -> Submission:
    """The submission that `order` amounts to. Raises `UnknownModel`, `InvalidRequest`."""
    model = catalogue.get(order.model)
    return Submission(
        prompt=order.prompt,
        model=model.name,
        lane=model.lane,
        parameters=catalogue.complete(model, order.parameters),
        max_tries=order.max_tries or max_tries,
        owner=order.owner,
        priority=order.priority,
        tags=tuple(dict.fromkeys(order.tags)),
        metadata=dict(order.metadata),
        idempotency_key=order.idempotency_key,
        fingerprint=fingerprint(order) if order.is_repeatable else None,
        trace=traces.traceparent(),
        webhook=order.webhook,
    )


def fingerprint(order: Order) -> str:
    """What two requests have in common if they ask for the same: SHA-256 over what the caller sent."""
    webhook = asdict(order.webhook) if order.webhook else None
    content = [
        order.prompt, order.model, order.parameters, order.priority, order.tags, order.metadata, order.max_tries,
        *([webhook] if webhook else ()),
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
