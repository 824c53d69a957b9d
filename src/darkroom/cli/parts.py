"""The parts that the settings name, each looked at by itself: none keeps another from being looked at."""

import asyncio
from collections.abc import Awaitable, Callable

from sqlalchemy import make_url

from darkroom.cli.configuration import explained
from darkroom.cli.examination import PATIENCE, Finding, answers_as_darkroom, taken
from darkroom.cli.exits import FAILED, CommandError, with_cause
from darkroom.cli.models import in_a_line
from darkroom.db import schema
from darkroom.db.session import Database
from darkroom.errors import DarkroomError
from darkroom.settings import Account, Settings
from darkroom.wiring import (
    catalogue_of,
    database_of,
    dispatcher_of,
    lacking_keys,
    open_engine,
    providers_of,
    storage_of,
)


async def look(settings: Settings) -> list[Finding]:
    """Look at all of them at once."""
    looks = [_database(settings), _storage(settings), _models(settings), _address(settings)]
    if settings.broker_url is not None:
        looks.insert(2, _broker(settings))
    found = await asyncio.gather(*looks)
    return [*found[:-1], *_accounts(settings), found[-1]]


async def _found(part: str, where: str, advice: str, ask: Callable[[], Awaitable[str]]) -> Finding:
    """What `ask` says of a part, or what went wrong with it."""
    try:
        async with asyncio.timeout(PATIENCE):
            return Finding(part, where, await ask())
    except TimeoutError:
        problem = f"no answer within {PATIENCE:g} s"
    except DarkroomError as error:
        problem = with_cause(error)
    except CommandError as error:
        return Finding(part, where, problem=error.message)  # which says what to do
    except OSError as error:
        problem = str(error)
    return Finding(part, where, problem=problem, advice=advice)


async def _database(settings: Settings) -> Finding:
    """Whether it answers, and whether its tables are those of this version."""
    where = make_url(settings.database).render_as_string(hide_password=True)
    own = settings.database_url is None
    advice = (
        "let Darkroom write there, or correct DARKROOM_DATA_DIR"
        if own
        else "start it, or correct DARKROOM_DATABASE_URL"
    )

    async def ask() -> str:
        async with database_of(settings).running() as database:
            return await _schema(database)

    return await _found("database", where, advice, ask)


async def _schema(database: Database) -> str:
    state = await schema.state(database)
    if state.current is None:
        return "answers, empty until the first start"
    if not state.is_current:
        raise CommandError(state.advice, FAILED)
    differences = await schema.differences(database)
    if differences:
        raise CommandError(f"its tables were changed, restore them: {'; '.join(differences)}", FAILED)
    return f"answers, schema {state.current}"


async def _storage(settings: Settings) -> Finding:
    """Whether a small object can be written and removed."""
    variable = "DARKROOM_DATA_DIR" if settings.storage_url is None else "DARKROOM_STORAGE_URL"
    advice = f"let Darkroom reach it and write there, or correct {variable}"
    try:
        with explained():
            store = storage_of(settings)
    except CommandError as error:
        return Finding("storage", "", problem=error.message)

    async def ask() -> str:
        await store.check()
        return "can be written"

    try:
        return await _found("storage", store.location, advice, ask)
    finally:
        await store.aclose()


async def _broker(settings: Settings) -> Finding:
    """Whether work can be handed to workers."""
    dispatcher = dispatcher_of(settings)

    async def ask() -> str:
        await dispatcher.check()
        return "answers"

    advice = "start it, or correct DARKROOM_BROKER_URL"
    try:
        return await _found("broker", dispatcher.location or "", advice, ask)
    finally:
        await dispatcher.aclose()


async def _models(settings: Settings) -> Finding:
    """Whether every provider can be made and every model's settings suit it."""
    lanes = ", ".join(f"{name} ({lane.concurrency} at once)" for name, lane in settings.lanes.items())

    async def ask() -> str:
        with explained():
            async with open_engine(settings) as engine:
                return in_a_line(list(engine.catalogue), settings.default_model)

    return await _found("models", f"lanes: {lanes}", "correct what is named", ask)


def _accounts(settings: Settings) -> list[Finding]:
    """Whether each account that a model goes by is set up. Without a key, that is a problem for declared models only.

    Nothing is asked of the backends.
    """
    try:
        with explained():
            providers = providers_of(settings)
            lacking = lacking_keys(settings, catalogue_of(settings, providers))
    except CommandError:
        return []  # what is wrong is said of the models
    accounts = {name: provider for name, provider in providers.items() if provider.capabilities.remote}
    return [_account(settings, name, provider.problem(), lacking.get(name)) for name, provider in accounts.items()]


def _account(settings: Settings, name: str, problem: str | None, lacking: list[str] | None) -> Finding:
    access = settings.accounts.get(name, Account())
    part, where = f"account {name}", access.url or "the vendor's own address"
    if lacking:
        advice = f"set it, for {', '.join(lacking)}"
        return Finding(part, where, problem=problem, advice=advice)
    return Finding(part, where, problem or ("has a key" if access.key else "needs no key"))


async def _address(settings: Settings) -> Finding:
    """Whether `darkroom serve` can listen, or does already."""
    where = f"{settings.host}:{settings.port}"
    error = taken(settings.host, settings.port)
    if error is None:
        return Finding("address", where, "free for `darkroom serve`")
    if await answers_as_darkroom(settings.model_copy(update={"public_url": None}).links_start_with):
        return Finding("address", where, "a Darkroom answers")
    advice = "stop what listens there, or set DARKROOM_PORT"
    return Finding("address", where, problem=error.strerror or str(error), advice=advice)
