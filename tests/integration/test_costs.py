"""What was spent is told by model, provider, owner and day; what budgets have no room for is refused at once."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from darkroom.db import spending
from darkroom.db.spending import Entry
from services.app import App, Client, RunApp
from services.command import Command
from services.scraped import scrape
from services.server import eventually


def priced(price: str, **model: Any) -> dict[str, Any]:
    """A model of the dummy provider that costs so many dollars a picture."""
    return {"routes": [{"provider": "dummy", "price": {"per_picture": price}}], **model}


CHEAP, DEAR = f"cheap-{uuid4().hex[:8]}", f"dear-{uuid4().hex[:8]}"
MODELS = {CHEAP: priced("0.003"), DEAR: priced("0.5")}


@pytest.fixture
def app(run_app: RunApp, database_url: str) -> Iterator[App]:
    with run_app(database_url=database_url, models=MODELS) as running:
        yield running


@pytest.fixture
def limited(run_app: RunApp, sqlite_url: str) -> Iterator[Callable[..., Client]]:
    """Make a client of a service with these budgets: `limited({"per_day": "1"}, working=False)`."""
    opened: list[Any] = []

    def limit(*budgets: Mapping[str, str], models: Mapping[str, Any] = MODELS, **settings: Any) -> Client:
        running = run_app(database_url=sqlite_url, models=models, budgets=list(budgets), **settings)
        opened.append(running)
        client = running.__enter__().client()
        opened.append(client)
        return client

    yield limit
    for context in reversed(opened):
        context.__exit__(None, None, None)


def costs(client: Client, **query: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.get("/costs", params=query).raise_for_status().json()
    return answer


def usd(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "USD"}


def spent(answer: Mapping[str, Any]) -> dict[str, str]:
    """The dollars of each item, in the order in which they are."""
    return {item["key"]: item["spent"]["amount"] for item in answer["items"]}


def enter(app: App, *entries: Entry) -> None:
    """Have it in the books that this was spent."""
    work = app.engine.database.transact(lambda connection: spending.add(connection, entries))
    asyncio.run_coroutine_threadsafe(work, app.loop).result(10)


def today() -> date:
    return datetime.now(UTC).date()


# What was spent


def test_what_jobs_cost_is_added_up(app: App, client: Client) -> None:
    client.completed(model=DEAR)
    client.completed(model=CHEAP, parameters={"n": 3})
    client.completed()  # costs nothing
    answer = costs(client)
    assert answer["by"] == "model"
    assert answer["items"] == [
        {"key": DEAR, "jobs": 1, "pictures": 1, "spent": usd("0.5"), "reserved": usd("0")},
        {"key": CHEAP, "jobs": 1, "pictures": 3, "spent": usd("0.009"), "reserved": usd("0")},
    ]
    assert answer["total"] == {"jobs": 2, "pictures": 4, "spent": usd("0.509"), "reserved": usd("0")}
    assert answer["budgets"] == []
    assert spent(costs(client, by="provider")) == {"dummy": "0.509"}
    assert spent(costs(client, by="owner")) == {"": "0.509"}
    assert spent(costs(client, by="day")) == {today().isoformat(): "0.509"}


def test_what_is_set_aside_for_running_jobs_is_told(app: App, client: Client) -> None:
    media = client.generate(model=DEAR, parameters={"delay": 600})
    eventually(lambda: costs(client)["total"]["reserved"] == usd("0.5"))
    assert costs(client)["total"]["spent"] == usd("0")
    client.post(f"/media/{media['id']}/cancel").raise_for_status()
    client.until(media["id"], "CANCELLED")
    assert costs(client)["total"]["reserved"] == usd("0")


def test_deleted_media_have_cost_what_they_did(app: App, client: Client) -> None:
    client.delete(f"/media/{client.completed(model=DEAR)['id']}").raise_for_status()
    assert spent(costs(client)) == {DEAR: "0.5"}


def test_days_are_from_the_first_to_the_last_and_in_order(app: App, client: Client) -> None:
    def entry(days_ago: int, model: str, amount: str) -> Entry:
        return Entry(today() - timedelta(days_ago), "ann", model, "fal", Decimal(amount), jobs=1, pictures=1)

    enter(app, entry(0, "a", "1"), entry(1, "b", "8"), entry(6, "a", "2"), entry(29, "a", "4"), entry(40, "a", "9"))
    assert spent(costs(client)) == {"b": "8", "a": "7"}
    assert spent(costs(client, since="24h")) == {"b": "8", "a": "1"}
    assert spent(costs(client, since="1w", until="1d")) == {"b": "8", "a": "2"}
    on = (today() - timedelta(40)).isoformat()
    assert spent(costs(client, since=on, until=on)) == {"a": "9"}
    days = costs(client, by="day", since="7d")
    assert list(spent(days)) == [(today() - timedelta(ago)).isoformat() for ago in (6, 1, 0)]
    assert days["since"] == (today() - timedelta(7)).isoformat()
    assert costs(client, since="999999w")["total"]["spent"] == usd("24")
    assert costs(client, since="0d", until="7d")["items"] == []
    assert spent(costs(client, by="owner", since="4w")) == {"ann": "11"}


NO_DAYS = (
    "yesterday",
    "",
    "7",
    "7y",
    "-7d",
    "2026-13-01",
    "20261101",
    "\N{ARABIC-INDIC DIGIT SEVEN}d",
    "2026-11-01T00:00",
)
RIGHT_DAYS = "2026-11-23, or an age such as 24h, 7d or 4w"


def test_what_cannot_be_asked_is_refused_with_what_would_be_right(sqlite_app: App) -> None:
    days = [(name, value, RIGHT_DAYS) for name in ("since", "until") for value in NO_DAYS]
    with sqlite_app.client() as client:
        for name, value, right in [*days, ("by", "lane", "'provider'"), ("from", "7d", "by, since, until")]:
            response = client.get("/costs", params={name: value})
            assert response.status_code == 422
            assert response.headers["content-type"] == "application/problem+json"
            (error,) = response.json()["errors"]
            assert error["field"] == name
            assert right in error["message"]


# Budgets


def test_budgets_tell_what_is_left_of_them_today(limited: Callable[..., Client]) -> None:
    client = limited({"per_day": "2"}, {"per_day": "25", "model": DEAR, "owner": "*"}, {"per_day": "1", "owner": "bob"})
    before = costs(client)["budgets"]
    assert [(budget["what"], budget["owner"]) for budget in before] == [
        ("all", None), (f"each owner on {DEAR}", "*"), ("owner 'bob'", "bob"),
    ]  # fmt: skip
    client.completed(model=DEAR)
    client.completed(model=CHEAP)
    assert costs(client)["budgets"] == [
        budget("all", None, None, "2", "0.503", "1.497"),
        budget(f"nobody on {DEAR}", DEAR, "", "25", "0.5", "24.5"),
        budget("owner 'bob'", None, "bob", "1", "0", "1"),
    ]


def budget(what: str, model: str | None, owner: str | None, per_day: str, spent: str, left: str) -> dict[str, Any]:
    money = {"per_day": usd(per_day), "spent": usd(spent), "reserved": usd("0"), "left": usd(left)}
    return {"what": what, "model": model, "owner": owner, **money}


def test_what_no_budget_has_room_for_is_refused_at_once(run_app: RunApp, database_url: str) -> None:
    budgets = [{"per_day": "0.9", "model": DEAR}]
    with run_app(database_url=database_url, models=MODELS, budgets=budgets) as app, app.client() as client:
        client.completed(model=DEAR)
        refused = client.post("/media/generate", json={"prompt": "a fox", "model": DEAR})
        assert refused.status_code == 402
        assert refused.headers["content-type"] == "application/problem+json"
        problem = refused.json()
        assert problem["code"] == "budget_exhausted"
        tomorrow = today() + timedelta(days=1)
        assert problem["detail"] == (
            f"the budget of $0.90 a day for all on {DEAR} has no room for this: $0.50 is spent or set aside, and "
            f"this costs about $0.50; the next day begins at {tomorrow}T00:00Z"
        )
        assert len(client.listed(model=DEAR)) == 1
        client.completed(model=CHEAP)  # falls under no budget


def test_a_budget_that_is_spent_refuses_whatever_it_costs(limited: Callable[..., Client]) -> None:
    client = limited({"per_day": "0.5"})
    client.completed(model=DEAR)
    refused = client.post("/media/generate", json={"prompt": "a fox", "model": CHEAP})
    assert refused.status_code == 402
    client.completed()  # dummy itself costs nothing


def test_a_request_that_was_accepted_before_is_answered_though_the_budget_is_spent(
    limited: Callable[..., Client],
) -> None:
    client = limited({"per_day": "0.5"})
    body, key = {"prompt": "a fox", "model": DEAR}, {"Idempotency-Key": "mine"}
    made = client.post("/media/generate", json=body, headers=key).raise_for_status().json()["id"]
    client.until(made, "COMPLETED")
    again = client.post("/media/generate", json=body, headers=key)
    assert (again.status_code, again.json()["id"]) == (202, made)
    assert client.post("/media/generate", json=body, headers={"Idempotency-Key": "new"}).status_code == 402


def test_a_way_that_is_free_is_taken_instead(limited: Callable[..., Client]) -> None:
    routes = [{"provider": "dummy", "price": {"per_picture": "0.5"}}, {"provider": "sketch"}]
    sized = {"width": 64, "height": 64}
    client = limited({"per_day": "0.5"}, models={"either": {"routes": routes, "defaults": sized}})
    first, second = client.completed(model="either"), client.completed(model="either")
    assert route_of(client, first) == "dummy:dummy"
    assert route_of(client, second) == "sketch:sketch"
    assert costs(client)["total"]["spent"] == usd("0.5")
    only_there = client.post("/media/generate", json={"prompt": "a", "model": "either", "parameters": {"delay": 0}})
    assert only_there.status_code == 402


def test_a_backend_that_sends_no_bills_falls_under_no_budget(limited: Callable[..., Client]) -> None:
    own = {"routes": [{"provider": "own", "model": "dummy"}]}
    accounts = {"own": {"provider": "dummy", "concurrency": 4}}
    client = limited({"per_day": "0"}, models={"own": own}, accounts=accounts)
    assert route_of(client, client.completed(model="own")) == "own:dummy"


def route_of(client: Client, media: Mapping[str, Any]) -> str | None:
    jobs = client.get(f"/media/{media['id']}/jobs").raise_for_status().json()["items"]
    route: str | None = jobs[-1]["route"]
    return route


def test_what_was_accepted_before_the_budget_was_spent_ends_with_the_reason(limited: Callable[..., Client]) -> None:
    client = limited({"per_day": "0.5"}, lanes={"default": {"concurrency": 1}})
    client.post("/lanes/default/pause").raise_for_status()
    both = [client.generate(model=DEAR)["id"] for _ in range(2)]
    client.post("/lanes/default/resume").raise_for_status()
    ended = [client.until(media_id, "COMPLETED", "ERROR") for media_id in both]
    (error,) = [media["error"] for media in ended if media["error"]]
    assert error["code"] == "budget_exhausted"
    assert "the budget of $0.50 a day for all has no room" in error["message"]


# Metrics


def test_dollars_and_refusals_are_counted(limited: Callable[..., Client]) -> None:
    client = limited({"per_day": "1"})
    url = str(client.base_url)
    cost, refused = "darkroom_cost_dollars_total", "darkroom_budget_refused_total"
    before = scrape(url).value(cost, model=DEAR, provider="dummy"), scrape(url).value(refused, model=DEAR)
    for _ in range(2):
        client.completed(model=DEAR)
    assert client.post("/media/generate", json={"prompt": "a fox", "model": DEAR}).status_code == 402
    after = scrape(url).value(cost, model=DEAR, provider="dummy"), scrape(url).value(refused, model=DEAR)
    assert after[0] - before[0] == pytest.approx(1)
    assert after[1] - before[1] == 1


# The command


@pytest.mark.parametrize("through", ["here", "server"])
def test_the_command_shows_a_table_with_the_total(
    darkroom: Command, run_app: RunApp, sqlite_url: str, through: str
) -> None:
    budgets = f'[{{"per_day": "25", "model": "{DEAR}"}}]'
    with run_app(database_url=sqlite_url, models=MODELS, budgets=[{"per_day": "25", "model": DEAR}]) as app:
        with app.client() as client:
            client.completed(model=DEAR)
        models = f'{{"{DEAR}": {{"routes": [{{"provider": "dummy", "price": {{"per_picture": "0.5"}}}}]}}}}'
        here = darkroom.using(
            DARKROOM_DATA_DIR=app.settings.data_dir, DARKROOM_DATABASE_URL=sqlite_url, DARKROOM_MODELS=models,
            DARKROOM_BUDGETS=budgets,
        )  # fmt: skip
        command = here if through == "here" else darkroom.using(DARKROOM_URL=app.url)
        lines = [line.split() for line in command.good("costs", "--since", "7d").out.splitlines()]
        assert [DEAR, "1", "1", "$0.50", "$0.00"] in lines
        assert ["total", "1", "1", "$0.50", "$0.00"] in lines
        assert ["all", "on", DEAR, "$25.00", "$0.50", "$0.00", "$24.50"] in lines


def test_the_command_prints_json_and_says_what_is_wrong(darkroom: Command, sqlite_app: App) -> None:
    command = darkroom.using(DARKROOM_URL=sqlite_app.url)
    assert command.good("costs", "--by", "day", "--json").json["total"]["jobs"] == 0
    wrong = command("costs", "--until", "soon")
    assert wrong.code == 2
    assert wrong.complaint.startswith("until: must be a day")
    assert command("costs", "--by", "lane").code == 2
