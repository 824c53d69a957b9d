"""From a request to the media that answers it."""

import math
from asyncio import get_running_loop
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Body, Depends, Request
from starlette.exceptions import HTTPException

from darkroom.api import links
from darkroom.api.deps import Options
from darkroom.api.fal import names
from darkroom.api.fal.inputs import wish_of
from darkroom.api.leaving import unless_left
from darkroom.api.native.requests import Storable
from darkroom.engine.core import Engine
from darkroom.engine.intake import Order
from darkroom.engine.queries import Located
from darkroom.errors import Conflict, Unavailable
from darkroom.media.model import Webhook
from darkroom.media.states import ENDED, Status

Arguments = Annotated[dict[str, Any], Body(), Storable]
"""What a client calls the arguments of an app."""

LOW: Final = -10
"""The priority of what is to wait for all that is normal."""


@dataclass(frozen=True, slots=True)
class Here:
    """Where a request came to. `base`: what links start with."""

    engine: Engine
    options: Options
    request: Request
    base: str

    @property
    def priority(self) -> int:
        """What fal's priority is with us."""
        return LOW if self.request.headers.get("x-fal-queue-priority") == "low" else 0

    @property
    def max_tries(self) -> int | None:
        """One, where the caller wants no second try."""
        return 1 if self.request.headers.get("x-fal-no-retry", "").lower() in ("1", "true", "yes") else None

    @property
    def start_within(self) -> float:
        """Seconds within which a worker is to begin, or the caller does not want it any more."""
        try:
            seconds = float(self.request.headers.get("x-fal-request-timeout", "inf"))
        except ValueError:
            return math.inf
        return seconds if seconds > 0 else math.inf


async def _here(request: Request) -> Here:
    """By itself, without dependencies of its own: statuses are polled ten times a second."""
    engine, options = request.app.state.engine, request.app.state.options
    return Here(engine, options, request, links.base_of(request, options))


HereDep = Annotated[Here, Depends(_here)]


async def accepted(
    app: str,
    arguments: Mapping[str, Any],
    here: Here,
    key: str | None,
    webhook: str | None = None,
    *,
    takes_over: bool = False,
) -> Located:
    """The media that is to answer: durable. `takes_over`: or one that a caller who asked for the same has left."""
    model = await names.ready_model(here.engine.catalogue, app)
    wish = wish_of(arguments, model, base=here.base)
    order = Order(
        prompt=wish.prompt,
        model=model.name,
        parameters=wish.parameters,
        priority=here.priority,
        max_tries=here.max_tries,
        idempotency_key=key,
        webhook=Webhook(webhook, ("completed",), "fal", here.base) if webhook else None,
        takes_over=takes_over and key is None,
    )
    with wish.in_the_callers_words():
        return (await here.engine.submit(order)).media


async def ended(known: Located, here: Here) -> Located | None:
    """The media once it has ended; None: the caller has left.

    Raises `Unavailable` when the service stops, and 504 if no worker began in time; then it is cancelled.
    """
    now = get_running_loop().time
    starts_by = now() + here.start_within
    while known.media.status not in ENDED:
        waited = await unless_left(here.request, here.engine.wait(known, at_most=max(0.0, starts_by - now())))
        if waited is None:
            return None
        known = waited
        if here.engine.stopping.is_set() and known.media.status not in ENDED:
            raise Unavailable(f"the service is about to stop; request {known.media.id} goes on in the queue")
        if now() >= starts_by:
            if known.media.status is Status.IN_QUEUE:
                await _too_late(known, here)
            starts_by = math.inf
    return known


async def _too_late(known: Located, here: Here) -> None:
    with suppress(Conflict):
        await here.engine.lifecycle.cancel(known.media.id)
        message = f"no worker began within {here.start_within:g} seconds"
        raise HTTPException(504, message, {"X-Fal-Request-Timeout-Type": "user"})
