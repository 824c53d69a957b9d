"""`darkroom_client.webhooks.verify` takes what the reference implementation signs, and nothing else."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from darkroom_client import Media, UnexpectedAnswer, WebhookVerificationError, webhooks

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_c2VjcmV0IG9mIG15IGRhcmtyb29t"
AT = "2026-11-23T12:00:00Z"
MEDIA = {
    "id": "m-1", "job_id": "j-1", "status": "COMPLETED", "model": "dummy", "prompt": "ein Fuchs im Schnee, 狐",
    "created_at": AT, "updated_at": AT, "cost": {"amount": "0.003", "currency": "USD"},
    "files": [{"index": 0, "content_type": "image/png", "width": 8, "height": 8, "bytes": 4, "sha256": "00"}],
}  # fmt: skip
BODY = json.dumps({"type": "media.completed", "timestamp": AT, "data": MEDIA}, ensure_ascii=False)


def signed(body: str = BODY, secret: str = SECRET, *, age: float = 0, call_id: str = "msg_1") -> dict[str, str]:
    at = datetime.now(UTC) - timedelta(seconds=age)
    signature = Webhook(secret).sign(call_id, at, body)
    return {
        "Webhook-Id": call_id,
        "Webhook-Timestamp": str(int(at.timestamp())),
        "Webhook-Signature": signature,
    }


def test_what_was_signed_is_an_event() -> None:
    event = webhooks.verify(BODY.encode(), signed(), SECRET)
    assert (event.id, event.type, event.timestamp) == (
        "msg_1",
        "media.completed",
        datetime(2026, 11, 23, 12, tzinfo=UTC),
    )
    assert isinstance(event.media, Media)
    assert (event.media.id, event.media.prompt, str(event.media.cost and event.media.cost.amount)) == (
        "m-1", MEDIA["prompt"], "0.003",
    )  # fmt: skip
    assert webhooks.verify(BODY, signed(), SECRET) == event


def test_one_of_several_secrets_and_signatures_is_enough() -> None:
    headers = signed()
    assert webhooks.verify(BODY, headers, [OTHER, SECRET])
    headers["Webhook-Signature"] = f"v1a,abc v1,{'A' * 43}= {headers['Webhook-Signature']}"
    assert webhooks.verify(BODY, headers, SECRET)


@pytest.mark.parametrize("signature", ["", "v1", "v1,", "v2,AAAA", "v1,ü", ",", "  ", "v1,AAAA v1,BBBB"])
def test_other_signatures_are_refused(signature: str) -> None:
    with pytest.raises(WebhookVerificationError):
        webhooks.verify(BODY, {**signed(), "Webhook-Signature": signature}, SECRET)


@pytest.mark.parametrize(
    "change",
    [
        {"Webhook-Id": "msg_2"},
        {"Webhook-Timestamp": str(int(datetime.now(UTC).timestamp()) - 10)},
        {"Webhook-Timestamp": "soon"},
        {"Webhook-Timestamp": "-5"},
        {"Webhook-Timestamp": "9" * 400},
    ],
)
def test_what_was_changed_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(WebhookVerificationError):
        webhooks.verify(BODY, {**signed(), **change}, SECRET)


def test_another_body_or_secret_is_refused() -> None:
    with pytest.raises(WebhookVerificationError):
        webhooks.verify(BODY + " ", signed(), SECRET)
    with pytest.raises(WebhookVerificationError):
        webhooks.verify(BODY, signed(secret=OTHER), SECRET)
    with pytest.raises(WebhookVerificationError):
        webhooks.verify(BODY, signed(), [])


@pytest.mark.parametrize("name", ["Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"])
def test_a_missing_header_is_named(name: str) -> None:
    headers = signed()
    del headers[name]
    with pytest.raises(WebhookVerificationError, match=name.lower()):
        webhooks.verify(BODY, headers, SECRET)


@pytest.mark.parametrize("age", [301, -301])
def test_what_is_too_old_or_too_new_is_refused(age: float) -> None:
    with pytest.raises(WebhookVerificationError, match="clock"):
        webhooks.verify(BODY, signed(age=age + (1 if age > 0 else -1)), SECRET)
    assert webhooks.verify(BODY, signed(age=age), SECRET, tolerance=400)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_a"])
def test_a_secret_that_is_none_is_a_mistake_here(secret: str) -> None:
    with pytest.raises(ValueError, match="secret"):
        webhooks.verify(BODY, signed(), secret)


@pytest.mark.parametrize("told", ["no json", "[]", json.dumps({"type": "x"}), json.dumps({"type": "x", "data": 5})])
def test_what_is_signed_and_no_event_is_said(told: str) -> None:
    with pytest.raises(UnexpectedAnswer):
        webhooks.verify(told, signed(told), SECRET)


def test_a_file_of_an_event_names_the_way_to_its_bytes() -> None:
    event: Any = webhooks.verify(BODY, signed(), SECRET)
    with pytest.raises(Exception, match=r"client\.read"):
        event.media.files[0].read()
