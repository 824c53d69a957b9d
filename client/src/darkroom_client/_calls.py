"""Every call of the API, as a program."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Generic, TypeAlias, TypeVar
from urllib.parse import quote
from uuid import UUID

from darkroom_client import _downloading
from darkroom_client._answers import body_of, check
from darkroom_client._asking import Patience, ask
from darkroom_client._decoding import Json, decode
from darkroom_client._downloading import Wanted
from darkroom_client._effects import Answer, Emit, Producer, Program, Request
from darkroom_client._orders import MOST_INLINE, Loaded, Order, Picture, Source, load, load_picture, new_key, reference
from darkroom_client.errors import GenerationError
from darkroom_client.files import BaseFile, ContentLink, Upload
from darkroom_client.media import BaseMedia, Job, JobStatus, LogLine, Page
from darkroom_client.models import Model, Secret

M = TypeVar("M", bound=BaseMedia[Any])
MediaId: TypeAlias = BaseMedia[Any] | str | UUID
"""A media, or its id."""

MOST_A_PAGE: Final = 100
_GONE: Final = 404


def id_of(known: MediaId | Upload) -> str:
    """An id as a part of a path. Raises `ValueError` for an empty one, which would mean another path."""
    text = known if isinstance(known, str) else str(known) if isinstance(known, UUID) else known.id
    if not text.strip("."):
        raise ValueError("the id is empty")
    return quote(text, safe="")


class Calls(Generic[M]):
    """The calls; `to_media` makes media of one kind of client."""

    def __init__(self, to_media: Callable[[Json], M], patience: Patience) -> None:
        self.to_media = to_media
        self.patience = patience

    def until(self, seconds: float | None) -> "Calls[M]":
        """The same calls, with so many seconds for all of them together."""
        if seconds is None:
            return self
        return Calls(self.to_media, replace(self.patience, until=self.patience.now() + seconds))

    # Media

    def submit(self, order: Order) -> Program[M]:
        """Have an order accepted, once, however often it is sent."""
        pictures = yield from self._pictures(order)
        headers = {"idempotency-key": order.idempotency_key or new_key()}
        request = Request(method="POST", path="/media/generate", json=order.body(pictures), headers=headers)
        return self.to_media((yield from self._body(request)))

    def get(self, media: MediaId) -> Program[M]:
        """The media as it is now."""
        return self.to_media((yield from self._get(f"/media/{id_of(media)}")))

    def of_job(self, job_id: str | UUID) -> Program[M]:
        """The media that a job belongs to."""
        return self.to_media((yield from self._get(f"/media/status/{id_of(job_id)}")))

    def status(self, job_id: str | UUID) -> Program[JobStatus]:
        """The light answer."""
        return status_of((yield from self._get(f"/media/jobs/{id_of(job_id)}/status")))

    def move(self, media: MediaId, verb: str) -> Program[M]:
        """Cancel or retry. If the answer is lost, it is not known whether that was done: it is not asked for again."""
        request = Request(method="POST", path=f"/media/{id_of(media)}/{verb}", is_repeatable=False)
        return self.to_media((yield from self._body(request)))

    def delete(self, path: str) -> Program[None]:
        """Delete what is there."""
        answer = yield from ask(Request(method="DELETE", path=path), self.patience)
        if not (answer.status == _GONE and answer.tries > 1):  # it was there at first, and an answer was lost
            check(answer)

    def page(self, filters: Mapping[str, Any], cursor: str | None, limit: int) -> Program[Page[M]]:
        """A stretch of the list."""
        given = {**filters, "cursor": cursor, "limit": limit}
        params = {name: _said(value) for name, value in given.items() if value is not None}
        body = yield from self._get("/media", params)
        return decode(Page, body, items=tuple(self.to_media(item) for item in body.get("items", ())))

    def media(self, filters: Mapping[str, Any], most: int | None) -> Producer:
        """The list."""
        cursor, left = None, float("inf") if most is None else most
        while left > 0:
            page = yield from self.page(filters, cursor, int(min(MOST_A_PAGE, left)))
            for item in page.items:
                yield Emit(item)
            cursor, left = page.next_cursor, left - len(page.items)
            if cursor is None:
                break

    def pictures(self, media: MediaId) -> Program[tuple[BaseFile, ...]]:
        """The pictures of a media, which is looked up if they are not known. Raises `GenerationError`: it has none."""
        known = media if isinstance(media, BaseMedia) and media.files else (yield from self.get(media))
        if not known.files:
            raise GenerationError(known)
        return tuple(known.files)

    def download(self, media: MediaId, folder: Any, *, thumbnail: bool) -> Program[tuple[Path, ...]]:
        """Every picture of a media, in a folder."""
        saved = []
        for file in (yield from self.pictures(media)):
            target = Path(folder, file.name(thumbnail=thumbnail))
            saved.append((yield from _downloading.save(wanted(file, thumbnail=thumbnail), target, self.patience)))
        return tuple(saved)

    def jobs(self, media: MediaId) -> Program[tuple[Job, ...]]:
        """Every try."""
        body = yield from self._get(f"/media/{id_of(media)}/jobs")
        return tuple(decode(Job, item) for item in body.get("items", ()))

    def logs(self, media: MediaId) -> Producer:
        """The story."""
        path, cursor = f"/media/{id_of(media)}/logs", None
        while True:
            body = yield from self._get(path, {} if cursor is None else {"cursor": cursor})
            for item in body.get("items", ()):
                yield Emit(decode(LogLine, item))
            cursor = body.get("next_cursor")
            if cursor is None:
                break

    # Files

    def link(self, media: MediaId, index: int) -> Program[ContentLink]:
        """A link that works without credentials."""
        return decode(ContentLink, (yield from self._get(f"/media/content/{id_of(media)}", {"index": index})))

    def read(self, file: BaseFile, *, thumbnail: bool = False) -> Program[bytes]:
        """The bytes of a picture."""
        return (yield from _downloading.read(wanted(file, thumbnail=thumbnail), self.patience))

    def save(self, file: BaseFile, to: Any, *, thumbnail: bool) -> Program[Any]:
        """A picture, in a file."""
        target = _downloading.place(to, file.name(thumbnail=thumbnail))
        return (yield from _downloading.save(wanted(file, thumbnail=thumbnail), target, self.patience))

    def upload(self, source: Source, name: str | None = None) -> Program[Upload]:
        """Keep a picture to start others from."""
        loaded = yield from load(source, self.read)
        return (yield from self._upload(Loaded(name or loaded.name, loaded.content)))

    def _upload(self, loaded: Loaded) -> Program[Upload]:
        files = {"file": (loaded.name, loaded.content)}
        return decode(Upload, (yield from self._body(Request(method="POST", path="/files", files=files))))

    # Models

    def models(self) -> Program[tuple[Model, ...]]:
        """What can be asked for."""
        body = yield from self._get("/models")
        return tuple(decode(Model, item) for item in body.get("items", ()))

    def model(self, name: str) -> Program[Model]:
        """A model."""
        return decode(Model, (yield from self._get(f"/models/{id_of(name)}")))

    # Webhooks

    def webhook_secrets(self) -> Program[tuple[str, ...]]:
        """What webhooks are signed with."""
        body = yield from self._get("/webhooks/secret")
        return tuple(decode(Secret, given).key for given in (body, *(body.get("previous") or ())))

    # Beneath

    def _get(self, path: str, params: Mapping[str, Any] | None = None) -> Program[Json]:
        return (yield from self._body(Request(method="GET", path=path, params=params or {})))

    def _body(self, request: Request) -> Program[Json]:
        answer: Answer = yield from ask(request, self.patience)
        return body_of(answer)

    def _pictures(self, order: Order) -> Program[dict[str, Any]]:
        sent: dict[str, Any] = {} if order.images is None else {"images": []}
        room = MOST_INLINE
        for name, picture in order.pictures():
            text, room = yield from self._picture(picture, room)
            if name == "images":
                sent["images"].append(text)
            else:
                sent[name] = text
        return sent

    def _picture(self, picture: Picture, room: int) -> Program[tuple[str, int]]:
        """What to send for a picture, and how many bytes more may be sent like that."""
        known = reference(picture)
        if known is not None:
            return known, room
        loaded = yield from load_picture(picture, self.read)  # type: ignore[arg-type]  # ids and uploads are known
        if len(loaded.content) <= room:
            return loaded.as_uri(), room - len(loaded.content)
        return (yield from self._upload(loaded)).id, room


def wanted(file: BaseFile, *, thumbnail: bool) -> Wanted:
    """What to fetch for a picture."""
    path = f"/media/{id_of(file.media_id)}/files/{file.index}"
    return Wanted(path, thumbnail=True) if thumbnail else Wanted(path, sha256=file.sha256, size=file.bytes)


def status_of(body: Json) -> JobStatus:
    """The light answer, its progress complete."""
    return decode(JobStatus, completed_progress(body))


def completed_progress(body: Json) -> Json:
    """An answer whose progress says the status and the queue position, too."""
    progress = body.get("progress")
    if not isinstance(progress, Mapping):
        return body
    known = {name: body.get(name) for name in ("status", "queue_position")}
    return {**body, "progress": {**known, **progress}}


def _said(value: Any) -> Any:
    return value.astimezone().isoformat() if isinstance(value, datetime) else value
