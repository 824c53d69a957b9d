"""Pictures from a prompt, from a prompt and pictures, and from a picture."""

from typing import Final

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from darkroom.api.openai import forms, making
from darkroom.api.openai.answers import answer
from darkroom.api.openai.errors import why_not
from darkroom.api.openai.events import events
from darkroom.api.openai.making import HereDep
from darkroom.api.openai.parameters import NO_PICTURES, Pictures
from darkroom.api.openai.requests import ImagesRequest
from darkroom.api.streams import EventStream
from darkroom.media.states import Status

router = APIRouter(include_in_schema=False)

GENERATION: Final = "image_generation"
EDIT: Final = "image_edit"
LEFT: Final = 499
"""The status in the logs of a request whose caller has left: nobody reads it."""


@router.post("/openai/v1/images/generations")
async def generate(wish: ImagesRequest, here: HereDep) -> Response:
    """Make pictures from a prompt."""
    return await _made(GENERATION, wish, NO_PICTURES, here)


@router.post("/openai/v1/images/edits")
async def edit(here: HereDep) -> Response:
    """Make pictures from a prompt and pictures."""
    wish, pictures = await forms.read(here.request, lenient=here.options.openai_placeholders)
    return await _made(EDIT, wish, pictures, here)


@router.post("/openai/v1/images/variations")
async def vary(here: HereDep) -> Response:
    """Make pictures from a picture."""
    lenient = here.options.openai_placeholders
    wish, pictures = await forms.read(here.request, prompt=forms.A_VARIATION, lenient=lenient)
    return await _made(EDIT, wish, pictures, here)


async def _made(kind: str, wish: ImagesRequest, pictures: Pictures, here: HereDep) -> Response:
    known = await making.accepted(wish, pictures, here)
    if wish.stream:
        return EventStream(events(kind, known, wish, here))
    located = await making.ended(known, here)
    if located is None:
        return Response(status_code=LEFT)
    if located.media.status is not Status.COMPLETED:
        return why_not(located.media).response({})
    return JSONResponse(await answer(located.media, wish, here))
