"""What comes back: pictures, their cost, and refusals, as the Images API words them."""

import json
from collections.abc import AsyncGenerator, Mapping
from decimal import Decimal
from typing import Any, Final

import httpx2

from darkroom.errors import (
    AccountRefused,
    Permanent,
    ProviderError,
    Rejected,
    SubmissionUncertain,
    Throttled,
    Transient,
)
from darkroom.providers.http import LONGEST_WORDS, MOST_BYTES, Backend, retry_after

Answer = Mapping[str, Any]
Prices = Mapping[str, Decimal]

MODERATED: Final = frozenset({"moderation_blocked", "content_policy_violation", "content_filter", "contentFilter"})
MODERATED_WORDS: Final = ("safety system", "ContentPolicyViolation")
"""Where a gateway keeps OpenAI's words or LiteLLM's, and not the code."""
NO_CREDIT: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
THROTTLED: Final = frozenset({"rate_limit_exceeded", "rate_limit_error", "requests", "tokens"})
OUR_FAULT: Final = frozenset({"invalid_request_error", "image_generation_user_error"})


async def messages(backend: Backend, response: httpx2.Response) -> AsyncGenerator[Answer]:
    """What an accepted request is answered with: the events of a stream, or one answer of a server that has none.

    Raises what it means where it is an error, `SubmissionUncertain` where it means nothing.
    """
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        yield _meaningful(await backend.created(response, most=MOST_BYTES), backend.name)
        return
    async for event in httpx2.EventSource(response, max_event_size=MOST_BYTES):
        if event.data == "[DONE]":
            return
        if event.data:
            yield _meaningful(_json(event.data), backend.name)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _meaningful(message: Any, name: str) -> Answer:
    if not isinstance(message, Mapping):
        raise SubmissionUncertain(f"{name} took the request and answered with something else than the Images API says")
    if error := error_in(message):
        raise failure(error, name)
    return message


# Refusals


def refusal(response: httpx2.Response, body: Any) -> ProviderError | None:
    """What an answer that is no success means, beyond its status.

    The words of a 401 are not repeated: servers put a part of the key into them.
    """
    if response.status_code == 401:
        return AccountRefused("our credentials are not accepted (401)")
    return _known(error_in(body), retry_after(response))


def error_in(body: Any) -> Answer | None:
    """The error that a body holds: `{"error": {…}}`, or the error itself as an event of a stream."""
    if not isinstance(body, Mapping):
        return None
    error = body.get("error")
    if isinstance(error, Mapping):
        return error
    if isinstance(error, str) and error:
        return {"message": error}
    return body if body.get("type") == "error" else None


def failure(error: Answer, name: str) -> ProviderError:
    """What an error means that comes in the place of pictures: they were not made."""
    message = f"{name} says: {_words(error)}"
    if known := _known(error, None):
        return known
    if str(error.get("type")) in OUR_FAULT:
        return Permanent(message)
    return Transient(message)


def _known(error: Answer | None, wait: float | None) -> ProviderError | None:
    if error is None:
        return None
    said, words = {str(error.get("code")), str(error.get("type"))}, _words(error)
    if said & MODERATED or any(each in words for each in MODERATED_WORDS):
        return Rejected(words)
    if said & NO_CREDIT:
        return AccountRefused(words)
    if said & THROTTLED:
        return Throttled(words, retry_after=wait)
    return None


def _words(error: Answer) -> str:
    return str(error.get("message") or error.get("code") or error.get("type") or "no reason given")[:LONGEST_WORDS]


# Tokens


def tokens_of(answer: Answer) -> dict[str, float]:
    """The counts of the answer's `usage`; those of its details are called `input_text_tokens` and so on."""
    usage = answer.get("usage")
    if not isinstance(usage, Mapping):
        return {}
    counts = dict(usage)
    for side in ("input", "output"):
        details = usage.get(f"{side}_tokens_details")
        if isinstance(details, Mapping):
            counts |= {f"{side}_{name}": count for name, count in details.items()}
    return {str(name): float(count) for name, count in counts.items() if type(count) is int and count < 2**53}


def cost_of(tokens: Mapping[str, float], prices: Prices | None) -> Decimal | None:
    """US dollars; None where the tokens were not said or have no price.

    Input that is not told apart counts as pictures, which cost more than text.
    """
    if prices is None or "output_tokens" not in tokens:
        return None
    text = tokens.get("input_text_tokens", 0.0)
    pictures = tokens.get("input_image_tokens", tokens.get("input_tokens", 0.0) - text)
    spent = {"text_input": text, "image_input": pictures, "image_output": tokens["output_tokens"]}
    return sum((prices[kind] * Decimal(count) for kind, count in spent.items()), Decimal()) / 1_000_000
