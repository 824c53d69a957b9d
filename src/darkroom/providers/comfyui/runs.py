"""A run as the queue and the history of a ComfyUI server show it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from darkroom.errors import Interrupted, Permanent, ProviderError, Transient
from darkroom.providers.http import LONGEST_WORDS


@dataclass(frozen=True, slots=True)
class Run:
    """One that waits or is being executed. `id`: the server's."""

    id: str
    is_running: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """One in the history, as it is there."""

    id: str
    entry: Mapping[str, Any]

    def pictures(self, nodes: Sequence[str], n: int) -> list[dict[str, str]]:
        """Where the `n` pictures of `nodes` are. Previews of theirs count if there is nothing else.

        Raises what the run failed of: `Transient`, as when memory ran out; `Permanent` if someone stopped it there,
        or if it made fewer.
        """
        if self._status.get("status_str") == "error":
            raise self._failure()
        made = list(self._made(nodes))
        kept = [each for each in made if each["type"] == "output"] or made
        if len(kept) < n:
            raise Permanent(f"the workflow made {len(kept)} of {n} pictures")
        return kept[:n]

    @property
    def seconds(self) -> float | None:
        """How long it was executed, where the server says it."""
        times = [data["timestamp"] for _, data in self._messages if isinstance(data.get("timestamp"), int)]
        return (max(times) - min(times)) / 1000 if times else None

    @property
    def _status(self) -> Mapping[str, Any]:
        return self.entry.get("status") or {}

    @property
    def _messages(self) -> list[tuple[str, Mapping[str, Any]]]:
        return [(name, data) for name, data in self._status.get("messages", ())]

    def _made(self, nodes: Sequence[str]) -> Iterator[dict[str, str]]:
        for node in nodes:
            for image in self.entry.get("outputs", {}).get(node, {}).get("images", ()):
                yield {"type": "output", "subfolder": "", **image}

    def _failure(self) -> ProviderError:
        said = dict(self._messages)
        if "execution_interrupted" in said:
            return Permanent("the run was interrupted at the ComfyUI server")
        error = said.get("execution_error", {})
        words = str(error.get("exception_message") or "").strip().partition("\n")[0] or "it does not say why"
        where = f"{error.get('node_type')} (node {error.get('node_id')})" if error else "the workflow"
        return Transient(f"{where} failed: {words[:LONGEST_WORDS]}")


def queued(queue: Any, ref: str) -> Run | None:
    """The run that was submitted as `ref`, if it is in the queue. Raises `Interrupted` if that is no queue."""
    try:
        for items, is_running in ((queue["queue_running"], True), (queue["queue_pending"], False)):
            for item in items:
                if _is_ours(item, ref):
                    return Run(item[1], is_running)
    except (KeyError, IndexError, TypeError) as error:
        raise Interrupted("ComfyUI answered with something that is no queue") from error
    return None


def ended(history: Any, ref: str) -> Ended | None:
    """The run that was submitted as `ref`, if it is in the history. Raises `Interrupted` if that is no history."""
    try:
        for prompt_id, entry in history.items():
            if _is_ours(entry["prompt"], ref):
                return Ended(prompt_id, entry)
    except (AttributeError, KeyError, IndexError, TypeError) as error:
        raise Interrupted("ComfyUI answered with something that is no history") from error
    return None


def complaint(body: Mapping[str, Any]) -> str:
    """What is wrong with a workflow, by node, in the server's words."""
    said = [_words(body.get("error"))]
    for node, each in (body.get("node_errors") or {}).items():
        said += [f"{each.get('class_type')} (node {node}): {_words(error)}" for error in each.get("errors", ())]
    return "; ".join(words for words in said if words)[:LONGEST_WORDS]


def _is_ours(item: Sequence[Any], ref: str) -> bool:
    """`item`: number, id, nodes, extra data, outputs."""
    return bool(item[1] == ref or item[3].get("client_id") == ref)


def _words(error: Any) -> str:
    if not isinstance(error, Mapping):
        return ""
    message, details = str(error.get("message") or ""), str(error.get("details") or "")
    return f"{message}: {details}" if message and details else message or details
