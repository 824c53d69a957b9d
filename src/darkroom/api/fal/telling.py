"""What must be read for an answer: pictures and stories."""

from collections.abc import Sequence
from typing import Any

from darkroom.api import links
from darkroom.api.fal import shown
from darkroom.api.fal.making import Here
from darkroom.media.model import LogLine, Media

MOST_LINES = 1000


async def result(media: Media, here: Here, *, inline: bool) -> dict[str, Any]:
    """The pictures of a completed media, as links or, `inline`, as `data:` URIs.

    Raises `StorageUnavailable`, `MissingObject`.
    """
    if inline:
        return shown.result(media, [await links.inline(file, here.engine.storage) for file in media.files])
    return shown.result(media, [links.to_file(file, base=here.base, options=here.options) for file in media.files])


async def story(media: Media, here: Here, *, after: int = 0) -> Sequence[LogLine]:
    """The lines of its story after line `after`."""
    return await here.engine.queries.logs(media.id, after=after, limit=MOST_LINES)
