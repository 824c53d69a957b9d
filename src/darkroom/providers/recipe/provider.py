"""Any asynchronous HTTP API: one call begins a request, another is repeated until it is done."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2

from darkroom.errors import (
    Interrupted,
    InvalidOutput,
    OutputExpired,
    ProviderError,
    Rejected,
    SubmissionUncertain,
    Transient,
)
from darkroom.media.model import Request
from darkroom.providers.base import (
    NO_OPTIONS,
    Accepted,
    Capabilities,
    Event,
    Finished,
    Options,
    Produced,
    Progress,
    Provider,
)
from darkroom.providers.http import LONGEST_WORDS, TIMEOUT, Backend, Headers
from darkroom.providers.parameters import PRICED, declared, nested, schema_of, to_backend
from darkroom.providers.recipe.api import Api, filled, found


class Recipe(Provider):
    """One account at an API that its options describe (see `Api`).

    `every`: the first rest between two polls, in seconds.
    """

    def __init__(
        self,
        *,
        key: str | None = None,
        key_from: str = "the account's key",
        url: str | None = None,
        timeout: float = TIMEOUT,
        headers: Headers | None = None,
        every: float = 1.0,
        **recipe: Any,
    ) -> None:
        if url is None:
            raise ValueError("a recipe needs the url of its account")
        self._api = Api.read(recipe)
        self._host = urlsplit(url).hostname or url
        carriers = {name: str(value) for name, value in self._api.authorization.items()}
        lacks_key = not key and any("{key}" in value for value in carriers.values())
        self._problem = f"{key_from} is not set" if lacks_key else None
        self._backend = Backend(
            self._host,
            url,
            authorization={name: filled(value, key=key or "") for name, value in carriers.items()},
            origins=self._api.origins,
            timeout=timeout,
            headers=headers,
            refusal=_meaning,
        )
        self._every = every
        self.capabilities = Capabilities(
            resumes=True, reports_progress=self._api.progress is not None, remote=True, paid=True
        )

    def problem(self) -> str | None:
        return self._problem

    def describe(self, model: str) -> str:
        return f"{model} at {self._host}"

    def schema(self, model: str, options: Options = NO_OPTIONS) -> dict[str, Any]:
        return schema_of(declared(options))

    async def generate(self, request: Request, *, resume: str | None) -> AsyncIterator[Event]:
        ref = resume
        if ref is None:
            ref = await self._submit(request)
            yield Accepted(ref)
        accepted = _accepted(ref)
        answer: Any = None
        async with aclosing(self._backend.poll(self._polled(accepted["ref"]), first=self._every)) as answers:
            reached = 0
            async for answer in answers:
                percent = _percent(found(answer, self._api.progress))
                if percent > reached:
                    reached = percent
                    yield Progress(percent, 100)
                if self._is_done(answer):
                    break
        seed = found(answer, self._api.seed)
        for index, url in enumerate(self._outputs(answer)):
            content = await self._backend.picture(url)
            yield Produced(index, content, seed if isinstance(seed, int) else None)
        settled = self._cost(found(answer, self._api.cost))
        yield Finished(cost=self._cost(accepted.get("cost")) if settled is None else settled)

    async def aclose(self) -> None:
        await self._backend.aclose()

    async def _submit(self, request: Request) -> str:
        """Begin a request. What was said of its cost goes into the ref: an API may say it only here."""
        body = {
            name: filled(value, prompt=request.prompt, model=request.model) for name, value in self._api.body.items()
        }
        asked = to_backend(declared(request.options), request, denied=PRICED)
        path = filled(self._api.submit, model=quote(request.model, safe="/"))
        answer = await self._backend.create(path, json=nested({**asked, **body}))
        ref = found(answer, self._api.ref)
        if not isinstance(ref, str | int) or ref == "":
            raise SubmissionUncertain(f"{self._host} took the request, and its answer has no {self._api.ref}")
        return json.dumps({"ref": str(ref), "cost": found(answer, self._api.cost)})

    def _polled(self, ref: str) -> str:
        return ref if self._api.poll == "{ref}" else str(filled(self._api.poll, ref=quote(ref, safe="")))

    def _is_done(self, answer: Any) -> bool:
        """Whether the pictures are there. Raises what another end means."""
        api, state = self._api, str(found(answer, self._api.state))
        words = str(found(answer, api.message) or state)[:LONGEST_WORDS]
        if state in api.rejected:
            raise Rejected(f"{self._host} refuses this prompt: {words}")
        if state in api.failed:
            raise Transient(f"{self._host} failed: {words}")
        if state in api.gone:
            raise OutputExpired(f"{self._host} does not know the request any more")
        if state not in (*api.pending, *api.done):
            raise Interrupted(f"{self._host} says a state that the recipe does not know: {state[:LONGEST_WORDS]}")
        return state in api.done

    def _outputs(self, answer: Any) -> Sequence[str]:
        at = found(answer, self._api.output)
        urls = [url for url in (at if isinstance(at, list) else [at]) if isinstance(url, str) and url]
        if not urls:
            raise InvalidOutput(f"{self._host} is done, and its answer has no {self._api.output}")
        return urls

    def _cost(self, units: Any) -> Decimal | None:
        """A cost in US dollars, if it is one."""
        try:
            cost = Decimal(str(units)) * self._api.credit
        except InvalidOperation:
            return None
        return cost if cost.is_finite() and cost >= 0 else None


def _meaning(response: httpx2.Response, body: Any) -> ProviderError | None:
    """A request that is not there any more; else what the status says."""
    if response.status_code in (404, 410) and response.request.method == "GET":
        return OutputExpired(f"{response.request.url.host} does not know the request any more")
    return None


def _accepted(ref: str) -> dict[str, Any]:
    try:
        accepted: dict[str, Any] = json.loads(ref)
    except ValueError as error:
        raise OutputExpired("this is no request of a recipe's") from error
    return accepted


def _percent(share: Any) -> int:
    """A share from 0 to 1 in percent; 0 for what is none."""
    return min(100, max(0, int(share * 100))) if isinstance(share, int | float) and share == share else 0
