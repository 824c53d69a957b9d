"""What routes are given."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Request

from darkroom.engine.core import Engine
from darkroom.engine.watching.feed import Feed
from darkroom.security.links import LinkSigner


@dataclass(frozen=True, slots=True)
class Options:
    """How the surfaces behave. `public_url`: what links start with; None: as the caller addressed us.

    `openai_placeholders`: whether to take what the tests of OpenAI's client send.
    """

    links: LinkSigner
    public_url: str | None = None
    hosts: tuple[str, ...] | None = None
    cors_origins: tuple[str, ...] = ()
    max_body_bytes: int = 1024 * 1024
    max_upload_bytes: int = 32 * 1024 * 1024
    link_lifetime: timedelta = timedelta(hours=1)
    openai_placeholders: bool = False


async def _engine(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


async def _feed(request: Request) -> Feed:
    feed: Feed = request.app.state.feed
    return feed


async def _options(request: Request) -> Options:
    options: Options = request.app.state.options
    return options


EngineDep = Annotated[Engine, Depends(_engine)]
FeedDep = Annotated[Feed, Depends(_feed)]
OptionsDep = Annotated[Options, Depends(_options)]
