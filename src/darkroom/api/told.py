"""What webhooks are told, in the words of the surface that they were asked for at."""

import darkroom.api.native.webhooks as of_our_own
from darkroom.api.deps import Options
from darkroom.engine.core import Engine
from darkroom.media.model import Delivery


async def rendered(engine: Engine, _: Options, delivery: Delivery) -> bytes:
    """The body of a message: the media as it is now. Raises `NotFound`, `DatabaseUnavailable`."""
    located = await engine.queries.media(delivery.media_id)
    return of_our_own.told(located, delivery)
