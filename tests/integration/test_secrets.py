"""Keys come from the environment, and are seen nowhere else: a real service, with backends that fail in many ways."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from services.backends.bfl import BFLFake
from services.backends.fal import FalFake
from services.backends.openai import OpenAIFake
from services.backends.replicate import ReplicateFake
from services.command import Command
from services.server import MakeServer, Server, eventually

SECRETS = {
    "FAL_KEY": "fal-1f6e0a27c9d84b35:9d1c5be07a",
    "OPENAI_API_KEY": "sk-proj-4c1a7f92be0d",
    "BFL_API_KEY": "bfl-77b0c6f1-52de-4e09",
    "REPLICATE_API_TOKEN": "r8_3eYt6Kq0pWz1",
}
ENDED = ("COMPLETED", "ERROR")


class Backends:
    """The fakes, which take the secrets and nothing else."""

    def __init__(self, stack: ExitStack) -> None:
        self.fal, self.openai, self.bfl, self.replicate = FalFake(), OpenAIFake(), BFLFake(), ReplicateFake()
        fakes = (self.fal, self.openai, self.bfl, self.replicate)
        for fake, secret in zip(fakes, SECRETS.values(), strict=True):
            fake.key = secret
            stack.enter_context(fake.running())

    @property
    def settings(self) -> dict[str, object]:
        return {
            "accounts__fal__url": self.fal.url,
            "accounts__fal__options": '{"poll": 0.02}',
            "accounts__openai__url": f"{self.openai.url}/v1",
            "accounts__bfl__url": f"{self.bfl.url}/v1",
            "accounts__bfl__options__every": 0.02,
            "accounts__replicate__url": f"{self.replicate.url}/v1",
            "accounts__replicate__options": '{"poll": 0.02}',
            "accounts__replicate__settle": 0.05,
            "retry__base": 0.02,
            "retry__cap": 0.02,
            "poll_interval": 0.05,
            "max_tries": 2,
        }


@pytest.fixture
def backends(monkeypatch: pytest.MonkeyPatch) -> Iterator[Backends]:
    for variable, secret in SECRETS.items():
        monkeypatch.setenv(variable, secret)
    with ExitStack() as stack:
        yield Backends(stack)


def ended(client: httpx2.Client, model: str) -> dict[str, Any]:
    """A media of `model` once it has ended."""
    asked = client.post("/media/generate", json={"prompt": "a fox", "model": model})
    assert asked.status_code == 202, asked.text
    url = f"/media/{asked.json()['id']}"
    eventually(lambda: client.get(url).json()["status"] in ENDED)
    media: dict[str, Any] = client.get(url).json()
    return media


def secrets_in(text: str | bytes) -> list[str]:
    content = text if isinstance(text, bytes) else text.encode()
    return [name for name, secret in SECRETS.items() if secret.encode() in content]


def test_secrets_are_seen_nowhere(backends: Backends, make_server: MakeServer, darkroom: Command) -> None:
    server = make_server(log_level="debug", **backends.settings).start()
    with server.client() as client:
        said = _made_to_fail(client, backends)
        answers = [client.get(path).text for path in ("/models", "/models/flux-2-pro", "/media", "/metrics", "/readyz")]
        ids = [media["id"] for media in client.get("/media").json()["items"]]
        answers += [client.get(f"/media/{media}/{part}").text for media in ids for part in ("jobs", "logs")]
    assert said == {"ERROR", "COMPLETED"}
    assert "***" in "".join(answers), "a backend repeats the key, and it is hidden"
    assert secrets_in("".join(answers)) == []
    assert secrets_in(server.log) == []
    _stop(server)
    kept = {str(path): path.read_bytes() for path in server.folder.rglob("*") if path.is_file()}
    assert [path for path, content in kept.items() if secrets_in(content)] == []
    assert any(path.endswith("darkroom.db") for path in kept)
    _commands_are_silent(darkroom, backends, server)


def _made_to_fail(client: httpx2.Client, backends: Backends) -> set[str]:
    """Media of each backend: well, refused with the key in the words, broken in many ways. How they ended."""
    fakes = {
        "qwen-image": backends.fal,
        "gpt-image-2": backends.openai,
        "flux-2-max": backends.bfl,
        "flux-schnell": backends.replicate,
    }
    said = set()
    for model, fake in fakes.items():
        said.add(ended(client, model)["status"])
        for how in ("cut", "garbage", "cut_body"):
            fake.fail("create", how)
            said.add(ended(client, model)["status"])
        repeats = f'{{"detail": "Incorrect key provided: {fake.key}"}}'.encode()
        fake.fail("create", status=400, body=repeats, times=2)
        said.add(ended(client, model)["status"])
    return said


def _stop(server: Server) -> None:
    assert server.terminate() == 0
    assert secrets_in(server.log) == []


def _commands_are_silent(darkroom: Command, backends: Backends, server: Server) -> None:
    settings = {f"DARKROOM_{name.upper()}": value for name, value in backends.settings.items()}
    here = darkroom.using(**settings, DARKROOM_DATA_DIR=server.folder / "data", DARKROOM_LOG_LEVEL="debug")
    failed = here.good("media", "list", "--status", "ERROR", "--json").json[0]["id"]
    show = ("media", "show", failed, "--logs", "--tracebacks")
    for words in (("settings",), ("settings", "--format", "toml"), ("doctor",), ("models",), show):
        told = here(*words)
        assert secrets_in(told.out + told.err) == [], words


@pytest.mark.parametrize("key", ["sk-bro ken", "sk-bro\nken", "sk-brökén"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_repeated(
    key: str, darkroom: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    told = darkroom("models")
    assert told.code == 2
    assert "accounts" in told.complaint.lower()
    assert "ken" not in told.err.replace("token", "")


# A missing one is named


def declared(folder: Path) -> None:
    (folder / "darkroom.toml").write_text("""
[models.mine]
routes = [{ provider = "replicate", model = "a/b", options = { parameters = { seed = {} } } }]
[models.spare]
routes = [{ provider = "second", model = "a/b", options = { parameters = { seed = {} } } }, { provider = "sketch" }]
[accounts.second]
provider = "replicate"
key_from = "SECOND_TOKEN"
""")


def test_a_missing_key_is_named_at_start(make_server: MakeServer) -> None:
    server = make_server()
    declared(server.folder)
    server.start()
    lines = [line for line in server.log.splitlines() if "key_missing" in line]
    assert len(lines) == 2, "one for each account, none for the starter's models"
    replicate, second = sorted(lines)
    assert all(word in replicate for word in ("REPLICATE_API_TOKEN", "replicate", "mine", "warning"))
    assert all(word in second for word in ("SECOND_TOKEN", "second", "spare"))


def test_doctor_names_a_missing_key(darkroom: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAL_KEY", SECRETS["FAL_KEY"])
    declared(darkroom.folder)
    told = darkroom("doctor", "--json")
    found = {finding["part"]: finding for finding in told.json}
    assert told.code == 1
    assert found["account replicate"]["problem"] == "REPLICATE_API_TOKEN is not set"
    assert "mine" in found["account replicate"]["advice"]
    assert found["account second"]["problem"] == "SECOND_TOKEN is not set"
    assert (found["account openai"]["ok"], found["account openai"]["detail"]) == (True, "OPENAI_API_KEY is not set")
    assert found["account fal"]["detail"] == "has a key"
