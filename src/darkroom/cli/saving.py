"""Pictures of a media become files: named after what they show, whole, never over another file."""

import hashlib
import re
import unicodedata
from itertools import count
from pathlib import Path

from darkroom.cli.connection import Api, Json
from darkroom.cli.exits import FAILED, CommandError

LONGEST_SLUG = 48
_EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}


async def save(api: Api, media: Json, folder: Path) -> list[Path]:
    """Save every picture of `media` in `folder`. Raises `CommandError`, also when bytes arrive damaged."""
    return [_keep(await _content(api, file), folder, _stem(media, file), _extension(file)) for file in media["files"]]


async def _content(api: Api, file: Json) -> bytes:
    content = await api.content(file["url"])
    if hashlib.sha256(content).hexdigest() != file["sha256"]:
        raise CommandError(f"{file['url']}: the bytes are not those that were stored", FAILED)
    return content


def _keep(content: bytes, folder: Path, stem: str, extension: str) -> Path:
    path = folder / f"{stem}.{extension}"
    for number in count(2):
        try:
            with path.open("xb") as target:
                target.write(content)
        except FileExistsError:
            path = folder / f"{stem}_{number}.{extension}"
        except OSError as error:
            path.unlink(missing_ok=True)
            raise CommandError(f"{path}: {error.strerror}", FAILED) from error
        else:
            break
    return path


def _stem(media: Json, file: Json) -> str:
    told_apart = file["seed"] if file["seed"] is not None else media["id"][-8:]
    return f"{slug(media['prompt'])}-{told_apart}-{file['index']}"


def _extension(file: Json) -> str:
    return _EXTENSIONS.get(file["content_type"], "bin")


def slug(prompt: str) -> str:
    """A prompt as the beginning of a file name: words of letters and digits, joined by hyphens."""
    words = re.findall(r"\w+", unicodedata.normalize("NFKC", prompt).casefold().replace("_", " "))
    name = ""
    for word in words:
        if name and len(name) + len(word) >= LONGEST_SLUG:
            break
        name = f"{name}-{word}" if name else word[:LONGEST_SLUG]
    return name or "picture"
