"""ComfyUI: the contract against a fake of its server, and what becomes of a run when things go wrong."""

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from PIL import Image
from provider_suite import ProviderContract, accepted, collect, decode, eventually
from provider_suite import pictures as pictures_of

from darkroom.errors import (
    AccountRefused,
    Interrupted,
    InvalidRequest,
    OutputExpired,
    Permanent,
    ProviderError,
    Throttled,
    Transient,
)
from darkroom.media.model import Request
from darkroom.providers import registry
from darkroom.providers.base import Accepted, Event, Finished, Preview, Produced, Progress, Provider
from services.backends.base import Fault, data_uri, picture
from services.backends.comfyui import ComfyUIFake, workflow
from services.routed import Routed

MODEL = "lighthouses"
INPUTS = {
    "prompt": "6.text",
    "negative_prompt": "7.text",
    "seed": "3.seed",
    "steps": "3.steps",
    "guidance": "3.cfg",
    "width": "5.width",
    "height": "5.height",
    "n": "5.batch_size",
}


@pytest.fixture(scope="module")
def shared() -> Iterator[ComfyUIFake]:
    with ComfyUIFake().running() as fake:
        yield fake


@pytest.fixture
def comfy(shared: ComfyUIFake) -> ComfyUIFake:
    shared.reset()
    return shared


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("darkroom.providers.http.FIRST_REST", 0.01)


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    return options_of(tmp_path, workflow())


@pytest.fixture
async def provider(comfy: ComfyUIFake) -> AsyncIterator[Provider]:
    made = provider_at(comfy)
    yield made
    await made.aclose()


@pytest.fixture
async def patient(comfy: ComfyUIFake) -> AsyncIterator[Provider]:
    """It looks at a run when the websocket says that it is time, and hardly before."""
    made = provider_at(comfy, poll=30)
    yield made
    await made.aclose()


def provider_at(fake: ComfyUIFake, **options: Any) -> Provider:
    made: Provider = registry.load("comfyui")(**{"url": fake.url, "poll": 0.02, "timeout": 5.0, **options})
    return made


def options_of(folder: Path, nodes: Any, **options: Any) -> dict[str, Any]:
    path = folder / "workflow.json"
    path.write_text(nodes if isinstance(nodes, str) else json.dumps(nodes))
    return {"workflow": str(path), "inputs": INPUTS, **options}


def request(options: Any, extra: Any = (), **parameters: Any) -> Request:
    return Request(uuid4(), uuid4(), "a lighthouse", MODEL, {"steps": 4, **parameters}, options, dict(extra))


def inputs_of(fake: ComfyUIFake, node: str) -> dict[str, Any]:
    given: dict[str, Any] = fake.created[-1].body["prompt"][node]["inputs"]
    return given


class TestComfyUI(ProviderContract):
    """A server behind a proxy that asks for a key."""

    model = MODEL
    parameters = {"steps": 4, "width": 64, "height": 48}
    slow_parameters = {"steps": 40}

    @pytest.fixture(autouse=True)
    def _at(self, comfy: ComfyUIFake, options: dict[str, Any]) -> None:
        self.fake, self.options = comfy, options
        comfy.guarded, comfy.step_seconds = True, 0.01

    def make(self) -> Provider:
        return Routed(provider_at(self.fake, key=self.fake.key), self.options)


class TestOldComfyUI(TestComfyUI):
    """It chooses ids itself, and sends previews that do not say whose they are."""

    @pytest.fixture(autouse=True)
    def _old(self, _at: None) -> None:
        self.fake.old = True


class TestComfyUIWithoutWebsocket(TestComfyUI):
    @pytest.fixture(autouse=True)
    def _mute(self, _at: None) -> None:
        self.fake.websocket = "refused"


pytestmark = pytest.mark.anyio


# What a workflow takes


async def test_parameters_have_the_files_own_values_for_defaults(provider: Provider, options: Any) -> None:
    properties = (provider.schema(MODEL, options) or {})["properties"]
    found = {name: rule.get("default") for name, rule in properties.items()}
    assert found == {
        "negative_prompt": "text, watermark", "seed": None, "steps": 20, "guidance": 8.0, "width": 512, "height": 512,
        "n": 1,
    }  # fmt: skip


async def test_a_value_of_the_file_that_breaks_the_rule_is_no_default(provider: Provider, tmp_path: Path) -> None:
    nodes = workflow()
    nodes["3"]["inputs"] |= {"steps": 9000, "cfg": ["4", 0]}
    properties = (provider.schema(MODEL, options_of(tmp_path, nodes)) or {})["properties"]
    assert "default" not in properties["steps"]
    assert "default" not in properties["guidance"]


async def test_parameters_can_be_laid_over_and_added(provider: Provider, tmp_path: Path) -> None:
    sampler = {"as": "3.sampler_name", "enum": ["euler", "ddim"], "description": "The sampler."}
    stated = {"steps": {"maximum": 30, "default": 12}, "n": {"maximum": 2}, "sampler": sampler}
    properties = (provider.schema(MODEL, options_of(tmp_path, workflow(), parameters=stated)) or {})["properties"]
    assert (properties["steps"]["maximum"], properties["steps"]["default"]) == (30, 12)
    assert properties["n"]["maximum"] == 2
    assert (properties["sampler"]["default"], properties["sampler"]["enum"]) == ("euler", ["euler", "ddim"])


@pytest.mark.parametrize(
    ("wrong", "field", "words"),
    [
        ({"workflow": None}, "options.workflow", "must name"),
        ({"workflow": "no/such/file.json"}, "options.workflow", "cannot be read"),
        ({"inputs": "6.text"}, "options.inputs", "must be a table"),
        ({"inputs": {"prompt": 6}}, "options.inputs.prompt", "must be as"),
        ({"inputs": {"steps": "99.steps"}}, "options.inputs.steps", "no node '99'"),
        ({"inputs": {"steps": "3.stepz"}}, "options.inputs.steps", "no input 'stepz'"),
        ({"inputs": {"seed": ["3.seed", "4.seed"]}}, "options.inputs.seed", "node 4 of the workflow has no input"),
        ({"inputs": {"sampler": "3.sampler_name"}}, "options.parameters.sampler", "needs a description"),
        ({"parameters": {"strength": {"as": "3.strength"}}}, "options.parameters.strength", "no input 'strength'"),
        ({"output": "99"}, "options.output", "no node '99'"),
        ({"output": 9}, "options.output", "must be as"),
    ],
)
async def test_options_that_are_wrong_are_named(
    provider: Provider, options: Any, wrong: Any, field: str, words: str
) -> None:
    with pytest.raises(InvalidRequest, match=words) as raised:
        provider.schema(MODEL, {**options, **wrong})
    assert raised.value.field == field


@pytest.mark.parametrize("content", ["{", "[]", '{"nodes": [], "links": []}', "{}"])
async def test_a_file_that_is_no_workflow_is_named(provider: Provider, tmp_path: Path, content: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        provider.schema(MODEL, options_of(tmp_path, content))
    assert raised.value.field == "options.workflow"


async def test_a_workflow_that_went_bad_cannot_be_run(comfy: ComfyUIFake, provider: Provider, options: Any) -> None:
    with pytest.raises(Permanent, match=r"options\.workflow"):
        await collect(provider, request({**options, "workflow": "no/such/file.json"}))
    assert not comfy.calls


def test_an_url_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="http"):
        registry.load("comfyui")(url="127.0.0.1:8188")


# What is asked for


async def test_parameters_go_where_the_inputs_say(comfy: ComfyUIFake, provider: Provider, options: Any) -> None:
    options["inputs"] = {**INPUTS, "seed": ["3.seed", "9.filename_prefix"]}
    made = await pictures_of(
        provider, request(options, negative_prompt="fog", seed=7, guidance=3.5, width=40, height=24, n=2)
    )
    assert [Image.open(io.BytesIO(content)).size for content in made.values()] == [(40, 24)] * 2
    assert inputs_of(comfy, "6")["text"] == "a lighthouse"
    assert inputs_of(comfy, "7")["text"] == "fog"
    assert inputs_of(comfy, "5") == {"width": 40, "height": 24, "batch_size": 2}
    sampler = inputs_of(comfy, "3")
    assert (sampler["seed"], sampler["steps"], sampler["cfg"], sampler["sampler_name"]) == (7, 4, 3.5, "euler")
    assert inputs_of(comfy, "9")["filename_prefix"] == 7


async def test_a_media_has_a_seed_of_its_own(comfy: ComfyUIFake, provider: Provider, options: Any) -> None:
    asked = request(options)
    seeds = {event.seed for event in await collect(provider, asked) if isinstance(event, Produced)}
    assert seeds == {asked.media_id.int % 2**31} == {inputs_of(comfy, "3")["seed"]}


async def test_what_is_passed_through_sets_other_inputs_only(
    comfy: ComfyUIFake, provider: Provider, options: Any
) -> None:
    await collect(provider, request(options, extra={"3.sampler_name": "ddim", "3.steps": 400}))
    sampler = inputs_of(comfy, "3")
    assert (sampler["sampler_name"], sampler["steps"]) == ("ddim", 4)


async def test_an_input_that_is_not_there_cannot_be_passed_through(
    comfy: ComfyUIFake, provider: Provider, options: Any
) -> None:
    with pytest.raises(Permanent, match="no input 'sampler'"):
        await collect(provider, request(options, extra={"3.sampler": "ddim"}))
    assert not comfy.calls


async def test_pictures_are_sent_once_and_named(comfy: ComfyUIFake, provider: Provider, tmp_path: Path) -> None:
    inputs = {"prompt": "6.text", "image": "10.image", "mask": "11.image"}
    options = options_of(tmp_path, workflow(image=True), inputs=inputs)
    first, second = picture(seed=1), picture(seed=2)
    for _ in range(2):
        asked = request(options, image=data_uri(first), mask=data_uri(second))
        assert len(await pictures_of(provider, asked)) == 1
    sent = {key: content for key, content in comfy.files.items() if key[1] == "darkroom"}
    assert sorted(sent.values()) == sorted([first, second])
    _, folder, name = next(key for key, content in sent.items() if content == first)
    assert inputs_of(comfy, "10")["image"] == f"{folder}/{name}"
    assert inputs_of(comfy, "11")["image"] != f"{folder}/{name}"


async def test_without_a_picture_the_files_own_is_used(comfy: ComfyUIFake, provider: Provider, tmp_path: Path) -> None:
    options = options_of(tmp_path, workflow(image=True), inputs={"prompt": "6.text", "image": "10.image"})
    await collect(provider, request(options))
    assert inputs_of(comfy, "10")["image"] == "example.png"


# What comes back


async def test_progress_and_previews_are_told(patient: Provider, options: Any) -> None:
    events = await collect(patient, request(options))
    assert [event for event in events if isinstance(event, Progress)] == [Progress(step, 4) for step in range(1, 5)]
    previews = [event.image for event in events if isinstance(event, Preview)]
    assert len(previews) == 4
    for image in previews:
        decode(image)


async def test_nothing_is_told_of_another_run(comfy: ComfyUIFake, patient: Provider, options: Any) -> None:
    """A script's run has no client: what the server says of it goes to everybody."""
    comfy.old, comfy.hangs = True, True
    await reached(comfy)
    theirs = comfy.submit()
    events: list[Event] = []
    call = asyncio.create_task(into(events, patient, request(options, steps=2)))
    await eventually(lambda: bool(comfy.waiting), 5, "our run is not submitted")
    comfy.hangs = False
    await call
    assert comfy.state(theirs) == "success"
    assert [event for event in events if isinstance(event, Progress)] == [Progress(1, 2), Progress(2, 2)]
    assert sum(isinstance(event, Preview) for event in events) == 2


async def test_saved_pictures_count_rather_than_previews(comfy: ComfyUIFake, provider: Provider, options: Any) -> None:
    for output, kind in ((None, "output"), ("9", "output"), (["12"], "temp")):
        assert len(await pictures_of(provider, request({**options, "output": output}, n=2))) == 2
        assert all(f"type={kind}" in call.path for call in comfy.called("output")[-2:])


async def test_previews_count_where_nothing_is_saved(provider: Provider, tmp_path: Path) -> None:
    assert len(await pictures_of(provider, request(options_of(tmp_path, workflow(preview_only=True)), n=2))) == 2


async def test_a_workflow_that_makes_too_few_pictures(provider: Provider, options: Any) -> None:
    with pytest.raises(Permanent, match="made 0 of 1"):
        await collect(provider, request({**options, "output": "8"}))


async def test_the_time_of_the_gpu_is_told(comfy: ComfyUIFake, provider: Provider, options: Any) -> None:
    comfy.seconds = 0.1
    last = (await collect(provider, request(options)))[-1]
    assert isinstance(last, Finished)
    assert last.seconds == pytest.approx(0.1, abs=0.09)


async def test_pictures_that_are_gone(comfy: ComfyUIFake, provider: Provider, options: Any) -> None:
    asked = request(options)
    ref, _ = await made(provider, asked)
    comfy.files.clear()
    with pytest.raises(OutputExpired):
        await collect(provider, asked, resume=ref)
    assert len(comfy.created) == 1


# How a run fails


async def test_a_workflow_that_the_server_does_not_take(
    comfy: ComfyUIFake, provider: Provider, options: Any, tmp_path: Path
) -> None:
    nodes = workflow()
    nodes["4"]["inputs"]["ckpt_name"] = "missing.safetensors"
    with pytest.raises(Permanent, match=r"CheckpointLoaderSimple \(node 4\): Value not in list: ckpt_name: 'missing"):
        await collect(provider, request(options_of(tmp_path, nodes)))
    nodes["4"]["class_type"] = "NodeOfSomeone"
    with pytest.raises(Permanent, match="'CheckpointLoaderSimple' not found"):
        await collect(provider, request(options_of(tmp_path, nodes)))
    assert not comfy.created


async def test_a_run_that_fails_may_be_tried_again(comfy: ComfyUIFake, provider: Provider, options: Any) -> None:
    comfy.failure = "Allocation on device 0 would exceed allowed memory.\n\nTIPS: use a smaller batch"
    with pytest.raises(Transient, match=r"^KSampler \(node 3\) failed: Allocation on device 0 [a-z ]+\.$") as raised:
        await collect(provider, request(options))
    assert not isinstance(raised.value, Interrupted)
    comfy.failure = None
    assert await pictures_of(provider, request(options))


async def test_a_run_that_someone_interrupts_there(comfy: ComfyUIFake, provider: Provider, options: Any) -> None:
    comfy.hangs = True
    call = asyncio.create_task(collect(provider, request(options)))
    await eventually(lambda: bool(comfy.created), 5, "the run does not begin")
    await provider.cancel(comfy.created[0].id)
    with pytest.raises(Permanent, match="interrupted"):
        await call


async def test_a_run_that_someone_removes_there_is_interrupted(
    comfy: ComfyUIFake, provider: Provider, options: Any
) -> None:
    comfy.hangs = True
    await reached(comfy)
    comfy.submit()
    call = asyncio.create_task(collect(provider, request(options)))
    await eventually(lambda: bool(comfy.waiting), 5, "our run is not submitted")
    comfy.remove(comfy.waiting[0])
    with pytest.raises(Interrupted, match="does not know the run any more"):
        await call


# What the calls come to


def named(value: Any) -> str | None:
    """The id of a fault in a list of tests."""
    return f"{value.on}-{value.how}-{value.status}-{value.handled}" if isinstance(value, Fault) else None


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("create", status=500), Transient),
        (Fault("create", status=503, headers={"retry-after": "7"}), Transient),
        (Fault("create", status=429, headers={"retry-after": "7"}), Throttled),
        (Fault("create", status=401), AccountRefused),
        (Fault("create", status=404), Permanent),
        (Fault("create", "cut"), Interrupted),
        (Fault("create", "garbage"), Interrupted),
        (Fault("create", status=504), Interrupted),
        (Fault("queue", status=500, times=4, skip=0), Interrupted),
        (Fault("queue", "garbage", times=4), Interrupted),
        (Fault("queue", status=200, body=b"{}"), Interrupted),
        (Fault("history", status=200, body=b"[1]"), Interrupted),
        (Fault("output", status=500, times=4), Interrupted),
        (Fault("output", status=429, times=1), Interrupted),
        (Fault("output", status=404), OutputExpired),
    ],
    ids=named,
)
async def test_what_a_call_that_goes_wrong_means(
    comfy: ComfyUIFake, provider: Provider, options: Any, fault: Fault, error: type[ProviderError]
) -> None:
    comfy.faults.append(fault)
    with pytest.raises(ProviderError) as raised:
        await collect(provider, request(options))
    assert type(raised.value) is error
    assert raised.value.retry_after == (7 if "retry-after" in fault.headers else None)
    assert len(comfy.created) == (0 if fault.on == "create" else 1)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("create", "cut", handled=True),
        Fault("create", "cut_body"),
        Fault("create", "garbage", handled=True),
        Fault("create", status=504, handled=True),
        Fault("queue", "cut", times=2),
        Fault("queue", status=429, times=2),
        Fault("history", "garbage"),
        Fault("history", "cut_body"),
        Fault("output", "cut_body", times=2),
        Fault("output", status=503),
    ],
    ids=named,
)
@pytest.mark.parametrize("old", [False, True], ids=["", "old"])
async def test_a_call_that_goes_wrong_does_not_matter(
    comfy: ComfyUIFake, provider: Provider, options: Any, fault: Fault, *, old: bool
) -> None:
    comfy.old = old
    comfy.fail(fault.on, fault.how, status=fault.status, handled=fault.handled, times=fault.times)
    made = await pictures_of(provider, request(options, n=2))
    assert len(made) == 2
    assert len(comfy.created) == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("upload", status=500, times=4), Transient),
        (Fault("upload", "cut", times=4), Transient),
        (Fault("upload", status=200, body=b"{}"), Transient),
        (Fault("upload", status=413), Permanent),
    ],
    ids=named,
)
async def test_a_picture_that_cannot_be_sent_leaves_nothing(
    comfy: ComfyUIFake, provider: Provider, tmp_path: Path, fault: Fault, error: type[ProviderError]
) -> None:
    options = options_of(tmp_path, workflow(image=True), inputs={"prompt": "6.text", "image": "10.image"})
    comfy.faults.append(fault)
    with pytest.raises(ProviderError) as raised:
        await collect(provider, request(options, image=data_uri(picture())))
    assert type(raised.value) is error
    assert not comfy.called("create")


async def test_a_wrong_key_is_refused(comfy: ComfyUIFake, options: Any) -> None:
    comfy.guarded = True
    provider = provider_at(comfy, key="wrong")
    with pytest.raises(AccountRefused) as raised:
        await collect(provider, request(options))
    assert "wrong" not in raised.value.message
    await provider.aclose()


async def test_a_server_that_is_not_there(options: Any) -> None:
    down = ComfyUIFake()  # it listens, and nobody answers
    down._socket.close()
    provider, asked = provider_at(down), request(options)
    with pytest.raises(Transient) as raised:
        await collect(provider, asked)
    assert type(raised.value) is Transient
    with pytest.raises(Interrupted):
        await collect(provider, asked, resume=str(uuid4()))
    with pytest.raises(ProviderError):
        await provider.cancel(str(uuid4()))
    await provider.aclose()


# The websocket


@pytest.mark.parametrize("how", ["refused", "hangs"])
async def test_without_a_websocket_it_is_polled(
    comfy: ComfyUIFake, provider: Provider, options: Any, monkeypatch: pytest.MonkeyPatch, how: Any
) -> None:
    monkeypatch.setattr("darkroom.providers.comfyui.watch.OPENING", 0.02)
    comfy.websocket, comfy.step_seconds = how, 0.01
    events = await collect(provider, request(options))
    assert [type(event) for event in events] == [Accepted, Produced, Finished]


async def test_a_websocket_that_is_cut_is_opened_again(comfy: ComfyUIFake, patient: Provider, options: Any) -> None:
    comfy.step_seconds = 0.05
    events: list[Event] = []
    call = asyncio.create_task(into(events, patient, request(options, steps=12)))
    await eventually(lambda: any(isinstance(event, Progress) for event in events), 5, "no progress is told")
    comfy.hangs = True
    told = len(events)
    comfy.cut_websockets()
    await eventually(lambda: comfy.listeners == 1, 5, "the websocket is not opened again")
    comfy.hangs = False
    await call
    assert any(isinstance(event, Progress) for event in events[told + 1 :])
    steps = [event.step for event in events if isinstance(event, Progress)]
    assert steps == sorted(set(steps))
    assert steps[-1] == 12
    assert len(comfy.created) == 1


async def test_a_websocket_that_is_cut_for_good_does_not_matter(
    comfy: ComfyUIFake, provider: Provider, options: Any
) -> None:
    comfy.step_seconds = 0.03
    async with aclosing(provider.generate(request(options), resume=None)) as told:  # type: ignore[type-var]
        async for event in told:
            if isinstance(event, Progress):
                comfy.websocket = "refused"
                comfy.cut_websockets()
    assert isinstance(event, Finished)


# How it goes on


async def test_what_was_never_sent_is_sent_when_it_is_resumed(
    comfy: ComfyUIFake, provider: Provider, options: Any
) -> None:
    asked = request(options)
    ref = await accepted(provider, asked)
    assert not comfy.created
    events = await collect(provider, asked, resume=ref)
    assert isinstance(events[-1], Finished)
    assert [each.id for each in comfy.created] == [ref]
    assert str(UUID(ref)) == ref


@pytest.mark.parametrize("old", [False, True], ids=["", "old"])
@pytest.mark.parametrize("when", ["pending", "running", "success"])
async def test_what_the_server_has_is_not_sent_again(
    comfy: ComfyUIFake, provider: Provider, options: Any, when: str, *, old: bool
) -> None:
    comfy.old, comfy.hangs = old, when != "success"
    await reached(comfy)
    if when == "pending":
        comfy.submit()
    asked = request(options)
    ref = await left(comfy, provider, asked, lambda: bool(known(comfy, when)))
    comfy.hangs = False
    fresh = provider_at(comfy)
    events = await collect(fresh, asked, resume=ref)
    await fresh.aclose()
    assert sum(isinstance(event, Produced) for event in events) == 1
    assert len([each for each in comfy.created if client(each.body) == ref]) == 1


@pytest.mark.parametrize("old", [False, True], ids=["", "old"])
async def test_a_server_that_was_restarted_gets_the_run_again(
    comfy: ComfyUIFake, provider: Provider, options: Any, *, old: bool
) -> None:
    comfy.old, comfy.hangs = old, True
    asked = request(options)
    events: list[Event] = []
    call = asyncio.create_task(into(events, provider, asked))
    await eventually(lambda: bool(comfy.created), 5, "the run does not begin")
    comfy.restart()
    with pytest.raises(Interrupted, match="does not know the run any more"):
        await call
    comfy.hangs = False
    assert isinstance(events[0], Accepted)
    resumed = await collect(provider, asked, resume=events[0].ref)
    assert isinstance(resumed[-1], Finished)
    assert [client(each.body) for each in comfy.created] == [events[0].ref] * 2


async def test_a_server_that_goes_down_is_resumed_when_it_is_back(options: Any) -> None:
    comfy = ComfyUIFake()
    provider, asked, events = provider_at(comfy), request(options), []
    comfy.hangs = True
    with comfy.running():
        call = asyncio.create_task(into(events, provider, asked))
        await eventually(lambda: bool(comfy.created), 5, "the run does not begin")
        closed = time.monotonic()
    with pytest.raises(Interrupted):
        await call
    assert time.monotonic() - closed < 10
    await provider.aclose()
    fresh = ComfyUIFake()
    with fresh.running():
        other = provider_at(fresh)
        assert isinstance((await collect(other, asked, resume=events[0].ref))[-1], Finished)
        await other.aclose()
    assert [each.id for each in fresh.created] == [events[0].ref]


# How it is stopped


@pytest.mark.parametrize("old", [False, True], ids=["", "old"])
async def test_a_run_that_waits_is_taken_off_the_queue(
    comfy: ComfyUIFake, provider: Provider, options: Any, *, old: bool
) -> None:
    comfy.old, comfy.hangs = old, True
    await reached(comfy)
    theirs, others = comfy.submit(), comfy.submit()
    ref = await left(comfy, provider, request(options), lambda: len(comfy.waiting) == 2)
    await provider.cancel(ref)
    assert comfy.waiting == [others]
    assert comfy.state(theirs) == "running"
    assert not comfy.called("interrupt")


@pytest.mark.parametrize("old", [False, True], ids=["", "old"])
async def test_a_run_on_the_gpu_is_interrupted(
    comfy: ComfyUIFake, provider: Provider, options: Any, *, old: bool
) -> None:
    comfy.old, comfy.hangs = old, True
    ref = await left(comfy, provider, request(options), lambda: bool(comfy.created))
    theirs = comfy.submit()
    await provider.cancel(ref)
    await eventually(lambda: comfy.state(comfy.created[0].id) == "error", 5, "the run goes on")
    await eventually(lambda: comfy.state(theirs) == "running", 5, "the next does not begin")
    await provider.cancel(ref)
    assert comfy.state(theirs) == "running"


@pytest.mark.parametrize("old", [False, True], ids=["", "old"])
async def test_a_run_that_is_over_or_unknown_is_left_alone(
    comfy: ComfyUIFake, provider: Provider, options: Any, *, old: bool
) -> None:
    comfy.old = old
    ref, _ = await made(provider, request(options))
    comfy.hangs = True
    theirs = comfy.submit()
    await provider.cancel(ref)
    await provider.cancel(str(uuid4()))
    assert comfy.state(theirs) in ("pending", "running")
    assert not comfy.called("interrupt")
    assert not comfy.called("dequeue")


async def test_a_run_that_may_go_on_is_said(comfy: ComfyUIFake, provider: Provider, options: Any) -> None:
    comfy.hangs = True
    ref = await left(comfy, provider, request(options), lambda: bool(comfy.created))
    comfy.fail("interrupt", status=500, times=4)
    with pytest.raises(ProviderError):
        await provider.cancel(ref)


# How the tests look at it


async def into(events: list[Event], provider: Provider, asked: Request) -> None:
    async for event in provider.generate(asked, resume=None):
        events.append(event)  # noqa: PERF401 - they are seen as they come


async def made(provider: Provider, asked: Request) -> tuple[str, list[Event]]:
    events = await collect(provider, asked)
    assert isinstance(events[0], Accepted)
    return events[0].ref, events


async def left(comfy: ComfyUIFake, provider: Provider, asked: Request, when: Callable[[], bool]) -> str:
    """The ref of a call whose process ends as soon as `when` holds."""
    events: list[Event] = []
    call = asyncio.create_task(into(events, provider, asked))
    await eventually(when, 5, "the run does not get there")
    call.cancel()
    await asyncio.wait({call}, timeout=5)
    assert isinstance(events[0], Accepted)
    return events[0].ref


async def reached(comfy: ComfyUIFake) -> None:
    """Have the server called once, so that tests can reach into its loop."""
    provider = provider_at(comfy)
    await provider.cancel(str(uuid4()))
    await provider.aclose()


def known(comfy: ComfyUIFake, state: str) -> list[str]:
    ids = [*comfy.history, *comfy.waiting, *(each.id for each in comfy.created)]
    return [each for each in ids if comfy.state(each) == state]


def client(body: Any) -> str | None:
    given: str | None = body["extra_data"].get("client_id")
    return given
