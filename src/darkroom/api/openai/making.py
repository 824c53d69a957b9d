"""From a request to the media that answers it."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Header, Request

from darkroom.api import links
from darkroom.api.deps import EngineDep, Options, OptionsDep
from darkroom.api.leaving import unless_left
from darkroom.api.native.media import IdempotencyKey
from darkroom.api.openai.parameters import Pictures, model_called, parameters_of
from darkroom.api.openai.requests import ImagesRequest
from darkroom.engine.core import Engine
from darkroom.engine.intake import Order
from darkroom.engine.queries import Located
from darkroom.errors import InvalidRequest, Unavailable
from darkroom.media.model import File
from darkroom.media.states import ENDED

RESTART: Final = 10
"""Seconds after which to ask again where the service stops: by then it may be there again."""
_SIZES: Final = ("parameters", "parameters.size", "parameters.aspect_ratio")
"""What errors about a size may name: the parameters as such where two do not go together."""


@dataclass(frozen=True, slots=True)
class Here:
    """Where a request came to. `is_retry`: the client says that it asks once more."""

    engine: Engine
    options: Options
    request: Request
    idempotency_key: str | None
    is_retry: bool

    def link_to(self, file: File) -> str:
        """An address at which a picture can be had without credentials."""
        return links.to_file(file, base=links.base_of(self.request, self.options), options=self.options)


async def _here(
    request: Request,
    engine: EngineDep,
    options: OptionsDep,
    idempotency_key: IdempotencyKey = None,
    x_stainless_retry_count: Annotated[str, Header()] = "0",
) -> Here:
    return Here(engine, options, request, idempotency_key, is_retry=x_stainless_retry_count.strip("0") != "")


HereDep = Annotated[Here, Depends(_here)]


async def accepted(wish: ImagesRequest, pictures: Pictures, here: Here) -> Located:
    """The media that is to answer `wish`: durable, and not another one for a request that is sent again."""
    catalogue = here.engine.catalogue
    model = await catalogue.ready(model_called(catalogue, wish.model).name)
    order = Order(
        prompt=wish.prompt,
        model=model.name,
        parameters=parameters_of(wish, pictures, model, lenient=here.options.openai_placeholders),
        metadata=wish.metadata,
        idempotency_key=here.idempotency_key,
        retried=here.is_retry if here.idempotency_key is None else None,
    )
    with _in_the_callers_words(wish):
        return (await here.engine.submit(order)).media


@contextmanager
def _in_the_callers_words(wish: ImagesRequest) -> Iterator[None]:
    """Errors name what the caller sent: a size, for one."""
    try:
        yield
    except InvalidRequest as error:
        if wish.size and error.field in _SIZES:
            error.field = "size"
        elif error.field == "parameters.images" or (error.field or "").startswith("parameters.images."):
            error.field = "image"
        raise


async def ended(known: Located, here: Here) -> Located | None:
    """The media once it has ended; None: the caller has left.

    Raises `Unavailable` when the service stops: the client asks again, which the media has not noticed.
    """
    while known.media.status not in ENDED:
        waited = await unless_left(here.request, here.engine.wait(known, at_most=math.inf))
        if waited is None:
            return None
        known = waited
        if here.engine.stopping.is_set() and known.media.status not in ENDED:
            raise Unavailable("the service is about to stop; ask again for the same", retry_after=RESTART)
    return known
