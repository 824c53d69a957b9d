"""The settings: where they come from, which wins, and the one line that a wrong one gives."""

import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from pydantic import ValidationError

from darkroom.settings import Lane, Route, Settings, SettingsError, load
from darkroom.settings.models import starter

SECRET = "hunter2-hunter2-hunter2"

Loader = Callable[..., Settings]


@pytest.fixture
def load_from(tmp_path: Path) -> Loader:
    """`load()` in a folder with this `darkroom.toml` and this `.env`; variables go without their prefix."""

    def load_from(toml: str | None = None, dotenv: str | None = None, **environ: str) -> Settings:
        if toml is not None:
            (tmp_path / "darkroom.toml").write_text(toml, encoding="utf-8")
        if dotenv is not None:
            (tmp_path / ".env").write_text(dotenv, encoding="utf-8")
        return load(prefixed(environ), tmp_path)

    return load_from


def prefixed(environ: Mapping[str, str]) -> dict[str, str]:
    return {f"DARKROOM_{name}": value for name, value in environ.items()}


def line_of(load_from: Loader, toml: str | None = None, dotenv: str | None = None, **environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_from(toml, dotenv, **environ)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


# Where they come from


def test_nothing_set_gives_a_service_on_loopback_with_everything_in_one_folder(load_from: Loader, tmp_path: Path):
    settings = load_from()
    assert settings.data_dir == tmp_path / "darkroom-data"
    assert settings.database == f"sqlite:///{tmp_path}/darkroom-data/darkroom.db"
    assert settings.storage == f"file://{tmp_path}/darkroom-data/files"
    assert settings.links_start_with == "http://127.0.0.1:8000"
    assert set(settings.models) == {"sketch", "dummy", *starter().models}
    assert settings.default_model == "sketch"
    assert settings.lanes == {"default": Lane(concurrency=16)}
    assert not settings.allow_unauthenticated
    assert settings.cors_origins == []


def test_the_environment_wins_over_dotenv_which_wins_over_toml_which_wins_over_defaults(load_from: Loader):
    toml = "port = 1\nprocesses = 2\nmax_tries = 3\n"
    dotenv = "DARKROOM_PORT=4\nDARKROOM_PROCESSES=5\n"
    settings = load_from(toml, dotenv, PORT="7")
    assert (settings.port, settings.processes, settings.max_tries, settings.lease) == (7, 5, 3, 30)


def test_sources_complete_one_another_within_a_table(load_from: Loader):
    toml = "[lanes.gpu]\nconcurrency = 1\n[lanes.cpu]\nconcurrency = 2\n"
    settings = load_from(toml, "DARKROOM_RETRY__BASE=3", LANES__GPU__CONCURRENCY="4", RETRY__CAP="60")
    assert {name: lane.concurrency for name, lane in settings.lanes.items()} == {"default": 16, "gpu": 4, "cpu": 2}
    assert (settings.retry.base, settings.retry.cap) == (3, 60)


def test_a_variable_for_a_whole_table_is_refined_by_one_for_a_part(load_from: Loader):
    lanes = '{"gpu": {"concurrency": 1}, "cpu": {"concurrency": 2}}'
    settings = load_from(LANES__GPU__CONCURRENCY="9", LANES=lanes)
    assert (settings.lanes["gpu"].concurrency, settings.lanes["cpu"].concurrency) == (9, 2)


def test_an_empty_variable_counts_as_unset(load_from: Loader):
    settings = load_from("port = 9000", "DARKROOM_HOST=\nDARKROOM_PORT", PORT="", SECRET=" ")
    assert (settings.port, settings.host, settings.secret) == (9000, "127.0.0.1", None)


@pytest.mark.parametrize("text", ["a.example, *.b.example:80", '["a.example", "*.b.example:80"]'])
def test_a_list_of_texts_is_comma_separated_or_json(load_from: Loader, text: str):
    assert load_from(ALLOWED_HOSTS=text).allowed_hosts == ["a.example", "*.b.example:80"]


def test_a_models_defaults_from_variables_keep_their_types(load_from: Loader):
    settings = load_from(
        MODELS__FLUX__ROUTES='[{"provider": "dummy", "model": "x"}]',
        MODELS__FLUX__DEFAULTS__WIDTH="512",
        MODELS__FLUX__DEFAULTS__STYLE="noir",
    )
    assert settings.models["flux"].defaults == {"width": 512, "style": "noir"}
    assert settings.models["flux"].routes == [Route(provider="dummy", model="x")]


def test_the_named_config_file_is_read_instead_of_the_default_one(load_from: Loader, tmp_path: Path):
    (tmp_path / "other.toml").write_text("port = 1234", encoding="utf-8")
    assert load_from("port = 1", CONFIG="other.toml").port == 1234
    assert load_from(dotenv=f"DARKROOM_CONFIG={tmp_path}/other.toml").port == 1234


def test_files_with_a_byte_order_mark_are_read(load_from: Loader):
    settings = load_from("\ufeffport = 1", "\ufeffDARKROOM_PROCESSES=2")
    assert (settings.port, settings.processes) == (1, 2)


def test_vendors_names_in_dotenv_and_names_of_the_command_line_are_left_alone(load_from: Loader):
    assert load_from(dotenv="OPENAI_API_KEY=x\nexport DARKROOM_URL=http://x\n", URL="http://y") == load_from()


def test_dotenv_does_not_look_into_the_environment(load_from: Loader, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DEPLOYED_MODEL", "dummy")
    assert "${DEPLOYED_MODEL}" in line_of(load_from, dotenv="DARKROOM_DEFAULT_MODEL=${DEPLOYED_MODEL}")


def test_without_arguments_the_process_itself_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in os.environ if name.startswith("DARKROOM_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DARKROOM_PORT", "4321")
    (tmp_path / ".env").write_text("DARKROOM_PROCESSES=3", encoding="utf-8")
    assert (load().port, load().processes, load().data_dir) == (4321, 3, tmp_path / "darkroom-data")


def test_kubernetes_service_links_are_ignored(load_from: Loader):
    links = {
        "SERVICE_HOST": "10.0.0.1",
        "SERVICE_PORT": "80",
        "SERVICE_PORT_HTTP": "80",
        "PORT_8000_TCP": "tcp://10.0.0.1:8000",
        "PORT_8000_TCP_ADDR": "10.0.0.1",
        "POSTGRES_SERVICE_HOST": "10.0.0.2",
        "POSTGRES_PORT": "tcp://10.0.0.2:5432",
        "POSTGRES_PORT_5432_TCP_PROTO": "tcp",
    }
    assert load_from(**links) == load_from()


# What they are made into


@pytest.mark.parametrize(
    ("url", "effective"),
    [
        ("sqlite:////var/lib/d.db", "sqlite:////var/lib/d.db"),
        ("postgres://u:p@h:5432/d", "postgresql://u:p@h:5432/d"),
        ("postgresql://u:p%40@h/d", "postgresql://u:p%40@h/d"),
        ("postgresql+asyncpg://h/d", "postgresql://h/d"),
        ("postgresql://h/d?sslmode=require", "postgresql://h/d?ssl=require"),
        ("postgresql:///d?host=/run/pg", "postgresql:///d?host=%2Frun%2Fpg"),
    ],
)
def test_a_database_is_given_its_async_driver(load_from: Loader, url: str, effective: str):
    assert load_from(DATABASE_URL=url).database == effective


@pytest.mark.parametrize("url", ["file:///srv/files", "s3://bucket/a/b", "gs://bucket", "az://container"])
def test_each_kind_of_store_is_taken(load_from: Loader, url: str):
    assert load_from(STORAGE_URL=f"{url}/").storage == url


@pytest.mark.parametrize(
    ("environ", "start"),
    [
        ({"HOST": "::1"}, "http://[::1]:8000"),
        ({"HOST": "localhost", "PORT": "80"}, "http://localhost:80"),
        ({"HOST": "0.0.0.0", "ALLOW_UNAUTHENTICATED": "1"}, "http://127.0.0.1:8000"),
        ({"PUBLIC_URL": "https://x.example/pictures/"}, "https://x.example/pictures"),
    ],
)
def test_links_start_with_the_public_url_or_else_the_listening_address(
    load_from: Loader, environ: dict[str, str], start: str
):
    assert load_from(**environ).links_start_with == start


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost", "LOCALHOST"])
def test_loopback_needs_no_permission(load_from: Loader, host: str):
    assert load_from(HOST=host).host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "darkroom.internal", "128.0.0.1"])
def test_an_address_that_others_reach_is_refused_unless_allowed(load_from: Loader, host: str):
    line = line_of(load_from, HOST=host)
    assert line.startswith(f'DARKROOM_HOST="{host}": refused, because anyone')
    assert "DARKROOM_ALLOW_UNAUTHENTICATED=1" in line
    assert load_from(HOST=host, ALLOW_UNAUTHENTICATED="1").host == host


def test_declared_models_join_the_built_in_ones_and_replace_their_namesake(load_from: Loader):
    toml = '[models.flux]\nroutes = [{provider = "dummy"}]\n[models.sketch]\nroutes = [{provider = "dummy"}]\n'
    models = load_from(toml).models
    assert set(models) == {"sketch", "dummy", "flux", *starter().models}
    assert models["sketch"].routes == [Route(provider="dummy")]


def test_built_in_models_can_be_left_out(load_from: Loader):
    toml = 'default_model = "flux"\n[models.flux]\nroutes = [{provider = "dummy"}]\n'
    assert set(load_from(toml, BUILTIN_MODELS="no", STARTER_MODELS="no").models) == {"flux"}


def test_words_from_a_list_may_be_in_capitals(load_from: Loader):
    assert load_from(LOG_LEVEL="INFO", LOG_FORMAT="JSON").log_level == "info"


def test_paths_count_from_the_working_directory_of_the_load(load_from: Loader, tmp_path: Path):
    settings = load_from('data_dir = "d"\n[providers.dummy]\npicture = "../p.png"')
    assert settings.data_dir == tmp_path / "d"
    assert settings.providers.dummy.picture == tmp_path / "../p.png"


def test_a_folder_with_a_space_is_a_valid_storage_address(load_from: Loader, tmp_path: Path):
    assert load_from(DATA_DIR="my data").storage == f"file://{tmp_path}/my%20data/files"


def test_settings_are_frozen(load_from: Loader):
    with pytest.raises(ValidationError):
        load_from().retry.base = 2  # type: ignore[misc]


# What is wrong

ROUTES = "a list of 1 or more items, each item a table of provider, model, weight, price, options"
UNKNOWN = "there is no such setting; did you mean"
ROUTE = 'routes = [{provider = "dummy"}]\n'


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        ({"PORT": "99999"}, 'DARKROOM_PORT="99999": must be a whole number from 0 to 65535'),
        ({"PORT": "a\nb"}, r'DARKROOM_PORT="a\nb": must be a whole number from 0 to 65535'),
        ({"LEASE": "nan"}, 'DARKROOM_LEASE="nan": must be a number from 1 to 31536000'),
        ({"LOG_LEVEL": "loud"}, 'DARKROOM_LOG_LEVEL="loud": must be one of debug, info, warning, error'),
        ({"ALLOW_UNAUTHENTICATED": "2"}, 'DARKROOM_ALLOW_UNAUTHENTICATED="2": must be true or false'),
        ({"PROT": "1"}, f"DARKROOM_PROT: {UNKNOWN} DARKROOM_PORT?"),
        ({"port__x": "1"}, f"DARKROOM_port__x: {UNKNOWN} DARKROOM_PORT?"),
        (
            {"THUMBNAILS": "0"},
            f"DARKROOM_THUMBNAILS: {UNKNOWN} DARKROOM_OUTPUT__THUMBNAILS?",
        ),
        ({"XYZZY": "1"}, "DARKROOM_XYZZY: there is no such setting; `darkroom settings` lists those there are"),
        (
            {"LANES__GPU__CONCURENCY": "1"},
            f"DARKROOM_LANES__GPU__CONCURENCY: {UNKNOWN} DARKROOM_LANES__GPU__CONCURRENCY?",
        ),
        (
            {"LANES": '{"gpu": {"concurency": 1}}'},
            f"DARKROOM_LANES, gpu.concurency: {UNKNOWN} DARKROOM_LANES, gpu.concurrency?",
        ),
        ({"LANES": "{"}, "DARKROOM_LANES: must be a table, written as JSON"),
        ({"ALLOWED_HOSTS": "[x"}, "DARKROOM_ALLOWED_HOSTS: must be a list, each item text, written as JSON"),
        (
            {"ALLOWED_HOSTS__0": "x"},
            f"DARKROOM_ALLOWED_HOSTS__0: {UNKNOWN} DARKROOM_ALLOWED_HOSTS?",
        ),
        (
            {"LANES__GPU__CONCURRENCY": "0"},
            'DARKROOM_LANES__GPU__CONCURRENCY="0": must be a whole number from 1 to 10000',
        ),
        (
            {"MODELS__FLUX__LANE": "gpu"},
            f"DARKROOM_MODELS__FLUX__ROUTES: is missing; it must be {ROUTES}",
        ),
        (
            {"MODELS__FLUX__ROUTES": '[{"provider": ""}]'},
            'DARKROOM_MODELS__FLUX__ROUTES, [0].provider = "": must be text of 1 to 300 characters',
        ),
        (
            {"DEFAULT_MODEL": "flux", "STARTER_MODELS": "no"},
            'DARKROOM_DEFAULT_MODEL="flux": must be one of the models (dummy, sketch)',
        ),
        (
            {"BUILTIN_MODELS": "no", "STARTER_MODELS": "no"},
            'DARKROOM_DEFAULT_MODEL, by default "sketch": must be one of the models (none is declared)',
        ),
        ({"SECRET": "short"}, "DARKROOM_SECRET: must be secret text of 16 or more characters"),
        ({"CONFIG": "nowhere.toml"}, "DARKROOM_CONFIG=nowhere.toml: there is no such file"),
        (
            {"DATA_DIR": "~no.such.user/x"},
            'DARKROOM_DATA_DIR="~no.such.user/x": starts with ~, but there is no such user\'s home',
        ),
    ],
)
def test_a_wrong_variable_gives_one_line_that_names_it(load_from: Loader, environ: dict[str, str], line: str):
    assert line_of(load_from, **environ) == line


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        ("port = 99999", "port = 99999 in darkroom.toml: must be a whole number from 0 to 65535"),
        ("prot = 1", f"prot in darkroom.toml: {UNKNOWN} port?"),
        ("thumbnails = true", f"thumbnails in darkroom.toml: {UNKNOWN} output.thumbnails?"),
        ('host = "0.0.0.0"', 'host = "0.0.0.0" in darkroom.toml: refused, because anyone'),
        ('[retry]\ncap = "long"', 'retry.cap = "long" in darkroom.toml: must be a number from 0 to 31536000'),
        ("output = 3", "output in darkroom.toml: must be a table of thumbnails, metadata, max_pixels, max_bytes"),
        ('allowed_hosts = "x"', "allowed_hosts in darkroom.toml: must be a list, each item text"),
        ("[lanes.gpu]\nconcurrency = 0", "lanes.gpu.concurrency = 0 in darkroom.toml: must be a whole number from 1"),
        ("[lanes.gpu]\nconcurency = 3", f"lanes.gpu.concurency in darkroom.toml: {UNKNOWN} lanes.gpu.concurrency?"),
        ("[lanes.'a b']\n", "lanes.\"a b\" in darkroom.toml: a lane's name is"),
        (f"[models.Flux]\n{ROUTE}", "models.Flux in darkroom.toml: a model's name is"),
        ('[models."flux.1"]\nroutes = []', 'models."flux.1".routes in darkroom.toml: must be a list of 1 or more'),
        ("[models.flux]\nroute = []", f"models.flux.route in darkroom.toml: {UNKNOWN} models.flux.routes?"),
        ('[models.flux]\nroutes = [{model = "x"}]', "models.flux.routes[0].provider in darkroom.toml: is missing"),
        (f'[models.flux]\nlane = "x"\n{ROUTE}', "models.flux.lane in darkroom.toml: must be one of the lanes (default"),
        ("port =", "darkroom.toml: is not TOML: "),
    ],
)  # fmt: skip
def test_a_wrong_toml_gives_one_line_that_names_key_and_file(load_from: Loader, toml: str, line: str):
    assert line_of(load_from, toml).startswith(line)


@pytest.mark.parametrize(
    ("dotenv", "line"),
    [
        ("DARKROOM_PORT=x", 'DARKROOM_PORT="x" in .env: must be a whole number from 0 to 65535'),
        ("A=1\nDARKROOM_PROT=1", f"DARKROOM_PROT in .env: {UNKNOWN} DARKROOM_PORT?"),
        ("A=1\nnot an assignment\n", "line 2 of .env: must be NAME=value"),
        ("DARKROOM_CONFIG=nowhere.toml", "DARKROOM_CONFIG=nowhere.toml: there is no such file"),
    ],
)
def test_a_wrong_dotenv_gives_one_line_that_names_variable_and_file(load_from: Loader, dotenv: str, line: str):
    assert line_of(load_from, dotenv=dotenv) == line


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("DATABASE_URL", "mysql://h/d", "sqlite:///…, postgresql://… or postgres://…"),
        ("DATABASE_URL", "sqlite:///:memory:", "must name a file"),
        ("DATABASE_URL", "sqlite:///", "must name a file"),
        ("STORAGE_URL", "ftp://h/d", "file:///…, s3://bucket/…"),
        ("STORAGE_URL", "file://relative", "must name a folder from the root"),
        ("STORAGE_URL", "file:///", "must name a folder from the root"),
        ("STORAGE_URL", "s3://", "must name a bucket"),
        ("STORAGE_URL", "az://container?sig=x", "must have no '?'"),
        ("STORAGE_URL", "s3://key:secret@bucket", "storage_options"),
        ("PUBLIC_URL", "pictures.example.com", "https://pictures.example.com"),
        ("PUBLIC_URL", "https://x.example:99999", "https://pictures.example.com"),
        ("PUBLIC_URL", "https://x.example/?a=b", "without a password or a query"),
        ("HOST", "http://localhost", "such as 127.0.0.1"),
        ("HOST", "127.0.0.1:8000", "without a port"),
        ("ALLOWED_HOSTS", "https://x.example", "without http://"),
        ("CORS_ORIGINS", "https://x.example/path", "https://app.example.com"),
        ("CORS_ORIGINS", "x.example", "https://app.example.com"),
    ],
)
def test_a_wrong_address_is_told_what_would_be_right(load_from: Loader, name: str, value: str, right: str):
    line = line_of(load_from, **{name: value})
    assert line.startswith(f"DARKROOM_{name}")
    assert right in line


def test_origins_are_taken_as_browsers_send_them(load_from: Loader):
    settings = load_from(CORS_ORIGINS="https://App.example.com/,http://localhost:3000")
    assert settings.cors_origins == ["https://app.example.com", "http://localhost:3000"]
    assert load_from(CORS_ORIGINS="*").cors_origins == ["*"]


def test_a_port_set_by_kubernetes_is_explained(load_from: Loader):
    line = line_of(load_from, PORT="tcp://10.0.0.1:8000")
    assert line.startswith("DARKROOM_PORT: was set by Kubernetes")
    assert "enableServiceLinks: false" in line


def test_the_error_is_told_of_the_source_that_wins(load_from: Loader):
    assert line_of(load_from, "port = 1", "DARKROOM_PORT=2", PORT="x").startswith('DARKROOM_PORT="x": ')
    assert line_of(load_from, 'port = "y"', "", LEASE="5").startswith('port = "y" in darkroom.toml')


def test_a_config_file_elsewhere_is_named_in_full(load_from: Loader, tmp_path_factory: pytest.TempPathFactory):
    other = tmp_path_factory.mktemp("etc") / "darkroom.toml"
    other.write_text("port = -1", encoding="utf-8")
    assert line_of(load_from, CONFIG=str(other)).startswith(f"port = -1 in {other}: ")


@pytest.mark.parametrize("name", [".env", "darkroom.toml"])
def test_a_file_that_is_not_utf8_gives_one_line(load_from: Loader, tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"# \xff\xfe\n")
    assert line_of(load_from) == f"{name}: must be text in UTF-8"


def test_a_config_file_that_may_not_be_read_gives_one_line(load_from: Loader, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    assert line_of(load_from, "port = 1") == "darkroom.toml: cannot be read: Permission denied"


# Secrets


def test_secrets_are_not_shown_by_the_settings(load_from: Loader):
    settings = load_from(
        SECRET=SECRET,
        DATABASE_URL=f"postgresql://u:{SECRET}@h/d",
        STORAGE_OPTIONS__ACCESS_KEY_ID=SECRET,
        STORAGE_OPTIONS__SECRET_ACCESS_KEY=SECRET,
    )
    assert SECRET not in str(settings) + repr(settings)
    assert settings.secret is not None
    assert settings.secret.get_secret_value() == SECRET
    assert SECRET in settings.database


@pytest.mark.parametrize(
    "environ",
    [
        {"DATABASE_URL": f"mysql://u:{SECRET}@h/d"},
        {"STORAGE_URL": f"s3://key:{SECRET}@bucket"},
        {"PUBLIC_URL": f"https://u:{SECRET}@x.example"},
        {"PUBLIC_URL": f"https://x.example?token={SECRET}"},
        {"STORAGE_OPTIONS": SECRET},
        {"STORAGE_OPTIONS": f'["{SECRET}"]'},
        {"STORAGE_OPTIONS": f'{{"secret_access_keys": "{SECRET}"}}'},
        {"STORAGE_OPTIONS__SECRET_ACCESS_KEYS": SECRET},
        {"STORAGE_OPTIONS__ENDPOINT": f"u:{SECRET}@x.example"},
        {"STORAGE_OPTIONS__ACCESS_KEY_ID": SECRET * 20},
        {"SECRETS": SECRET},
    ],
)
def test_secrets_are_not_shown_by_errors(load_from: Loader, environ: dict[str, str]):
    with pytest.raises(SettingsError) as caught:
        load_from(**environ)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "toml", [f'storage_options = "{SECRET}"', f'[storage_options]\nsecret_access_key = ["{SECRET}"]']
)
def test_secrets_are_not_shown_by_errors_of_the_file(load_from: Loader, toml: str):
    assert SECRET not in line_of(load_from, toml)


def test_loading_imports_neither_the_web_nor_the_database(tmp_path: Path):
    heavy = "{'fastapi', 'sqlalchemy', 'PIL', 'numpy', 'pydantic_settings', 'dotenv'}"
    program = f"import sys, darkroom.settings as s; s.load({{}}); print(*{heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# Keys


def test_keys_are_found_under_their_vendors_names_and_those_that_an_account_names(load_from: Loader, tmp_path: Path):
    (tmp_path / ".env").write_text("FAL_KEY=from-dotenv\nEU_KEY=eu\nREPLICATE_API_TOKEN=weaker\n")
    toml = '[accounts.eu]\nprovider = "openai"\nkey_from = "EU_KEY"\n[accounts.openai]\nconcurrency = 2\n'
    (tmp_path / "darkroom.toml").write_text(toml)
    environ = {"REPLICATE_API_TOKEN": "r8", "OPENAI_API_KEY": "sk", "DARKROOM_ACCOUNTS__OPENAI__KEY": "ours"}
    accounts = load(environ, tmp_path).accounts
    found = {name: account.key.get_secret_value() for name, account in accounts.items() if account.key}
    assert found == {"replicate": "r8", "openai": "ours", "fal": "from-dotenv", "eu": "eu"}
    assert accounts["openai"].concurrency == 2


def test_a_key_is_never_shown(tmp_path: Path):
    settings = load({"REPLICATE_API_TOKEN": "r8_very_secret"}, tmp_path)
    assert "r8_very_secret" not in f"{settings!r} {settings} {settings.model_dump_json()}"
