"""fal.ai: any of its apps, through its queue."""

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any, Final

import httpx2

from darkroom.errors import (
    Interrupted,
    InvalidOutput,
    OutputExpired,
    Permanent,
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
from darkroom.providers.fal.openapi import parameters_of
from darkroom.providers.http import TIMEOUT, Backend, Headers, said
from darkroom.providers.parameters import (
    PRICED,
    Parameter,
    declared,
    nested,
    passed_through,
    schema_of,
    seed_of,
    to_backend,
)

URL: Final = "https://queue.fal.run"
CATALOGUE: Final = "https://api.fal.ai/v1"
DENIED: Final = PRICED | {"sync_mode"}
"""What callers cannot pass through: the pictures of a request in `sync_mode` are not kept for a second look."""
MOST: Final = 4
"""Pictures of one request, where the app does not say."""

HANDLE: Final = ("request_id", "status_url", "response_url", "cancel_url")
"""What fal says of an accepted request; its URLs are followed as they are."""

STATES: Final = frozenset({"IN_QUEUE", "IN_PROGRESS", "COMPLETED"})
REFUSALS: Final = frozenset({"content_policy_violation"})
CANCELLED: Final = "client_cancelled"
BAR: Final = re.compile(r"(?:^|\r)\s*(\d{1,3})%\|")
"""The progress bar of a pipeline; those of what it loads begin with a word."""


class Fal(Provider):
    """One account at fal. A model is an app's id (`fal-ai/flux/schnell`).

    `catalogue`: where fal says what its apps take, which is asked for those whose parameters are not declared.
    `poll`: the first rest between two looks at a request, in seconds.
    """

    capabilities = Capabilities(resumes=True, cancels=True, reports_progress=True, max_n=MOST, remote=True, paid=True)
    dialect = "fal"

    def __init__(
        self,
        *,
        key: str | None = None,
        key_from: str = "FAL_KEY",
        url: str = URL,
        timeout: float = TIMEOUT,
        headers: Headers | None = None,
        catalogue: str = CATALOGUE,
        poll: float = 0.5,
    ) -> None:
        self._problem = None if key else f"{key_from} is not set"
        authorization = {"Authorization": f"Key {key}"} if key else {}
        self._queue = Backend(
            "fal", url, authorization=authorization, timeout=timeout, headers=headers, refusal=_meaning
        )
        self._catalogue = Backend("fal's catalogue", catalogue, timeout=timeout, headers=headers)
        self._poll = poll
        self._learned: dict[str, tuple[Parameter, ...]] = {}

    def problem(self) -> str | None:
        return self._problem

    def describe(self, model: str) -> str:
        return f"{model} at fal"

    def schema(self, model: str, options: Options = NO_OPTIONS) -> dict[str, Any] | None:
        parameters = self._parameters(model, options)
        if parameters is None:
            return None
        schema = schema_of(parameters)
        properties = schema["properties"]
        if "n" in properties:
            properties["n"].setdefault("maximum", MOST)
        if {"width", "height"} <= properties.keys():
            schema["dependentRequired"] = {"width": ["height"], "height": ["width"]}
        return schema

    async def learn(self, model: str, options: Options = NO_OPTIONS) -> None:
        if "parameters" in options:
            return
        query = {"endpoint_id": model, "expand": "openapi-3.0"}
        try:
            answer = await self._catalogue.ask("GET", "models", params=query)
        except Interrupted as error:
            raise Transient(error.message) from error  # nothing was accepted that could go on
        self._learned[model] = parameters_of(answer, model)

    def passed(self, extra: Mapping[str, Any], model: str, options: Options = NO_OPTIONS) -> Mapping[str, Any]:
        return passed_through(self._parameters(model, options) or (), extra, denied=DENIED)

    async def generate(self, request: Request, *, resume: str | None) -> AsyncIterator[Event]:
        ref = resume
        if ref is None:
            ref = await self._submit(request)
            yield Accepted(ref)
        handle = _handle(ref)
        status: dict[str, Any] = {}
        async with aclosing(self._queue.poll(_with_logs(handle["status_url"]), first=self._poll)) as statuses:
            reached = 0
            async for status in statuses:
                if not isinstance(status, dict) or status.get("status") not in STATES:
                    raise Interrupted("fal answered with a status that is not known")
                percent = _percent(status)
                if percent > reached:
                    reached = percent
                    yield Progress(percent, 100)
                if status["status"] == "COMPLETED":
                    break
        result = await self._result(handle)
        for index, url in enumerate(_urls(result)):
            yield Produced(index, await self._picture(url), result.get("seed"))
        yield Finished(seconds=(status.get("metrics") or {}).get("inference_time"))

    async def cancel(self, ref: str) -> None:
        with suppress(_Over, OutputExpired):
            await self._queue.ask("PUT", _handle(ref)["cancel_url"])

    async def aclose(self) -> None:
        await self._queue.aclose()
        await self._catalogue.aclose()

    def _parameters(self, model: str, options: Options) -> tuple[Parameter, ...] | None:
        """Those that are declared, or else those that were learned."""
        return declared(options) if "parameters" in options else self._learned.get(model)

    async def _submit(self, request: Request) -> str:
        answer = await self._queue.create(request.model, json=await self._input(request))
        try:
            return json.dumps({name: str(answer[name]) for name in HANDLE})
        except (KeyError, TypeError) as error:
            raise SubmissionUncertain("fal took the request and did not say where it can be followed") from error

    async def _input(self, request: Request) -> dict[str, Any]:
        """What the app gets. Never `sync_mode`."""
        if self._parameters(request.model, request.options) is None:
            await self.learn(request.model, request.options)
        parameters = self._parameters(request.model, request.options)
        seeded = replace(request, parameters={**request.parameters, "seed": seed_of(request)})
        body = nested(to_backend(parameters or (), seeded, denied=DENIED))
        body.pop("sync_mode", None)
        return {**body, "prompt": request.prompt}

    async def _result(self, handle: Mapping[str, str]) -> dict[str, Any]:
        try:
            result = await self._queue.look(handle["response_url"], rest=self._poll)
        except _Over as over:
            raise over.error from None
        if not isinstance(result, dict):
            raise InvalidOutput("fal answered with something that is no result")
        nsfw = result.get("has_nsfw_concepts")
        if any(nsfw) if isinstance(nsfw, list) else nsfw:
            raise Rejected("fal holds what it made of this prompt to be not safe for work")
        return result

    async def _picture(self, url: str) -> bytes:
        try:
            return await self._queue.picture(url)
        except _Over as over:  # that was no word about the request: it has its result
            raise Interrupted(over.message) from over


class _Over(ProviderError):
    """fal says that the request has ended; `error`: how it failed."""

    def __init__(self, error: ProviderError) -> None:
        super().__init__(error.message)
        self.error = error


def _meaning(response: httpx2.Response, body: Any) -> ProviderError | None:
    """What fal means by an answer that is no success, beyond its status."""
    method, path = response.request.method, response.request.url.path
    kinds = _kinds(response, body)
    if method == "PUT" and isinstance(body, Mapping) and body.get("status") == "ALREADY_COMPLETED":
        return _Over(Permanent("the request has ended"))
    if response.status_code in (404, 410) and method != "POST":
        return OutputExpired("fal does not know the request any more")
    if kinds & REFUSALS:
        return Rejected(f"fal refuses this prompt: {said(body)}")
    if kinds and method == "GET" and not path.endswith("/status"):
        return _Over(_failure(response, kinds, said(body)))
    return None


def _failure(response: httpx2.Response, kinds: frozenset[str], words: str) -> ProviderError:
    """How a request failed. One that would fail again is `Permanent`; one that was cancelled need not."""
    message = f"fal failed ({', '.join(sorted(kinds))}): {words}"
    says = response.headers.get("x-fal-retryable")
    again = CANCELLED in kinds or (says == "true" if says else response.status_code >= 500)
    return Transient(message) if again else Permanent(message)


def _kinds(response: httpx2.Response, body: Any) -> frozenset[str]:
    """What went wrong in fal's names: those of a model (`detail[].type`) and that of the platform (`error_type`)."""
    body = body if isinstance(body, Mapping) else {}
    detail = body.get("detail")
    of_model = [each.get("type") for each in detail if isinstance(each, Mapping)] if isinstance(detail, list) else []
    of_platform = body.get("error_type") or response.headers.get("x-fal-error-type")
    return frozenset(str(kind) for kind in (*of_model, of_platform) if kind)


def _handle(ref: str) -> dict[str, str]:
    try:
        handle: dict[str, str] = json.loads(ref)
    except ValueError as error:
        raise OutputExpired("this is no request of fal's") from error
    return handle


def _with_logs(status_url: str) -> str:
    return f"{status_url}{'&' if '?' in status_url else '?'}logs=1"


def _percent(status: Mapping[str, Any]) -> int:
    """How far the progress bar in the logs has come."""
    messages = [str(entry.get("message", "")) for entry in status.get("logs") or () if isinstance(entry, Mapping)]
    return max((min(100, int(found[1])) for message in messages for found in BAR.finditer(message)), default=0)


def _urls(result: Mapping[str, Any]) -> Sequence[str]:
    """Where the pictures are: most apps make `images`, some one `image`. Raises `InvalidOutput` if there are none."""
    stated = result.get("images")
    pictures = stated if stated and isinstance(stated, list) else [result.get("image")]
    urls = [str(picture["url"]) for picture in pictures if isinstance(picture, Mapping) and picture.get("url")]
    if not urls:
        raise InvalidOutput("fal completed the request and made no picture")
    return urls
