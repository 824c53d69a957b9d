"""What webhooks that were asked for here are told: the prediction as it is when it is told."""

import json

from darkroom.api.replicate import telling
from darkroom.api.replicate.shown import Here
from darkroom.media.model import Media


async def told(here: Here, media: Media) -> bytes:
    """The prediction with its story, and with links to its pictures."""
    return json.dumps(await telling.told(here, media, inline=False)).encode()
