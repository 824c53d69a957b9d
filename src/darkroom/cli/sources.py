"""Pictures to start from, as someone names them on the command line."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from darkroom.cli.exits import REFUSED, CommandError

if TYPE_CHECKING:
    from darkroom.cli.connection import Api

ADDRESSES = ("https://", "http://", "data:")


@dataclass(frozen=True, slots=True)
class Local:
    """A picture that was read from a path."""

    name: str
    content: bytes


Source = str | Local
"""What a request can name as it is, or what must be uploaded before."""


def read(text: str) -> Source:
    """The picture that `text` names: an address, the path of a file, or an uploaded file's id.

    Raises `CommandError` where there is no such file.
    """
    if text.lower().startswith(ADDRESSES):
        return text
    path = Path(text)
    if not path.exists() and _is_id(text):
        return text
    try:
        return Local(path.name, path.read_bytes())
    except OSError as error:
        raise CommandError(f"{text}: {error.strerror}", REFUSED) from error


async def reference(api: "Api", source: Source) -> str:
    """What a request says for `source`, which is uploaded if need be. Raises `CommandError`."""
    if isinstance(source, str):
        return source
    return str((await api.upload(source.name, source.content))["id"])


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
