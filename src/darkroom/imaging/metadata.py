"""The description inside a picture, whatever the container."""

from darkroom.imaging.containers import CONTAINERS
from darkroom.imaging.description import Description
from darkroom.imaging.formats import Format, sniff


def embed(content: bytes, image_format: Format, description: Description) -> bytes:
    """`content` with `description` in it: not re-encoded, and with the metadata it had."""
    return CONTAINERS[image_format].embed(content, description)


def read_description(content: bytes) -> Description | None:
    """What Darkroom wrote into this PNG, JPEG or WebP; None where it wrote nothing. Raises nothing.

    From JPEG and WebP the prompt comes back without characters that XML cannot hold, and from JPEG
    shortened where it was too long for a segment.
    """
    image_format = sniff(content)
    return None if image_format is None else CONTAINERS[image_format].read(content)
