"""What webhooks that were asked for here are told: the result, or why there is none."""

import json

from darkroom.api import links
from darkroom.api.deps import Options
from darkroom.api.fal import shown
from darkroom.api.fal.errors import why_not
from darkroom.media.model import Media
from darkroom.media.states import Status


def told(media: Media, *, base: str, options: Options) -> bytes:
    """The request as it is now, with links to its pictures."""
    ids = {"request_id": str(media.id), "gateway_request_id": str(media.id)}
    if media.status is Status.COMPLETED:
        urls = [links.to_file(file, base=base, options=options) for file in media.files]
        return json.dumps({**ids, "status": "OK", "payload": shown.result(media, urls)}).encode()
    refusal = why_not(media)
    return json.dumps({**ids, "status": "ERROR", "error": refusal.message, "payload": refusal.body}).encode()
