"""The adapter: a request becomes a prediction, which is polled until it ends."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import httpx2

from darkroom.errors import (
    Interrupted,
    OutputExpired,
    Permanent,
    ProviderError,
    SubmissionUncertain,
    Transient,
)
from darkroom.media.model import Request
from darkroom.providers.base import NO_OPTIONS, Accepted, Capabilities, Event, Options, Produced, Provider
from darkroom.providers.http import Backend, Headers
from darkroom.providers.parameters import (
    PRICED,
    Parameter,
    declared,
    passed_through,
    schema_of,
    seed_of,
    to_backend,
)
from darkroom.providers.replicate.learning import CUSTOM
from darkroom.providers.replicate.models import Models
from darkroom.providers.replicate.prediction import (
    Prediction,
    created_at,
    failure_of,
    finished,
    has_ended,
    is_input,
    links_of,
    progress_of,
    seed_of_input,
)
from darkroom.providers.replicate.target import target_of

URL: Final = "https://api.replicate.com/v1"
GROWTH: Final = 1.5
LONGEST_POLL: Final = 5
"""How much longer than the first rest between two polls the longest may get."""
MARGIN: Final = timedelta(minutes=1)
"""How far our clock and Replicate's may be apart."""
LEAST_DEADLINE: Final = 5.0


class Replicate(Provider):
    """Predictions at Replicate.

    `poll`: seconds until a prediction is looked at first; the rests grow to five times that.
    `cancel_after`: seconds after which Replicate is to stop a prediction by itself (5 at least); None: never.
    `remember`: seconds for which it is believed what a model said that it takes.
    """

    capabilities = Capabilities(
        resumes=True, cancels=True, reports_progress=True, max_n=10, finds=True, remote=True, paid=True
    )
    dialect = "replicate"

    def __init__(
        self,
        *,
        key: str | None = None,
        key_from: str = "REPLICATE_API_TOKEN",
        url: str = URL,
        timeout: float = 60.0,
        headers: Headers | None = None,
        poll: float = 1.0,
        cancel_after: float | None = None,
        remember: float = 3600.0,
    ) -> None:
        if poll <= 0:
            raise ValueError("poll must be more than 0 seconds")
        if cancel_after is not None and cancel_after < LEAST_DEADLINE:
            raise ValueError(f"cancel_after must be at least {LEAST_DEADLINE:g} seconds")
        authorization = {"Authorization": f"Bearer {key}"} if key else None
        self._backend = Backend(
            "Replicate", url, authorization=authorization, timeout=timeout, headers=headers, refusal=_unknown_prediction
        )
        self._problem = None if key else f"{key_from} is not set"
        self._poll = poll
        self._deadline = {} if cancel_after is None else {"Cancel-After": f"{int(cancel_after)}s"}
        self._models = Models(self._backend, remember=remember)

    def problem(self) -> str | None:
        """Why it cannot be used: the token is missing."""
        return self._problem

    def describe(self, model: str) -> str:
        """One line for a person. Raises `InvalidRequest` for what cannot be a model at Replicate."""
        target = target_of(model)
        return f"{target.full} at Replicate{' (deployment)' if target.deployment else ''}"

    # What a model takes

    def schema(self, model: str, options: Options = NO_OPTIONS) -> dict[str, Any] | None:
        """What the options declare, or what the model said within the last hour. Raises `InvalidRequest`."""
        target_of(model)
        if "parameters" in options:
            return schema_of(declared(options))
        learned = self._models.known(model)
        return dict(learned.schema) if learned else None

    async def learn(self, model: str, options: Options = NO_OPTIONS) -> None:
        """Ask Replicate what `model` takes. Where it does not answer, what it said before goes on to count."""
        if "parameters" not in options:
            await self._models.learn(model)

    def passed(self, extra: Mapping[str, Any], model: str, options: Options = NO_OPTIONS) -> Mapping[str, Any]:
        """What of `extra` is in the input of a prediction of `model`."""
        learned = self._models.known(model)
        parameters = declared(options) if "parameters" in options else learned.parameters if learned else ()
        return passed_through(parameters, extra, denied=PRICED)

    async def _parameters(self, request: Request) -> tuple[Parameter, ...]:
        if "parameters" in request.options:
            return declared(request.options)
        learned = self._models.known(request.model) or await self._models.learn(request.model)
        return learned.parameters

    async def _input(self, request: Request) -> dict[str, Any]:
        """What the model is given. It has a seed if the model takes one, so that it can be told from all others."""
        parameters = {each.name: each for each in await self._parameters(request)}
        given = {**to_backend(parameters.values(), request, denied=PRICED), "prompt": request.prompt}
        if "seed" in parameters:
            seed = parameters["seed"]
            given[seed.backend] = seed_of(request, most=int(seed.rule["maximum"]))
        shape = parameters.get("aspect_ratio")
        if shape and {"width", "height"} & given.keys() and CUSTOM in shape.rule.get("enum", ()):
            given.setdefault(shape.backend, CUSTOM)
        return given

    # Making pictures

    async def generate(self, request: Request, *, resume: str | None) -> AsyncIterator[Event]:
        """Create a prediction, or take up the one that `resume` is the id of; poll it, and fetch what it made.

        Where Replicate can call us, the end is not waited for until the next poll. One that was canceled there, or
        that never began, is `Transient`.
        """
        if resume is None:
            prediction = await self._create(request)
            yield Accepted(prediction["id"])
        else:
            prediction = await self._prediction(resume)
        ref, rest, reached = resume or prediction["id"], self._poll, -1
        while True:
            progress = progress_of(prediction)
            if progress is not None and progress.step > reached:
                reached = progress.step
                yield progress
            if has_ended(prediction):
                break
            await (request.hook.heard(within=rest) if request.hook else asyncio.sleep(rest))
            rest = min(rest * GROWTH, self._poll * LONGEST_POLL)
            prediction = await self._prediction(ref, young=resume is None)
        failure = failure_of(prediction)
        if failure is not None:
            raise failure
        for index, link in enumerate(list(links_of(prediction["output"]))[: request.n]):
            yield Produced(index, await self._backend.picture(link), seed_of_input(prediction))
        yield finished(prediction)

    async def _create(self, request: Request) -> Prediction:
        target = target_of(request.model)
        body = {**target.body, "input": await self._input(request)}
        if request.hook:
            body |= {"webhook": request.hook.url, "webhook_events_filter": ["completed"]}
        made = await self._backend.create(target.path, json=body, headers=self._deadline)
        if not isinstance(made, Mapping) or not isinstance(made.get("id"), str):
            raise SubmissionUncertain("Replicate took the request and did not say its id")
        return made

    async def _prediction(self, ref: str, *, young: bool = False) -> Prediction:
        """The prediction as it is now. `young`: it was created just now, and may not be known everywhere there."""
        try:
            found = await self._look(_path(ref))
        except OutputExpired as error:
            if young:
                raise Interrupted("Replicate does not know the prediction yet") from error
            raise
        if not isinstance(found, Mapping) or not isinstance(found.get("status"), str):
            raise Interrupted("Replicate answered with something that is not a prediction")
        return found

    async def _look(self, path: str) -> Any:
        return await self._backend.look(path, rest=self._poll)

    # What Replicate was asked for

    async def find(self, request: Request, *, since: datetime) -> Sequence[str]:
        """The predictions that may be of `request`: the same input, and of its model as far as they say.

        Inputs are removed after an hour: those of its model come last then, since any of them may be its own.
        """
        target, ours = target_of(request.model), await self._input(request)
        own_seed = "seed" in ours and request.parameters.get("seed") is None and "seed" not in request.extra
        sure: list[str] = []
        likely: list[str] = []
        nameless: list[str] = []
        for prediction in await self._listed(since - MARGIN):
            if not target.may_have_made(prediction):
                continue
            if prediction.get("data_removed") and not prediction.get("input"):
                nameless += [prediction["id"]] if target.made(prediction) else []
            elif is_input(await self._input_of(prediction), ours, own_seed=own_seed):
                (sure if target.made(prediction) else likely).append(prediction["id"])
        return [*sure, *likely, *nameless]

    async def _listed(self, oldest: datetime) -> list[Prediction]:
        """Every prediction of the account that was created since `oldest`, the newest first."""
        found: list[Prediction] = []
        query = urlencode({"created_after": oldest.astimezone(UTC).isoformat()})
        while query:
            page = await self._look(f"predictions?{query}")
            rows = page.get("results") if isinstance(page, Mapping) else None
            if not isinstance(rows, list):
                raise Transient("Replicate answered with something that is not a list of predictions")
            recent = [each for each in rows if isinstance(each, Mapping) and created_at(each) >= oldest]
            found += recent
            following = urlsplit(str(page.get("next") or "")).query
            query = following if len(recent) == len(rows) and following != query else ""
        return found

    async def _input_of(self, prediction: Prediction) -> Any:
        """Its input; a list may leave it out."""
        if prediction.get("input") is None:
            try:
                prediction = await self._prediction(prediction["id"])
            except OutputExpired:
                return None
        return prediction.get("input")

    async def cancel(self, ref: str) -> None:
        """Cancel a prediction. One that has ended, or that Replicate does not know, is fine."""
        try:
            await self._backend.ask("POST", f"{_path(ref)}/cancel")
        except OutputExpired:
            return
        except Permanent:
            if not has_ended(await self._prediction(ref)):
                raise

    async def aclose(self) -> None:
        """Close the connections."""
        await self._backend.aclose()


def _path(ref: str) -> str:
    return f"predictions/{quote(ref, safe='')}"


def _unknown_prediction(response: httpx2.Response, _: Any) -> ProviderError | None:
    """What is known of a prediction that Replicate does not know."""
    about_one = re.search(rb"/predictions/[^/?]+(/cancel)?$", response.request.url.raw_path)
    if about_one and response.status_code in (404, 410):
        return OutputExpired("Replicate does not know the prediction any more")
    return None
