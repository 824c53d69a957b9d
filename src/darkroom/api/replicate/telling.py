"""A prediction with what must be read for it: its pictures and its story."""

from typing import Any

from darkroom.api import links
from darkroom.api.replicate import shown
from darkroom.api.replicate.shown import Here
from darkroom.media.model import LogLine, Media
from darkroom.media.states import ENDED, Status

MOST_LINES = 1000


async def told(here: Here, media: Media, *, waited: bool = False, inline: bool = True) -> dict[str, Any]:
    """The prediction, with its story and with outputs that can be read from here.

    `waited`: the caller did so. A client that has waited polls only while the status is `starting`. `inline`: pictures
    may be in it where their links would not become files.
    """
    lines = await here.engine.queries.logs(media.id, after=0, limit=MOST_LINES)
    return shown.prediction(
        media,
        base=here.base,
        version=here.version(media.model),
        output=await outputs(here, media) if inline else shown.links_of(media, base=here.base, options=here.options),
        logs="".join(map(line_of, lines)),
        status="starting" if waited and media.status not in ENDED else None,
    )


def told_in_short(here: Here, media: Media) -> dict[str, Any]:
    """The prediction by what is at hand."""
    return shown.prediction(
        media,
        base=here.base,
        version=here.version(media.model),
        output=shown.links_of(media, base=here.base, options=here.options),
    )


def line_of(line: LogLine) -> str:
    """A line of the story as a line of logs."""
    return f"{line.message}\n"


async def outputs(here: Here, media: Media) -> list[str] | None:
    """Its pictures as addresses that clients turn into files: they do so only with `https:` and `data:`."""
    if here.base.startswith("https:") or media.status is not Status.COMPLETED:
        return shown.links_of(media, base=here.base, options=here.options)
    return [await links.inline(file, here.engine.storage) for file in media.files]
