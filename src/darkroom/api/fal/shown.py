"""What these clients are shown."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from darkroom.api.fal import names
from darkroom.api.fal.errors import why_not
from darkroom.api.wishes import bar
from darkroom.engine.queries import Located
from darkroom.media.model import LogLine, Media
from darkroom.media.states import ENDED, Status

STATUSES: Final[Mapping[Status, str]] = {Status.IN_QUEUE: "IN_QUEUE", Status.PROCESSING: "IN_PROGRESS"}
COMPLETED: Final = "COMPLETED"
"""What fal calls all that has ended, in whichever way. Its clients know no status for what has failed."""

_BAD_NEWS: Final = ("failed", "lost", "gave_up")


def submission(app: str, media_id: UUID, position: int, *, base: str, inline: bool) -> dict[str, Any]:
    """A request that was accepted. `inline`: whether the result is to have its pictures in it."""
    urls = _urls(app, media_id, base)
    if inline:
        urls["response_url"] += "?sync_mode=true"
    ids = {"request_id": str(media_id), "gateway_request_id": str(media_id)}
    return {"status": "IN_QUEUE", **ids, **urls, "queue_position": position}


def status(app: str, located: Located, *, base: str, logs: Sequence[Mapping[str, Any]] | None) -> dict[str, Any]:
    """Where a request is. `logs`: None: they were not asked for."""
    media = located.media
    said = {
        "status": STATUSES.get(media.status, COMPLETED),
        "request_id": str(media.id),
        **_urls(app, media.id, base),
        "logs": logs,
    }
    if media.status is Status.IN_QUEUE:
        return {**said, "queue_position": located.queue_position or 0}
    if media.status not in ENDED:
        return said
    refusal = why_not(media) if media.status is not Status.COMPLETED else None
    failed = {"error": refusal.message, "error_type": refusal.type} if refusal else {}
    seconds = seconds_of(media)
    return {**said, "metrics": {} if seconds is None else {"inference_time": seconds}, **failed}


def _urls(app: str, media_id: UUID, base: str) -> dict[str, str]:
    own = f"{base}/fal/queue/{names.polled(app)}/requests/{media_id}"
    return {"response_url": own, "status_url": f"{own}/status", "cancel_url": f"{own}/cancel"}


def seconds_of(media: Media) -> float | None:
    """How long it took once it was begun; None: it was not, or it has not ended."""
    if media.completed_at is None or media.started_at is None:
        return None
    return (media.completed_at - media.started_at).total_seconds()


def result(media: Media, urls: Sequence[str]) -> dict[str, Any]:
    """The pictures of a completed media. `urls`: where each of them is, or each itself."""
    images = [
        {
            "url": url,
            "width": file.width,
            "height": file.height,
            "content_type": file.content_type,
            "file_name": f"{file.index}.{file.content_type.rpartition('/')[2]}",
            "file_size": file.bytes,
        }
        for file, url in zip(media.files, urls, strict=True)
    ]
    return {
        "images": images,
        "seed": media.files[0].seed,
        "has_nsfw_concepts": [False] * len(images),
        "prompt": media.prompt,
        "timings": {"inference": seconds_of(media)},
    }


def partial(media: Media, **news: Any) -> dict[str, Any]:
    """What is known of a result before it is there: `images` on their way, or `progress`."""
    return {"images": [], "prompt": media.prompt, "timings": {}, **news}


def entry(line: LogLine) -> dict[str, Any]:
    """A line of the story as a line of logs."""
    level = "ERROR" if line.event in _BAD_NEWS else "INFO"
    return _entry(line.message, level, line.at.isoformat())


def progress(media: Media) -> list[dict[str, Any]]:
    """A line of progress, which is all that fal's logs say of it; none before there is any."""
    line = bar(media.progress)
    return [_entry(line, "INFO", media.updated_at.isoformat())] if line else []


def _entry(message: str, level: str, timestamp: str) -> dict[str, Any]:
    return {"message": message, "level": level, "source": "USER", "timestamp": timestamp}
