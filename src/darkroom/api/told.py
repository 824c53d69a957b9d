"""What webhooks are told, in the words of the surface that they were asked for at."""

import darkroom.api.fal.hooks as of_fal
import darkroom.api.native.webhooks as of_our_own
import darkroom.api.replicate.hooks as of_replicate
from darkroom.api.deps import Options
from darkroom.api.replicate.shown import Here
from darkroom.engine.core import Engine
from darkroom.media.model import Delivery, Webhook

NATIVE = Webhook("")


async def rendered(engine: Engine, options: Options, delivery: Delivery) -> bytes:
    """The body of a message: the media as it is now. Raises `NotFound`, `DatabaseUnavailable`."""
    located = await engine.queries.media(delivery.media_id)
    webhook = located.media.webhook or NATIVE
    match webhook.form:
        case "replicate":
            return await of_replicate.told(Here(engine, options, webhook.base), located.media)
        case "fal":
            return of_fal.told(located.media, base=webhook.base, options=options)
    return of_our_own.told(located, delivery)
