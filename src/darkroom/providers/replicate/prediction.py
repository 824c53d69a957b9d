"""What a prediction says: how far it is, what it made, and why it made nothing."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from darkroom.errors import InvalidOutput, OutputExpired, Permanent, ProviderError, Rejected, Transient
from darkroom.providers.base import Finished, Progress

Prediction = Mapping[str, Any]

ENDED: Final = frozenset({"succeeded", "failed", "canceled", "aborted"})
LONGEST_WORDS: Final = 500

_BAR = re.compile(r"\d+%\|[^|\n]*\|\s*(\d+)/(\d+) \[")
"""A bar of tqdm: ` 45%|████▌     | 9/20 [00:01<00:02, 8.00it/s]`."""

_REFUSED = re.compile(
    r"nsfw|\bE005\b|flagged|moderated|content moderation|sensitive content"
    r"|(content|safety|usage) (policy|policies|filter|system|guidelines)",
    re.IGNORECASE,
)
"""Models word it each in its own way: there is no code for it."""

_WRONG_INPUT = re.compile(r"\s*(input validation|validation error|invalid input|invalid (value|image|prompt)\b)", re.I)


def has_ended(prediction: Prediction) -> bool:
    """Whether nothing more will come of it."""
    return prediction.get("status") in ENDED


def progress_of(prediction: Prediction) -> Progress | None:
    """How far its log says that it is: the bars that are full, and the one that fills. None: it draws none."""
    logs = prediction.get("logs")
    done, step, total = 0, 0, 0
    for match in _BAR.finditer(logs if isinstance(logs, str) else ""):
        now, of = int(match[1]), int(match[2])
        if now < step or of != total:
            done += total
        step, total = min(now, of), of
    return Progress(done + step, done + total) if done + total > 0 else None


def failure_of(prediction: Prediction) -> ProviderError | None:
    """What a prediction that has ended means, unless it made pictures."""
    status = prediction.get("status")
    if status == "failed":
        return _failed(str(prediction.get("error") or "no reason is given")[:LONGEST_WORDS])
    if status == "canceled":
        return Transient("the prediction was canceled at Replicate, or ran past its deadline")
    if status == "aborted":
        return Transient("the prediction did not begin before its deadline")
    if any(True for _ in links_of(prediction.get("output"))):
        return None
    if prediction.get("data_removed"):
        return OutputExpired("Replicate does not have the picture any more")
    return InvalidOutput("the prediction succeeded and made no picture")


def _failed(why: str) -> ProviderError:
    if _REFUSED.search(why):
        return Rejected(f"Replicate refuses it: {why}")
    if _WRONG_INPUT.match(why):
        return Permanent(f"the prediction failed: {why}")
    return Transient(f"the prediction failed: {why}")


def links_of(output: Any) -> Iterator[str]:
    """Where the pictures are: an output is an address or a data: URI, or a list or a table of them."""
    if isinstance(output, str):
        if output.startswith(("https://", "http://", "data:image/")):
            yield output
    elif isinstance(output, (list, Mapping)):
        for each in output.values() if isinstance(output, Mapping) else output:
            yield from links_of(each)


def seed_of_input(prediction: Prediction) -> int | None:
    """The seed that it was asked for with."""
    given = prediction.get("input")
    seed = given.get("seed") if isinstance(given, Mapping) else None
    return seed if isinstance(seed, int) else None


def finished(prediction: Prediction) -> Finished:
    """What it took. Replicate bills by `predict_time`, or by the picture; it does not say the sum."""
    stated = prediction.get("metrics")
    metrics = {
        name: float(value)
        for name, value in (stated if isinstance(stated, Mapping) else {}).items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
    seconds = metrics.get("predict_time", -1.0)
    return Finished(seconds=seconds if seconds >= 0 else None, metrics=metrics)


def created_at(prediction: Prediction) -> datetime:
    """When it was created; now, if it does not say."""
    try:
        created = datetime.fromisoformat(prediction["created_at"])
    except (KeyError, TypeError, ValueError):
        return datetime.now(UTC)
    return created if created.tzinfo else created.replace(tzinfo=UTC)


def is_input(theirs: Any, ours: Mapping[str, Any], *, own_seed: bool) -> bool:
    """Whether a prediction's input is the one that we would send.

    `own_seed`: the seed belongs to the media, so that prompt and seed say it all: defaults may have changed since.
    Pictures that we send are not compared: Replicate does not keep them.
    """
    if not isinstance(theirs, Mapping):
        return False
    names = ("prompt", "seed") if own_seed else ours.keys() | theirs.keys()
    return all(_is_picture(ours.get(name)) or theirs.get(name) == ours.get(name) for name in names)


def _is_picture(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(_is_picture(each) for each in value)
    return isinstance(value, str) and value.startswith("data:")
