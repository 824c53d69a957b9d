"""The two small pictures of a picture: a thumbnail to look at, a placeholder to wait with."""

import base64

from PIL import Image

from darkroom.imaging.encode import plain, rgb_profile, save
from darkroom.imaging.formats import Format

_THUMBNAIL = 384
_PLACEHOLDER = 16


def small_pictures(image: Image.Image) -> tuple[bytes, str]:
    """The thumbnail of `image`, a WebP of at most 384 pixels a side, and its placeholder.

    The placeholder is a `data:` URI of a WebP of at most 16 pixels a side: about 200 characters,
    0.2 ms since it is made from the thumbnail. Only the thumbnail carries the colour profile.
    """
    shown = _shrunk(plain(image), _THUMBNAIL)
    # Method 2 takes 6 ms; the usual 4 takes 15 ms to be 6 % smaller.
    thumbnail = save(shown, Format.WEBP, quality=80, method=2, icc_profile=rgb_profile(image))
    tiny = save(_shrunk(shown, _PLACEHOLDER), Format.WEBP, quality=50, method=6)
    return thumbnail, "data:image/webp;base64," + base64.b64encode(tiny).decode("ascii")


def _shrunk(image: Image.Image, longest: int) -> Image.Image:
    """`image` with no side above `longest` pixels, and none below 1; never enlarged."""
    scale = longest / max(image.size)
    if scale >= 1:
        return image
    width, height = (max(1, round(side * scale)) for side in image.size)
    # Averaging whole pixels first takes half the time of Lanczos alone and is 48 dB from it.
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=1.0)
