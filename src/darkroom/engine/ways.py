"""Which way a claimed job goes: on where an earlier one was accepted, or by the first route that has room."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from darkroom.engine.catalogue import Catalogue, Model, Route
from darkroom.engine.inputs import Inputs
from darkroom.engine.lifecycle import Lifecycle
from darkroom.engine.transitions.beginning import Begin, Candidate, Hindrance
from darkroom.engine.transitions.leasing import Task
from darkroom.errors import BudgetExhausted, InputExpired, NoRoom, Permanent, SubmissionUncertain
from darkroom.media.model import Media, Request
from darkroom.media.money import Budget
from darkroom.media.routing import in_order

PATIENCE = timedelta(seconds=20)
"""How long a job waits here for room at an account, before others of its lane get their turn."""
LOOKS = 1.0
"""Seconds between two looks: at an account that is full, or for a prediction that may yet be listed."""

Say = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Way:
    """The route that a job takes. `ref`: what it goes on with; `is_found`: which the database does not know yet."""

    route: Route
    ref: str | None = None
    is_found: bool = False


def routes_of(model: Model, media: Media) -> dict[str, Route]:
    """The routes that can serve a media, by label, in the order in which it tries them.

    Those come first whose backends something is passed through to.
    """
    capable = {route.label: route for route in model.capable(media.parameters)}
    order = in_order({route.label: route.weight for route in model.routes}, media.id)
    passed = media.parameters.get("provider_options", {})
    found = [label for label in order if label in capable]
    found.sort(key=lambda label: bool(passed) and capable[label].account.name not in passed)
    return {label: capable[label] for label in found}


class Ways:
    """Finds the way of each job. `budgets`: those that all spending falls under."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        catalogue: Catalogue,
        inputs: Inputs,
        budgets: Sequence[Budget] = (),
        *,
        rng: random.Random,
    ) -> None:
        self._lifecycle = lifecycle
        self._catalogue = catalogue
        self._inputs = inputs
        self._budgets = tuple(budgets)
        self._rng = rng

    def find_model(self, media: Media) -> Model | None:
        """The model of a media, if it is still configured."""
        return self._catalogue.find(media.model)

    def _declared(self, media: Media) -> Mapping[str, Any]:
        model = self.find_model(media)
        return model.declared if model else {}

    async def model_of(self, media: Media) -> Model:
        """The model of a media, its backends asked what they take. Raises `Permanent` if it is gone."""
        if self._catalogue.find(media.model) is None:
            raise Permanent(f"the model {media.model!r} is not configured any more")
        return await self._catalogue.ready(media.model)

    async def find(self, task: Task, say: Say) -> Way:
        """The way of a job; `say` tells why it waits.

        Raises `SubmissionUncertain` where an earlier job may have been accepted and nobody can tell,
        `BudgetExhausted`, `NoRoom` while no route has room, and `Permanent` where there is no route.
        """
        model = await self.model_of(task.media)
        earlier = model.route_of(task.job.route)
        if task.job.provider_ref is not None:
            if earlier is None:
                raise Permanent(f"the route {task.job.route}, which took the request, is not configured any more")
            return Way(earlier, task.job.provider_ref)
        if task.job.sent_at is None or (earlier is not None and not earlier.account.paid):
            return await self._begin(model, task, say)
        can_tell = earlier is not None and earlier.provider.capabilities.finds
        if not can_tell and not model.resubmit:
            raise SubmissionUncertain(
                f"the worker ended while {task.job.provider} was asked for this: it may have been made, and paid for. "
                "Look there before you retry"
            )
        if earlier is not None and can_tell:
            ref = await self._recover(earlier, task, say)
            if ref is not None:
                return Way(earlier, ref, is_found=True)
        return await self._begin(model, task, say, is_resent=not can_tell)

    async def request(self, task: Task, route: Route, *, resumes: bool = False) -> Request:
        """What the provider of `route` is asked to do for a media, with the pictures that it starts from.

        What is resumed at a backend has them there. Raises `InputExpired`, `Unavailable`.
        """
        media = task.media
        parameters, extra = route.narrowed(media.parameters, self._declared(media))
        try:
            parameters = await self._inputs.loaded(parameters)
        except InputExpired:
            if not resumes:
                raise
        return Request(media.id, task.job.id, media.prompt, route.model, parameters, route.options, extra)

    # Between "sent" and "id saved"

    async def look(self, route: Route, task: Task) -> str | None:
        """The ref that a request was accepted under lately, as far as the backend tells; None: it tells of none."""
        since = task.job.sent_at or task.job.started_at
        if since is None or not route.provider.capabilities.finds:
            return None
        for ref in await route.provider.find(await self.request(task, route), since=since):
            if not await self._lifecycle.is_taken(route.account.name, ref):
                return ref
        return None

    async def _recover(self, route: Route, task: Task, say: Say) -> str | None:
        """The ref that an earlier job's request was accepted under; None: it surely was not."""
        assert task.job.sent_at is not None
        believed = task.job.sent_at + timedelta(seconds=route.account.settle)
        await say(f"looking for the request at {route.account.name}, whose answer got lost")
        while True:
            ref = await self.look(route, task)
            if ref is not None:
                return ref
            left = (believed - self._lifecycle.now()).total_seconds()
            if left <= 0:
                return None
            await asyncio.sleep(min(LOOKS, left))

    # A new request

    async def _begin(self, model: Model, task: Task, say: Say, *, is_resent: bool = False) -> Way:
        routes = routes_of(model, task.media)
        if not routes:
            reason = model.problem or "none takes these parameters"
            raise Permanent(f"no route of {model.name} can be used: {reason}")
        labels = task.job.routing.left(list(routes)) or task.job.routing.next_round().left(list(routes))
        left = {label: routes[label] for label in labels or routes}
        candidates, free = _candidates(left, task.media, model.declared)
        if candidates:
            wish = Begin(task.job.id, self._lifecycle.now(), model.name, candidates, self._budgets, is_resent)
            label = await self._admitted(wish, say, patient=free is None)
            if label is not None:
                return Way(routes[label])
        assert free is not None
        return Way(free)

    async def _admitted(self, wish: Begin, say: Say, *, patient: bool) -> str | None:
        """The first candidate that has room, waited for a while if `patient`; None: there is none at once."""
        began, told = self._lifecycle.now(), ""
        while True:
            at = self._lifecycle.now()
            begun = await self._lifecycle.begin(replace(wish, at=at))
            if begun.label is not None or not patient:
                return begun.label
            first = _first(begun.hindrances)
            wait = (first.until - at).total_seconds() if first.until else self._rng.uniform(0.2, 1) * LOOKS
            if at - began + timedelta(seconds=wait) > PATIENCE:
                raise NoRoom(first.reason, retry_after=wait)
            if first.reason != told:
                await say(told := first.reason)
            await asyncio.sleep(max(0.02, wait + self._rng.uniform(0, 0.1)))


def _candidates(
    routes: Mapping[str, Route], media: Media, declared: Mapping[str, Any]
) -> tuple[tuple[Candidate, ...], Route | None]:
    """Those that need leave, up to the first that does not; and that one."""
    candidates: list[Candidate] = []
    for label, route in routes.items():
        if not route.account.guarded:
            return tuple(candidates), route
        candidates.append(Candidate(label, route.account, route.estimate(media.parameters, declared)))
    return tuple(candidates), None


def _first(hindrances: Sequence[Hindrance]) -> Hindrance:
    """The one that will be over first. Raises `BudgetExhausted` if it is money for all."""
    passing = [hindrance for hindrance in hindrances if not hindrance.spent]
    if not passing:
        raise BudgetExhausted(hindrances[0].reason)
    return min(passing, key=lambda each: (each.until is not None, each.until.timestamp() if each.until else 0))
