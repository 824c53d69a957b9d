"""Webhooks that Darkroom calls: whether it was Darkroom, and what it says (https://www.standardwebhooks.com)."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from darkroom_client import _making
from darkroom_client._decoding import decode
from darkroom_client.errors import UnexpectedAnswer, WebhookVerificationError
from darkroom_client.files import File, Link
from darkroom_client.media import Media

TOLERANCE: Final = 300.0
_PREFIX: Final = "whsec_"
_VERSION: Final = "v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEvent:
    """What happened. `id`: the same when it is told again. `type`: such as `media.completed`.

    `media`: as it was when this was sent; fetch its pictures by `client.download(event.media)`.
    """

    id: str
    type: str
    timestamp: datetime
    media: Media


def verify(
    body: bytes | str, headers: Mapping[str, str], secret: str | Sequence[str], *, tolerance: float = TOLERANCE
) -> WebhookEvent:
    """The event of a call that was signed with `secret` (`whsec_…`; one of several) in the last `tolerance` seconds.

    `body`: as it was received, before anything parses it. Raises `WebhookVerificationError`.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        call_id, sent, signatures = (given[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
    except KeyError as error:
        raise WebhookVerificationError(f"the header {error.args[0]} is missing") from error
    _check_time(sent, tolerance)
    content = body.encode() if isinstance(body, str) else bytes(body)
    signed = f"{call_id}.{sent}.".encode() + content
    secrets = [secret] if isinstance(secret, str) else list(secret)
    if not any(_is_signed(signed, signatures, _key(each)) for each in secrets):
        raise WebhookVerificationError("no signature is right: this was not signed with your secret, or was changed")
    return _event(call_id, content)


def _check_time(sent: str, tolerance: float) -> None:
    if not (sent.isascii() and sent.isdecimal()):
        raise WebhookVerificationError("webhook-timestamp is no number of seconds")
    if abs(time.time() - float(sent)) > tolerance:
        raise WebhookVerificationError("it was sent too long ago, or your clock is wrong")


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX) + "==")
    except ValueError as error:
        raise ValueError("the secret is not of the form whsec_<base64>") from error
    if not key:
        raise ValueError("the secret is empty")
    return key


def _is_signed(signed: bytes, signatures: str, key: bytes) -> bool:
    right = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    given = (signature.partition(",") for signature in signatures.split())
    return any(
        version == _VERSION and hmac.compare_digest(right, text.encode("ascii", "replace"))
        for version, _, text in given
    )


def _event(call_id: str, content: bytes) -> WebhookEvent:
    try:
        told: Any = json.loads(content)
    except ValueError as error:
        raise UnexpectedAnswer("the webhook's body is no JSON") from error
    if not isinstance(told, Mapping):
        raise UnexpectedAnswer("the webhook's body is no JSON object")
    media = _making.media_of(Media, File, told.get("data", {}), Link())
    return decode(WebhookEvent, told, id=call_id, media=media)
