"""What operators copy: the Dockerfile, compose.yaml and the Kubernetes example say nothing that is not so."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from darkroom import settings
from darkroom.cli.app import app
from darkroom.settings import Settings

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"] == "darkroom"}
GRACE_FOR_REQUESTS = 5
_DEFAULT = re.compile(r"\$\{(\w+):-([^}]*)\}")


def instructions(name: str) -> list[str]:
    """The arguments of each such instruction in the Dockerfile, lines joined."""
    joined = DOCKERFILE.replace("\\\n", " ")
    return [line.partition(" ")[2].strip() for line in joined.splitlines() if line.startswith(f"{name} ")]


def image_environment() -> dict[str, str]:
    """The variables of the final image."""
    return dict(word.split("=", 1) for word in instructions("ENV")[-1].split())


def loaded(environment: Mapping[str, str], folder: Path) -> Settings:
    """The settings of a container of the image with these variables besides."""
    return settings.load(image_environment() | dict(environment), folder)


def parse(words: list[str]) -> None:
    """Follow a command line to its command without running it. Raises what wrong words raise."""
    command: Any = typer.main.get_command(app)
    context, words = command.make_context("darkroom", list(words), resilient_parsing=True), list(words)
    while hasattr(command, "commands"):
        name, command, words = command.resolve_command(context, words)
        assert command is not None
        context = command.make_context(name, list(words), parent=context)


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


# Dockerfile


def test_the_image_runs_as_somebody_else_than_root_and_by_number() -> None:
    user, group = instructions("USER")[-1].split(":")
    assert user == group == "10001"
    assert f"--uid {user}" in DOCKERFILE


def test_the_image_listens_where_it_says(tmp_path: Path) -> None:
    known = loaded({"DARKROOM_ALLOW_UNAUTHENTICATED": "true"}, tmp_path)
    assert instructions("EXPOSE") == [str(known.port)]
    assert known.host == "0.0.0.0"


def test_the_image_refuses_to_be_open_to_all_unless_it_is_told(tmp_path: Path) -> None:
    with pytest.raises(settings.SettingsError, match="DARKROOM_ALLOW_UNAUTHENTICATED"):
        loaded({}, tmp_path)


def test_the_final_stage_takes_nothing_but_the_environment() -> None:
    final = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    assert re.findall(r"^COPY (.*)", final, re.MULTILINE) == ["--from=build /opt/darkroom /opt/darkroom"]


def test_what_the_build_copies_is_there_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [word for line in instructions("COPY") if "--from" not in line for word in line.split()[:-1]]
    assert copied
    for name in copied:
        assert (ROOT / name).exists()
        assert f"!{name}" in ignored


def test_the_image_starts_a_command_that_there_is() -> None:
    assert json.loads(instructions("ENTRYPOINT")[-1]) == ["darkroom"]
    parse(json.loads(instructions("CMD")[-1]))


def test_the_health_check_is_a_program() -> None:
    python, option, code = json.loads(instructions("HEALTHCHECK")[-1].partition("CMD ")[2])
    assert (python, option) == ("python", "-c")
    compile(code, "HEALTHCHECK", "exec")
    named = set(re.findall(r"DARKROOM_\w+", code))
    assert named == {"DARKROOM_PORT", "DARKROOM_WORKER_PORT"}


# compose.yaml


def environment(service: Mapping[str, Any]) -> dict[str, str]:
    """A service's variables where there is no .env."""
    return {name: _DEFAULT.sub(r"\2", value) for name, value in service["environment"].items()}


@pytest.mark.parametrize("name", OURS)
def test_compose_names_only_settings_and_commands_that_there_are(name: str, tmp_path: Path) -> None:
    loaded(environment(OURS[name]), tmp_path)
    parse(OURS[name]["command"])


@pytest.mark.parametrize("name", OURS)
def test_compose_waits_longer_than_a_stop_may_take(name: str, tmp_path: Path) -> None:
    known = loaded(environment(OURS[name]), tmp_path)
    assert seconds(OURS[name]["stop_grace_period"]) > known.drain + known.stop_grace + GRACE_FOR_REQUESTS


def test_compose_migrates_once_and_before_all_else(tmp_path: Path) -> None:
    for name, service in OURS.items():
        assert not loaded(environment(service), tmp_path).migrate
        if name != "migrate":
            assert service["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert OURS["migrate"]["restart"] == "no"


def test_compose_waits_for_what_can_tell_that_it_is_well() -> None:
    for service in COMPOSE["services"].values():
        for name, wanted in service.get("depends_on", {}).items():
            if wanted["condition"] == "service_healthy":
                assert COMPOSE["services"][name]["healthcheck"]["test"]


def test_compose_is_reached_from_this_machine_only(tmp_path: Path) -> None:
    published = [port for service in COMPOSE["services"].values() for port in service.get("ports", ())]
    assert all(port.startswith("127.0.0.1:") for port in published)
    port = loaded(environment(OURS["api"]), tmp_path).port
    assert f"127.0.0.1:{port}:{port}" in published


def test_compose_gives_both_ends_the_same_passwords() -> None:
    text = (ROOT / "compose.yaml").read_text()
    used = [name for name, _ in _DEFAULT.findall(text)]
    assert len(set(_DEFAULT.findall(text))) == len(set(used)), "each has one default"
    for name in ("POSTGRES_PASSWORD", "RABBITMQ_PASSWORD", "STORAGE_SECRET"):
        assert used.count(name) == 2


def test_compose_can_start_several_workers() -> None:
    assert "ports" not in OURS["worker"]
    assert "container_name" not in OURS["worker"]


# Kubernetes


def documents() -> Iterator[dict[str, Any]]:
    for path in sorted(KUBERNETES.glob("*.yaml")):
        yield from yaml.safe_load_all(path.read_text())


RESOURCES = {(document["kind"], document.get("metadata", {}).get("name")): document for document in documents()}
PODS = {
    name: document["spec"]["template"]
    for (kind, name), document in RESOURCES.items()
    if kind in ("Deployment", "Job")
}  # fmt: skip


def container(name: str) -> dict[str, Any]:
    (only,) = PODS[name]["spec"]["containers"]
    return only


def settings_of(name: str, folder: Path) -> Settings:
    """What the pod's container is told, by its variables, the secret and darkroom.toml."""
    variables = RESOURCES["Secret", "darkroom"]["stringData"] | {
        one["name"]: one["value"] for one in container(name)["env"]
    }
    assert variables["DARKROOM_CONFIG"] == "/etc/darkroom/darkroom.toml"
    return loaded(variables | {"DARKROOM_CONFIG": str(KUBERNETES / "darkroom.toml")}, folder)


@pytest.mark.parametrize("name", PODS)
def test_pods_name_only_settings_and_commands_that_there_are(name: str, tmp_path: Path) -> None:
    settings_of(name, tmp_path)
    parse(container(name)["args"])


@pytest.mark.parametrize("name", ["darkroom-api", "darkroom-worker"])
def test_pods_get_longer_than_a_stop_may_take(name: str, tmp_path: Path) -> None:
    known = settings_of(name, tmp_path)
    assert PODS[name]["spec"]["terminationGracePeriodSeconds"] > known.drain + known.stop_grace + GRACE_FOR_REQUESTS


@pytest.mark.parametrize(("name", "setting"), [("darkroom-api", "port"), ("darkroom-worker", "worker_port")])
def test_pods_are_probed_where_they_answer(name: str, setting: str, tmp_path: Path) -> None:
    (port,) = container(name)["ports"]
    assert port["containerPort"] == getattr(settings_of(name, tmp_path), setting)
    assert PODS[name]["metadata"]["annotations"]["prometheus.io/port"] == str(port["containerPort"])
    probes = {kind: container(name)[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert {kind: (probe["path"], probe["port"]) for kind, probe in probes.items()} == {
        "startup": ("/healthz", port["name"]),
        "liveness": ("/healthz", port["name"]),
        "readiness": ("/readyz", port["name"]),
    }


@pytest.mark.parametrize("name", PODS)
def test_pods_run_as_the_image_says_and_may_do_no_more(name: str) -> None:
    spec, allowed = PODS[name]["spec"], container(name)["securityContext"]
    assert f"{spec['securityContext']['runAsUser']}:{spec['securityContext']['runAsGroup']}" == instructions("USER")[-1]
    assert spec["enableServiceLinks"] is False, "they look like settings"
    assert allowed["readOnlyRootFilesystem"]
    assert not allowed["allowPrivilegeEscalation"]
    assert image_environment()["DARKROOM_DATA_DIR"] in [mount["mountPath"] for mount in container(name)["volumeMounts"]]


def test_selectors_find_their_pods() -> None:
    for (kind, name), document in RESOURCES.items():
        if kind in ("Deployment", "PodDisruptionBudget"):
            assert document["spec"]["selector"]["matchLabels"] == PODS[name]["metadata"]["labels"]
    assert RESOURCES["Service", "darkroom"]["spec"]["selector"] == PODS["darkroom-api"]["metadata"]["labels"]


def test_only_the_job_migrates(tmp_path: Path) -> None:
    assert not any(settings_of(name, tmp_path).migrate for name in PODS)
    assert container("darkroom-migrate")["args"] == ["db", "upgrade"]


def test_all_files_of_the_example_are_applied() -> None:
    listed = RESOURCES["Kustomization", None]["resources"]
    assert {path.name for path in KUBERNETES.glob("*.yaml")} == {"kustomization.yaml", *listed}


def test_workers_are_scaled_by_what_one_does_at_once(tmp_path: Path) -> None:
    scaled = RESOURCES["ScaledObject", "darkroom-worker"]["spec"]
    known = settings_of("darkroom-worker", tmp_path)
    assert scaled["scaleTargetRef"] == {"name": "darkroom-worker"}
    assert scaled["triggers"][0]["metadata"]["targetQueryValue"] == str(known.lanes["default"].concurrency)
    reference = RESOURCES["TriggerAuthentication", "darkroom-database"]["spec"]["secretTargetRef"][0]
    assert reference["key"] in RESOURCES["Secret", reference["name"]]["stringData"]
