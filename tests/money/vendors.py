"""The backends that are paid: their fakes, how Darkroom is told of them, and the steps at which a worker may end."""

import json
import re
import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from money import steps
from money.steps import AtBackend, Step
from services.backends.base import Fake
from services.backends.bfl import BFLFake
from services.backends.comfyui import ComfyUIFake, workflow
from services.backends.fal import FalFake
from services.backends.openai import OpenAIFake
from services.backends.replicate import ReplicateFake

PROVIDERS_PAGE = Path(__file__).parents[2] / "docs" / "providers.md"
POLL = 0.03
PARAMETERS = {"seed": {}}


@dataclass(frozen=True, slots=True)
class Vendor:
    """A backend.

    account, route: what the settings say of it. steps: where its worker may end. later: where the next one may.
    finds: whether what a lost answer told can be found again; if not, a crash between sending and saving an id ends
    the media. ours: whether we choose the id, and save it before sending. synchronous: whether there is none.
    ref: the backend's id in a reference. goes_on: whether something that was begun is still being made. stops:
    whether it can be told to stop.
    """

    name: str
    fake: Callable[[], Fake]
    account: Callable[[Fake], Mapping[str, Any]]
    route: Callable[[Path], Mapping[str, Any]]
    steps: tuple[Step, ...]
    later: tuple[Step, ...]
    finds: bool = False
    ours: bool = False
    synchronous: bool = False
    ref: Callable[[str], str] = str
    goes_on: Callable[[Any, str], bool] = lambda fake, ref: False
    stops: AtBackend | None = None


def _replicate() -> Vendor:
    at_backend = (*steps.creating(), *steps.looking("poll"), *steps.fetching("output"))
    return Vendor(
        "replicate",
        ReplicateFake,
        lambda fake: {"url": fake.api, "key": fake.key, "options": {"poll": POLL}},
        lambda folder: {"model": "black-forest-labs/flux-schnell", "options": {"parameters": PARAMETERS}},
        (*steps.IN_WORKER, *at_backend),
        (*steps.AGAIN, steps.LOOKING, *steps.fetching("list"), *steps.looking("poll"), *steps.fetching("output")),
        finds=True,
        goes_on=lambda fake, ref: fake.goes_on(ref),
        stops=AtBackend("cancel: unanswered", "cancel", "unanswered"),
    )


def _openai() -> Vendor:
    return Vendor(
        "openai",
        OpenAIFake,
        lambda fake: {"url": f"{fake.url}/v1", "key": fake.key},
        lambda folder: {"model": "gpt-image-1"},
        (*steps.SYNCHRONOUS, *steps.creating()),
        steps.AGAIN,
        synchronous=True,
    )


def _fal() -> Vendor:
    at_backend = (*steps.looking("status"), *steps.fetching("result", "output"))
    return Vendor(
        "fal",
        FalFake,
        lambda fake: {"url": fake.url, "key": fake.key, "options": {"poll": POLL, "catalogue": f"{fake.url}/v1"}},
        lambda folder: {"model": "fal-ai/flux/schnell", "options": {"parameters": PARAMETERS}},
        (*steps.IN_WORKER, *steps.creating(), *at_backend),
        (*steps.AGAIN, *at_backend),
        ref=lambda ref: str(json.loads(ref)["request_id"]),
        goes_on=lambda fake, ref: time.monotonic() < fake.requests[ref].ends,
        stops=AtBackend("cancel: unanswered", "cancel", "unanswered"),
    )


def _bfl() -> Vendor:
    recipe = _shown()
    at_backend = (*steps.looking("poll"), *steps.fetching("output"))
    return Vendor(
        "bfl",
        BFLFake,
        lambda fake: {
            "provider": "recipe",
            "url": f"{fake.url}/v1",
            "key": fake.key,
            "options": {**recipe["accounts"]["bfl"]["options"], "every": POLL, "origins": []},
        },
        lambda folder: {"model": "flux-2-pro", "options": {"parameters": PARAMETERS}},
        (*steps.IN_WORKER, *steps.creating(), *at_backend),
        (*steps.AGAIN, *at_backend),
        ref=lambda ref: json.loads(ref)["ref"].rpartition("=")[2],
    )


def _comfyui() -> Vendor:
    at_backend = (*steps.looking("queue"), *steps.fetching("history", "output"))
    return Vendor(
        "comfyui",
        ComfyUIFake,
        lambda fake: {"url": fake.url, "options": {"poll": POLL}},
        _workflow,
        (*steps.IN_WORKER, *steps.creating(), *at_backend),
        (*steps.AGAIN, *at_backend),
        ours=True,
        goes_on=lambda fake, ref: fake.state(ref) in ("pending", "running"),
        stops=AtBackend("interrupt: unanswered", "interrupt", "unanswered"),
    )


def _workflow(folder: Path) -> Mapping[str, Any]:
    file = folder / "workflow.json"
    file.write_text(json.dumps(workflow()))
    return {"options": {"workflow": str(file), "inputs": {"prompt": "6.text", "seed": "3.seed"}, "output": "9"}}


def _shown() -> dict[str, Any]:
    """The recipe in the documentation."""
    blocks = re.findall(r"^```toml\n(.*?)^```$", PROVIDERS_PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return tomllib.loads(blocks[0])


VENDORS = {vendor.name: vendor for vendor in (_replicate(), _openai(), _fal(), _bfl(), _comfyui())}
