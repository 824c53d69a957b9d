"""From the settings of models, routes and accounts to the catalogue, with the adapters that serve it."""

import inspect
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import structlog

from darkroom.engine import catalogue
from darkroom.engine.catalogue import Catalogue, check_declared
from darkroom.errors import DarkroomError
from darkroom.media import money
from darkroom.media.routing import Account
from darkroom.providers import registry
from darkroom.providers.base import Provider
from darkroom.settings import KEYS, Budget, Model, Price, Route, Settings, SettingsError
from darkroom.settings import Account as Access
from darkroom.telemetry import traces

log = structlog.get_logger(__name__)

Providers = Mapping[str, Provider]


def providers_of(settings: Settings) -> Providers:
    """An adapter for each account that a route names, by the account's name. Raises `SettingsError`."""
    named = {route.provider for model in settings.models.values() for route in model.routes}
    return {name: _provider(settings, name) for name in sorted(named)}


def _provider(settings: Settings, name: str) -> Provider:
    access = settings.accounts.get(name, Access())
    try:
        factory = registry.load(access.provider or name)
        return factory(**_arguments(settings, name, access, inspect.signature(factory).parameters))
    except (DarkroomError, ValueError, TypeError) as error:
        raise SettingsError(f"provider {name}: {error}") from error


def _arguments(settings: Settings, name: str, access: Access, takes: Mapping[str, object]) -> dict[str, Any]:
    """What an adapter is made with: what it takes of what the settings say, and the options of its account."""
    key = access.key.get_secret_value() if access.key else None
    ours = {"key": key, "url": access.url, "timeout": access.timeout, "headers": traces.headers}
    ours["key_from"] = key_source(settings, name)
    given = {word: value for word, value in ours.items() if value is not None and word in takes}
    dummy = settings.providers.dummy.model_dump() if (access.provider or name) == "dummy" else {}
    return {**given, **dummy, **access.options}


def key_source(settings: Settings, account: str) -> str:
    """Where an account's key comes from: the name of a variable, or of the setting."""
    access = settings.accounts.get(account, Access())
    return access.key_from or KEYS.get(account) or f"accounts.{account}.key"


def warn_of_what_is_missing(settings: Settings, models: Iterable[catalogue.Model]) -> None:
    """Say in a line for each account which models that the settings declare lack its key.

    And which of those that budgets are for have no price: nothing is set aside for them.
    """
    models = tuple(models)
    for account, names in lacking_keys(settings, models).items():
        log.warning("key_missing", account=account, variable=key_source(settings, account), models=names)
    for name, routes in lacking_prices(settings, models).items():
        log.warning("price_missing", model=name, routes=routes, consequence="budgets count it only once it is made")


def lacking_keys(settings: Settings, models: Iterable[catalogue.Model]) -> dict[str, list[str]]:
    """The accounts whose key is missing, with the models that the settings declare and that have a route there."""
    lacking: dict[str, list[str]] = {}
    for model in models:
        if settings.declares(model.name):
            for account in dict.fromkeys(route.account.name for route in model.routes if route.problem is not None):
                lacking.setdefault(account, []).append(model.name)
    return lacking


def lacking_prices(settings: Settings, models: Iterable[catalogue.Model]) -> dict[str, list[str]]:
    """The routes without a price, by model, of those that are paid and that the settings declare and budget."""
    for_all = any(budget.model is None for budget in settings.budgets)
    budgeted = {budget.model for budget in settings.budgets}
    lacking = {
        model.name: [route.label for route in model.routes if route.account.paid and route.price is None]
        for model in models
        if model.name in budgeted or (for_all and settings.declares(model.name))
    }
    return {name: routes for name, routes in lacking.items() if routes}


def catalogue_of(settings: Settings, providers: Providers) -> Catalogue:
    """The models as declared, with what their providers say of them. Raises `SettingsError`."""
    models = []
    for name, declared in settings.models.items():
        try:
            models.append(_model(settings, name, declared, providers))
        except DarkroomError as error:
            field = f" ({error.field})" if error.field else ""
            raise SettingsError(f"models.{name}{field}: {error.message}") from error
    return Catalogue(models, default=settings.default_model)


def _model(settings: Settings, name: str, declared: Model, providers: Providers) -> catalogue.Model:
    routes = tuple(_route(settings, route, providers[route.provider]) for route in declared.routes)
    if len({route.label for route in routes}) < len(routes):
        raise SettingsError(f"models.{name}.routes: two are the same")
    model = catalogue.Model(
        name=name,
        description=declared.description or routes[0].provider.describe(routes[0].model),
        lane=declared.lane,
        routes=routes,
        declared=declared.defaults,
        resubmit=declared.resubmit,
        job_timeout=timedelta(seconds=declared.job_timeout) if declared.job_timeout else None,
    )
    check_declared(model)
    return model


def _route(settings: Settings, route: Route, provider: Provider) -> catalogue.Route:
    access = settings.accounts.get(route.provider, Access())
    return catalogue.Route(
        provider=provider,
        model=route.model or access.provider or route.provider,
        account=_account(route, access, provider),
        options=route.options,
        price=_price(route.price) if route.price else None,
        weight=route.weight,
    )


def _account(route: Route, access: Access, provider: Provider) -> Account:
    can = provider.capabilities
    is_limited = access.concurrency is not None or access.requests_per_minute is not None
    paid = can.paid if access.paid is None else access.paid
    return Account(
        name=route.provider,
        paid=paid,
        guarded=can.remote or paid or is_limited or route.price is not None,
        concurrency=access.concurrency,
        per_minute=access.requests_per_minute,
        failures=access.failures,
        cool_down=access.cool_down,
        settle=access.settle,
    )


def _price(price: Price) -> money.Price:
    tiers = tuple(money.Tier(tier.per_picture, tier.quality, tier.width, tier.height) for tier in price.tiers)
    return money.Price(
        per_picture=price.per_picture,
        per_megapixel=price.per_megapixel,
        whole_megapixels=price.whole_megapixels,
        per_second=price.per_second,
        seconds=price.seconds,
        tiers=tiers,
    )


def budgets_of(settings: Settings) -> tuple[money.Budget, ...]:
    """The budgets. Raises `SettingsError` for one of a model that is not there."""
    return tuple(_budget(settings, budget) for budget in settings.budgets)


def _budget(settings: Settings, budget: Budget) -> money.Budget:
    if budget.model is not None and budget.model not in settings.models:
        raise SettingsError(f"budgets: there is no model {budget.model!r}")
    return money.Budget(budget.per_day, budget.model, budget.owner)
