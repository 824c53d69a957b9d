"""What webhooks in fal's form are told."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from darkroom.api.deps import Options
from darkroom.api.fal.hooks import told
from darkroom.media.model import Failure, File, Media
from darkroom.media.states import Status
from darkroom.security.links import LinkSigner

BASE = "https://pictures.test"
OPTIONS = Options(links=LinkSigner(b"secret"))
ID = UUID("0199a000-0000-7000-8000-000000000000")
BEGAN = datetime(2026, 11, 30, 12, tzinfo=UTC)


def media(status: Status, **facts: Any) -> Media:
    known: dict[str, Any] = {
        "id": ID, "job_id": UUID(int=1), "status": status, "owner": None, "model": "sketch", "prompt": "a pier",
        "parameters": {}, "priority": 0, "number_of_tries": 1, "max_tries": 3, "next_run": None, "progress": None,
        "error": None, "cost": None, "tags": (), "metadata": {}, "created_at": BEGAN, "updated_at": BEGAN,
        "started_at": BEGAN, "completed_at": BEGAN + timedelta(seconds=2),
    }  # fmt: skip
    return Media(**known | facts)


def payload(told_of: Media) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(told(told_of, base=BASE, options=OPTIONS))
    assert (said.pop("request_id"), said.pop("gateway_request_id")) == (str(ID), str(ID))
    return said


def test_a_result_is_told_with_links() -> None:
    file = File(ID, 0, "secret/place.png", None, "image/png", 64, 48, 999, "0" * 64, None, 7)
    said = payload(media(Status.COMPLETED, files=(file,)))
    [image] = said["payload"].pop("images")
    assert image.pop("url").startswith(f"{BASE}/media/{ID}/files/0?expires=")
    assert image == {
        "width": 64, "height": 48, "content_type": "image/png", "file_name": "0.png", "file_size": 999,
    }  # fmt: skip
    assert said == {
        "status": "OK",
        "payload": {
            "seed": 7, "has_nsfw_concepts": [False], "prompt": "a pier", "timings": {"inference": 2.0},
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "error", "message", "kind"),
    [
        (Status.ERROR, Failure("provider_failed", "it cannot", retryable=False), "it cannot", "provider_failed"),
        (Status.ERROR, Failure("worker_lost", "it is gone", retryable=True), "it is gone", "runner_disconnected"),
        (Status.CANCELLED, None, "the request was cancelled", "client_cancelled"),
        (Status.IN_QUEUE, None, "Request is still in progress", "bad_request"),
    ],
)
def test_why_there_is_no_result_is_told(status: Status, error: Failure | None, message: str, kind: str) -> None:
    said = payload(media(status, error=error))
    assert said == {"status": "ERROR", "error": message, "payload": {"detail": message, "error_type": kind}}


def test_a_refused_prompt_is_told_by_field() -> None:
    error = Failure("prompt_rejected", "not that", retryable=False)
    item = {"loc": ["body", "prompt"], "msg": "not that", "type": "content_policy_violation"}
    said = payload(media(Status.ERROR, error=error))
    assert (said["error"], said["payload"]["detail"]) == ("not that", [item])
