"""A provider for OpenAI and whatever else speaks its Images API.

A call makes the pictures and answers with them: there is no id to come back to. So nothing is resumed, `Accepted` is
never said, and an answer that got lost is lost: `SubmissionUncertain`.
"""

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

import httpx2

from darkroom.errors import InvalidRequest, OutputExpired, OutputTooLarge, ProviderError, SubmissionUncertain
from darkroom.media.model import Request
from darkroom.providers.base import (
    NO_OPTIONS,
    Capabilities,
    Event,
    Finished,
    Options,
    Preview,
    Produced,
    Provider,
)
from darkroom.providers.http import Backend, Headers
from darkroom.providers.openai.answers import Answer, cost_of, messages, refusal, tokens_of
from darkroom.providers.openai.models import Model, checked_partial_images, family_of, model_of
from darkroom.providers.openai.requests import Call, call_of

URL: Final = "https://api.openai.com/v1"
TIMEOUT: Final = 600.0
"""As OpenAI's own client. A large picture takes minutes, in silence, and one that is given up is paid all the same."""
FETCHING: Final = 120.0
"""Seconds for getting one picture that is answered as a URL."""


class OpenAI(Provider):
    """The Images API: `images/generations`, and `images/edits` for a picture to start from."""

    capabilities = Capabilities(max_n=10, remote=True, paid=True)

    def __init__(
        self,
        *,
        key: str | None = None,
        key_from: str = "OPENAI_API_KEY",
        url: str = URL,
        timeout: float = TIMEOUT,
        headers: Headers | None = None,
        organization: str | None = None,
        project: str | None = None,
        partial_images: int = 1,
    ) -> None:
        """`organization`, `project`: whose usage it is, by OpenAI's ids.

        `partial_images`: how many pictures on their way a model that streams shows, 0 to 3; each costs 100 tokens
        of output at OpenAI. 0: nothing is streamed.
        """
        if not url.startswith(("http://", "https://")):
            raise ValueError("url must start with http:// or https://")
        try:
            self._partial_images = checked_partial_images(partial_images)
        except InvalidRequest as error:
            raise ValueError(f"partial_images {error.message}") from error
        self._is_openai = url.rstrip("/") == URL
        self._problem = f"{key_from} is not set" if self._is_openai and not key else None
        known_by = {
            "authorization": f"Bearer {key}" if key else None,
            "openai-organization": organization,
            "openai-project": project,
        }
        self._backend = Backend(
            "OpenAI" if self._is_openai else "the OpenAI-compatible server",
            url,
            authorization={name: value for name, value in known_by.items() if value},
            timeout=timeout,
            headers=headers,
            refusal=refusal,
        )

    def problem(self) -> str | None:
        """OpenAI itself wants a key; another server may do without."""
        return self._problem

    def describe(self, model: str) -> str:
        """One line for a person."""
        return f"{model}: {family_of(model).about}"

    def schema(self, model: str, options: Options = NO_OPTIONS) -> dict[str, Any]:
        """The JSON Schema of the parameters; see `model_of` for the options."""
        return self._model(model, options).schema

    async def generate(self, request: Request, *, resume: str | None) -> AsyncIterator[Event]:
        """Make the pictures in one call. Nothing was ever accepted under a reference, so `resume` is None."""
        model = self._model(request.model, request.options)
        answer: Answer = {}
        async with aclosing(self._answers(call_of(model, request), request)) as answers:
            async for answer in answers:
                if _pictures(answer):
                    break
                if preview := _preview(answer):
                    yield preview
        for index, picture in enumerate(self._complete(_pictures(answer), request)):
            yield Produced(index, await self._content(picture))
        tokens = tokens_of(answer)
        yield Finished(cost=cost_of(tokens, model.token_prices), metrics=tokens)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._backend.aclose()

    def _model(self, name: str, options: Options) -> Model:
        return model_of(name, options, partial_images=self._partial_images)

    async def _answers(self, call: Call, request: Request) -> AsyncGenerator[Answer]:
        """What is sent back. The id of the job goes with the request: OpenAI can be asked about it."""
        named = {"x-client-request-id": str(request.job_id)}
        async with (
            self._backend.creating(call.path, headers=named, **call.content) as response,
            aclosing(messages(self._backend, response)) as answers,
        ):
            async for answer in answers:
                yield answer

    def _complete(self, pictures: Sequence[Answer], request: Request) -> Sequence[Answer]:
        if len(pictures) < request.n:
            raise SubmissionUncertain(
                f"{self._backend.name} took the request and answered with {len(pictures)} of {request.n} pictures"
            )
        return pictures[: request.n]

    async def _content(self, picture: Answer) -> bytes:
        """The bytes of a picture that was made, and paid: whatever fails now, it must not be asked for again."""
        encoded, url = picture.get("b64_json"), str(picture.get("url") or "")
        try:
            if encoded or url.startswith("data:"):
                return _decoded(encoded or url)
            async with asyncio.timeout(FETCHING):
                return await self._backend.download(str(httpx2.URL(f"{self._backend.url}/").join(url)))
        except (OutputExpired, OutputTooLarge):
            raise
        except (ProviderError, ValueError, httpx2.InvalidURL, TimeoutError) as error:
            raise SubmissionUncertain(
                f"{self._backend.name} made the picture, and it cannot be had: {error or 'it takes too long'}"
            ) from error


def _preview(answer: Answer) -> Preview | None:
    """The picture on its way that an event shows; what is wrong with one is no failure."""
    if not str(answer.get("type")).endswith(".partial_image"):
        return None
    try:
        return Preview(_decoded(answer.get("b64_json")))
    except ValueError:
        return None


def _pictures(answer: Answer) -> Sequence[Answer]:
    """The pictures of an answer; an event that completes a stream is one itself."""
    is_event = str(answer.get("type")).endswith(".completed")
    data = [answer] if is_event else answer.get("data")
    return [each for each in data if _holds(each)] if isinstance(data, list) else []


def _holds(picture: Any) -> bool:
    """Whether it is a picture: some servers leave one empty that their safety system took out."""
    return isinstance(picture, Mapping) and bool(picture.get("b64_json") or picture.get("url"))


def _decoded(base64_or_uri: Any) -> bytes:
    """The bytes of base64, or of a `data:` URI in it. Raises `ValueError`."""
    return base64.b64decode(str(base64_or_uri).rpartition(",")[2], validate=True)
