"""`darkroom media` and `darkroom models`, the real process: on the database of the settings, and through a server."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from services.app import App, Client, RunApp
from services.command import Command


@pytest.fixture
def app(run_app: RunApp, sqlite_url: str) -> Iterator[App]:
    """A service that makes nothing."""
    with run_app(working=False, database_url=sqlite_url) as running:
        yield running


@pytest.fixture
def client(app: App) -> Iterator[Client]:
    with Client(base_url=app.url, timeout=30) as client:
        yield client


def locally(darkroom: Command, app: App) -> Command:
    settings = app.settings
    return darkroom.using(DARKROOM_DATA_DIR=settings.data_dir, DARKROOM_DATABASE_URL=settings.database_url)


@pytest.fixture(params=["here", "server"])
def command(request: pytest.FixtureRequest, darkroom: Command, app: App) -> Command:
    """The command, on the data of `app` or through it."""
    return locally(darkroom, app) if request.param == "here" else darkroom.using(DARKROOM_URL=app.url)


@pytest.fixture
def remote(darkroom: Command, app: App) -> Command:
    """The command, through `app`."""
    return darkroom.using(DARKROOM_URL=app.url)


def test_media_are_listed_for_people_and_for_programs(command: Command, client: Client) -> None:
    ids = [client.generate(f"fox {number}")["id"] for number in range(3)]
    listed = command.good("media", "list", "--json").json
    assert [media["id"] for media in listed] == ids[::-1]
    table = command.good("media", "list").out
    assert all(media_id in table for media_id in ids)
    assert "fox 2" in table


def test_a_prompt_cannot_steer_the_terminal(remote: Command, client: Client) -> None:
    client.generate("\x1b[2Jred\x07 [bold]fox[/bold]")
    table = remote.good("media", "list").out
    assert "\x1b" not in table
    assert "\x07" not in table
    assert "[2Jred  [bold]fox[/bold]" in table


def test_the_list_is_narrowed(remote: Command, client: Client) -> None:
    fox = client.generate("a red fox", tags=["animals"])["id"]
    tree = client.generate("a green tree")["id"]
    client.post(f"/media/{tree}/cancel").raise_for_status()

    def ids(*filters: object) -> list[str]:
        return [media["id"] for media in remote.good("media", "list", "--json", *filters).json]

    assert ids("--tag", "animals") == [fox]
    assert ids("--status", "cancelled") == [tree]
    assert ids("-q", "GREEN") == [tree]
    assert ids("--model", "dummy", "--limit", 1) == [tree]
    assert ids("--after", "1h") == [tree, fox]
    assert ids("--before", (datetime.now(UTC) - timedelta(hours=1)).isoformat()) == []


def test_a_list_goes_on_over_many_pages(remote: Command, client: Client) -> None:
    for number in range(103):
        client.generate(f"fox {number}")
    assert len(remote.good("media", "list", "--json").json) == 20
    assert len(remote.good("media", "list", "--json", "--limit", 101).json) == 101
    listed = remote.good("media", "list", "--json", "--all").json
    assert [media["prompt"] for media in listed] == [f"fox {number}" for number in range(102, -1, -1)]


def test_a_time_that_is_none_is_refused(remote: Command) -> None:
    ended = remote("media", "list", "--after", "yesterday")
    assert ended.code == 2
    assert "--after yesterday" in ended.complaint


def test_a_media_is_shown_by_its_id_or_that_of_any_of_its_jobs(command: Command, client: Client) -> None:
    media = client.generate("a fox", tags=["animals"])
    client.post(f"/media/{media['id']}/cancel").raise_for_status()
    client.post(f"/media/{media['id']}/retry").raise_for_status()
    for some_id in (media["id"], media["job_id"]):
        shown = command.good("media", "show", some_id, "--jobs", "--logs", "--json").json
        assert shown["id"] == media["id"]
        assert [job["state"] for job in shown["jobs"]] == ["cancelled", "queued"]
        assert shown["logs"][0]["event"] == "submitted"
    text = command.good("media", "show", media["id"], "--jobs", "--logs").out
    for word in (media["id"], "IN_QUEUE", "a fox", "animals", "cancelled", "submitted", "s ago)"):
        assert word in text


def test_what_is_not_there_is_told(command: Command) -> None:
    nobody = uuid4()
    ended = command("media", "show", nobody)
    assert ended.code == 2
    assert str(nobody) in ended.complaint


def test_tracebacks_are_read_where_the_database_is(darkroom: Command, run_app: RunApp, sqlite_url: str) -> None:
    with run_app(database_url=sqlite_url) as app, Client(base_url=app.url) as client:
        asked = client.generate("a fox", parameters={"error": "crash", "error_rate": 1}, max_tries=1)
        media = client.until(asked["id"], "ERROR")
        here = locally(darkroom, app)
        [saved] = here.good("media", "show", media["id"], "--tracebacks", "--json").json["tracebacks"]
        assert "Traceback (most recent call last)" in saved["traceback"]
        assert saved["job_id"] == media["job_id"]
        assert "Traceback (most recent call last)" in here.good("media", "show", media["id"], "--tracebacks").out
        refused = darkroom("media", "show", media["id"], "--tracebacks", "--server", app.url)
        assert refused.code == 2
        assert "--tracebacks" in refused.complaint


def test_media_are_cancelled_and_retried(command: Command, client: Client) -> None:
    media = client.generate("a fox")["id"]
    assert command.good("media", "cancel", media).out == f"{media} CANCELLED\n"
    assert client.media(media)["status"] == "CANCELLED"
    assert command.good("media", "retry", media).out == f"{media} IN_QUEUE\n"
    assert client.media(media)["status"] == "IN_QUEUE"


def test_one_that_is_refused_does_not_keep_the_others(remote: Command, client: Client) -> None:
    first, second = (client.generate("a fox")["id"] for _ in range(2))
    client.post(f"/media/{first}/cancel").raise_for_status()
    ended = remote("media", "cancel", first, uuid4(), second)
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 2
    assert ended.out == f"{second} CANCELLED\n"


def test_media_are_deleted(command: Command, client: Client) -> None:
    media = [client.generate("a fox")["id"] for _ in range(2)]
    command.good("media", "delete", "--yes", *media)
    assert client.listed() == []


def test_nothing_is_deleted_without_a_word(remote: Command, client: Client) -> None:
    media = client.generate("a fox")["id"]
    ended = remote("media", "delete", media, stdin="y\n")
    assert ended.code == 2
    assert "--yes" in ended.complaint
    assert len(client.listed()) == 1


def test_pictures_of_a_media_are_saved(darkroom: Command, run_app: RunApp, sqlite_url: str) -> None:
    with run_app(database_url=sqlite_url) as app, Client(base_url=app.url) as client:
        media = client.completed("a fox", parameters={"n": 2, "seed": 3})
        failed = client.until(
            client.generate("x", parameters={"error": "rejected", "error_rate": 1})["id"], "ERROR"
        )  # fmt: skip
        for command in (locally(darkroom, app), darkroom.using(DARKROOM_URL=app.url)):
            paths = command.good("media", "save", media["id"], "-o", "saved").out.splitlines()
            sizes = [(darkroom.folder / path).stat().st_size for path in paths]
            assert sizes == [file["bytes"] for file in media["files"]]
        assert darkroom("media", "save", failed["id"], "--server", app.url).code == 2
    assert len(list((darkroom.folder / "saved").iterdir())) == 4


def test_a_server_that_does_not_answer_is_told(darkroom: Command) -> None:
    ended = darkroom("media", "list", "--server", "http://127.0.0.1:9", "--json")
    assert (ended.code, ended.out) == (3, "")
    assert "http://127.0.0.1:9" in ended.complaint


# Models


def test_models_are_listed(command: Command) -> None:
    models = command.good("models", "--json").json["items"]
    assert [model["name"] for model in models[:2]] == ["sketch", "dummy"], "those that can be used come first"
    assert [model["usable"] for model in models] == [True] * 2 + [False] * (len(models) - 2)
    assert [model["name"] for model in models if model["default"]] == ["sketch"]
    table = command.good("models").out
    assert "sketch" in table
    assert "replicate, fal" in table
    assert "REPLICATE_API_TOKEN is not set" in table
    assert "$0.003 a picture" in table
    usable = command.good("models", "--usable").out
    assert "dummy" in usable
    assert "flux" not in usable


def test_a_model_without_its_key_is_shown_and_refused(remote: Command) -> None:
    table = remote.good("models", "flux-schnell").out
    for word in (
        "replicate:black-forest-labs/flux-schnell",
        "FAL_KEY is not set",
        "$0.003 a megapixel",
        "aspect_ratio",
    ):
        assert word in table
    ended = remote("generate", "a fox", "-m", "flux-schnell")
    assert ended.code == 2
    assert "REPLICATE_API_TOKEN is not set" in ended.complaint


def test_a_model_shows_its_parameters(remote: Command) -> None:
    table = remote.good("models", "sketch").out
    for word in ("sketch:sketch", "width", "integer, 16 to 4096", "png | jpeg | webp", "1024"):
        assert word in table
    assert remote.good("models", "sketch", "--json").json["parameters"]["type"] == "object"
    ended = remote("models", "nonsense/../x")
    assert ended.code == 2
    assert ended.complaint


def test_models_need_no_database(darkroom: Command, tmp_path: Path) -> None:
    (darkroom.folder / "darkroom.toml").write_text(
        '[models.own]\ndescription = "of this folder"\nroutes = [{provider = "sketch"}]\n'
    )
    silent = darkroom.using(DARKROOM_DATABASE_URL="postgresql://x@127.0.0.1:9/x", DARKROOM_DATA_DIR=tmp_path / "data")
    assert "of this folder" in silent.good("models").out
