"""Callers as good callers are: each request has a key, and is repeated with it until it is answered."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2

CALLERS = 16
PATIENCE = 6.0
"""Seconds until a caller takes a request for lost and repeats it."""
PAUSE = 0.2
WAIT = 3
"""Seconds that some callers ask to wait for their pictures."""
MANY_TRIES = 100
"""So many that faults alone cannot use them up: whatever can be made must be."""

OK = frozenset({"COMPLETED"})
BAD = frozenset({"ERROR"})
EITHER = frozenset({"COMPLETED", "CANCELLED"})
"""A cancel may come too late; one whose answer got lost may still be under way when the caller retries."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of request: what it asks for, and how it may end."""

    name: str
    weight: int
    parameters: dict[str, Any]
    ends: frozenset[str] = OK
    max_tries: int = MANY_TRIES
    model: str = "dummy"
    afterwards: Sequence[str] = ()
    """What the caller then asks for: `cancel`, `retry`."""
    early: float = 1.0
    """In which share of the time, from its beginning, they are asked for."""


KINDS = (
    Kind("instant", 30, {}),
    Kind("several", 10, {"n": 3, "steps": 2, "delay": 0.2, "width": 40}),
    Kind("slow", 20, {"delay": 1.5, "steps": 6}),
    Kind("very slow", 12, {"delay": 11, "steps": 44}, early=0.6),
    Kind("resumable", 10, {"delay": 2, "steps": 4, "resumable": True}),
    Kind("other lane", 10, {"delay": 0.3}, model="gpu-dummy"),
    Kind("failing once", 6, {"fail_first": 1}),
    Kind("throttled", 3, {"error": "throttled", "fail_first": 1, "retry_after": 0.3}),
    Kind("failing always", 3, {"error_rate": 1}, BAD, max_tries=3),
    Kind("garbage", 2, {"error": "garbage", "error_rate": 1}, BAD, max_tries=2),
    Kind("rejected", 3, {"error": "rejected", "error_rate": 1}, BAD),
    Kind("cancelled", 6, {"delay": 2, "steps": 4}, EITHER, afterwards=["cancel"]),
    Kind("second thoughts", 4, {"delay": 1}, EITHER, afterwards=["cancel", "retry"]),
)


@dataclass(frozen=True, slots=True)
class Wish:
    """One request."""

    number: int
    kind: Kind
    priority: int
    waits: bool
    repeats: bool
    """Whether the caller sends it again although it was answered."""

    @property
    def key(self) -> str:
        return f"wish-{self.number}"

    @property
    def body(self) -> dict[str, Any]:
        return {
            "prompt": f"{self.kind.name}, number {self.number}",
            "model": self.kind.model,
            "parameters": self.kind.parameters,
            "priority": self.priority,
            "max_tries": self.kind.max_tries,
        }


def wishes(number: int, chance: random.Random) -> list[Wish]:
    """So many requests: each kind about as often as it weighs, and at least once where there is room."""
    kinds = [*KINDS, *chance.choices(KINDS, [kind.weight for kind in KINDS], k=max(0, number - len(KINDS)))][:number]
    kinds.sort(key=lambda kind: chance.random() * kind.early)
    return [
        Wish(n, kind, chance.choice((0, 0, 0, -5, 5, 10)), waits=chance.random() < 0.2, repeats=chance.random() < 0.1)
        for n, kind in enumerate(kinds)
    ]


@dataclass
class Told:
    """What callers were told, by the number of their wish."""

    accepted: dict[int, set[str]] = field(default_factory=dict)
    """The ids of the media; each wish is to have one."""
    ended: dict[str, set[str]] = field(default_factory=dict)
    """The final statuses that a media was seen in when nobody was about to retry it."""
    answers: Counter[str] = field(default_factory=Counter)
    """How often which answer came, or none."""


class Load:
    """Sends `wishes` to the addresses in turn, evenly over `seconds`, whatever happens meanwhile."""

    def __init__(self, addresses: Sequence[str], wishes: Sequence[Wish], *, seconds: float, give_up: float) -> None:
        self.told = Told()
        self._addresses = addresses
        self._wishes = iter(wishes)
        self._gap = seconds / len(wishes)
        self._give_up = give_up
        self._lock = threading.Lock()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send while the context is open; at its end, go on until everything is answered, unless it broke."""
        self._began = time.monotonic()
        with ThreadPoolExecutor(CALLERS, thread_name_prefix="caller") as pool:
            callers = [pool.submit(self._call) for _ in range(CALLERS)]
            try:
                yield
            except BaseException:
                self._give_up = 0
                raise
            for caller in callers:
                caller.result()

    def _call(self) -> None:
        with httpx2.Client(timeout=PATIENCE, trust_env=False) as client:
            while (wish := self._next()) is not None:
                self._check()
                left = self._began + wish.number * self._gap - time.monotonic()
                time.sleep(max(0.0, left))
                self._see_through(client, wish)

    def _next(self) -> Wish | None:
        with self._lock:
            return next(self._wishes, None)

    def _see_through(self, client: httpx2.Client, wish: Wish) -> None:
        media = self._submit(client, wish)
        if wish.repeats:
            self._submit(client, wish)
        for verb in wish.kind.afterwards:
            self._ask(client, wish, f"/media/{media['id']}/{verb}")
            if verb == "cancel":
                media = self._until_ended(client, wish, media["id"])
        if media["status"] in ("COMPLETED", "ERROR", "CANCELLED") and "retry" not in wish.kind.afterwards:
            with self._lock:
                self.told.ended.setdefault(media["id"], set()).add(media["status"])

    def _submit(self, client: httpx2.Client, wish: Wish) -> dict[str, Any]:
        headers = {"Idempotency-Key": wish.key} | ({"Prefer": f"wait={WAIT}"} if wish.waits else {})
        answer = self._insist(client, wish, "POST", "/media/generate", {200, 202}, json=wish.body, headers=headers)
        media: dict[str, Any] = answer.json()
        with self._lock:
            self.told.accepted.setdefault(wish.number, set()).add(media["id"])
        return media

    def _ask(self, client: httpx2.Client, wish: Wish, path: str) -> None:
        """Cancel or retry; 409: it has ended, or an answer got lost and it was done before."""
        self._insist(client, wish, "POST", path, {200, 202, 409})

    def _until_ended(self, client: httpx2.Client, wish: Wish, media_id: str) -> dict[str, Any]:
        while True:
            media: dict[str, Any] = self._insist(client, wish, "GET", f"/media/{media_id}", {200}).json()
            if media["status"] in ("COMPLETED", "ERROR", "CANCELLED"):
                return media
            time.sleep(PAUSE)

    def _insist(
        self, client: httpx2.Client, wish: Wish, method: str, path: str, good: set[int], **request: Any
    ) -> httpx2.Response:
        """Send it to one address after the other until it is answered well."""
        turn = wish.number
        while True:
            self._check()
            answer = self._send(client, method, self._addresses[turn % len(self._addresses)] + path, **request)
            if answer is not None and answer.status_code in good:
                return answer
            turn += 1
            time.sleep(PAUSE)

    def _check(self) -> None:
        assert time.monotonic() - self._began < self._give_up, f"not answered within {self._give_up:g} s"

    def _send(self, client: httpx2.Client, method: str, url: str, **request: Any) -> httpx2.Response | None:
        try:
            answer = client.request(method, url, **request)
            said = str(answer.status_code)
        except httpx2.TransportError as error:
            answer, said = None, type(error).__name__
        with self._lock:
            self.told.answers[said] += 1
        return answer
