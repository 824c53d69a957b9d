"""How clients are set up, and what they make of answers."""

import os
from collections.abc import Mapping
from typing import Any, TypeVar

from darkroom_client._calls import completed_progress
from darkroom_client._decoding import Json, decode
from darkroom_client.errors import UnexpectedAnswer
from darkroom_client.files import BaseFile, Link
from darkroom_client.media import BaseMedia

M = TypeVar("M", bound=BaseMedia[Any])

DEFAULT_URL = "http://127.0.0.1:8000"


def address(base_url: str | None) -> str:
    """Where the service is: as given, or as `DARKROOM_URL` says, or on this machine."""
    return base_url or os.environ.get("DARKROOM_URL") or DEFAULT_URL


def key(api_key: str | None) -> str | None:
    """The API key: as given (an empty one: none), or as `DARKROOM_API_KEY` says."""
    return os.environ.get("DARKROOM_API_KEY") if api_key is None else api_key


def media_of(kind: type[M], file_kind: type[BaseFile], body: Json, link: Link) -> M:
    """A media from an answer; its files ask `link` for their bytes. Raises `UnexpectedAnswer`."""
    files = body.get("files") if isinstance(body, Mapping) else None
    if files is not None and not (isinstance(files, list) and all(isinstance(file, Mapping) for file in files)):
        raise UnexpectedAnswer("expected the files of a media as a list of JSON objects")
    made = tuple(decode(file_kind, {"media_id": body.get("id"), **file}, _link=link) for file in files or ())
    body = completed_progress(body) if isinstance(body, Mapping) else body
    return decode(kind, body, files=made, raw=body)
