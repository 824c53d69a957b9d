"""Replicate's HTTP API, as its reference and its clients' recordings have it."""

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx2
import jsonschema_rs
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.backends.base import Fake, data_uri, picture

SCHNELL = "black-forest-labs/flux-schnell"
SDXL = "stability-ai/sdxl"
SEEDLESS = "acme/seedless"
"""A model that takes a prompt and nothing else."""
SDXL_VERSION = "39ed52f2a78e934b3ba6e2a89f5b1c712de7dfea535525255b1aa35c5565e08b"
DEPLOYMENT = "acme/pictures"
"""Runs SDXL."""

NSFW = "NSFW content detected. Try running it again, or try a different prompt."
SENSITIVE = "The input or output was flagged as sensitive. Please try again with different inputs. (E005) (uIJ6l3ruRD)"
OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 14.75 GiB total capacity)"
PAGE = 100


def enum(name: str, default: str | None = None, **rule: Any) -> dict[str, Any]:
    """A property whose values are a schema of their own, as Cog writes it."""
    return {
        "allOf": [{"$ref": f"#/components/schemas/{name}"}],
        **({"default": default} if default else {}),
        "description": f"The {name}.",
        **rule,
    }


def document(
    properties: Mapping[str, Any], enums: Mapping[str, Sequence[str]], required: Sequence[str]
) -> dict[str, Any]:
    """A version's OpenAPI document, with as much of it as anybody reads."""
    named = {name: {"enum": list(values), "type": "string", "title": name} for name, values in enums.items()}
    entry = {"type": "object", "title": "Input", "required": list(required), "properties": dict(properties)}
    output = {"type": "array", "items": {"type": "string", "format": "uri"}, "title": "Output"}
    schemas = {"Input": entry, "Output": output, **named}
    return {"openapi": "3.0.2", "info": {"title": "Cog", "version": "0.1.0"}, "components": {"schemas": schemas}}


PROMPT = {"type": "string", "title": "Prompt", "x-order": 0, "description": "Prompt for generated image"}
SHAPES = ("1:1", "16:9", "21:9", "3:2", "2:3", "4:5", "5:4", "3:4", "4:3", "9:16", "9:21")

DOCUMENTS = {
    SCHNELL: document(
        {
            "prompt": PROMPT,
            "seed": {"type": "integer", "title": "Seed", "description": "Set for reproducible generation"},
            "go_fast": {"type": "boolean", "title": "Go Fast", "default": True},
            "num_outputs": {"type": "integer", "title": "Num Outputs", "default": 1, "maximum": 4, "minimum": 1},
            "aspect_ratio": enum("aspect_ratio", "1:1"),
            "output_format": enum("output_format", "webp"),
            "output_quality": {"type": "integer", "title": "Output Quality", "default": 80, "maximum": 100},
            "num_inference_steps": {"type": "integer", "default": 4, "maximum": 4, "minimum": 1},
        },
        {"aspect_ratio": SHAPES, "output_format": ("webp", "jpg", "png")},
        ["prompt"],
    ),
    SDXL: document(
        {
            "prompt": {**PROMPT, "default": "An astronaut riding a rainbow unicorn"},
            "mask": {"type": "string", "title": "Mask", "format": "uri", "description": "Input mask for inpaint mode."},
            "seed": {"type": "integer", "title": "Seed", "description": "Leave blank to randomize the seed"},
            "image": {"type": "string", "title": "Image", "format": "uri", "description": "Input image for img2img"},
            "width": {"type": "integer", "title": "Width", "default": 1024, "description": "Width of output image"},
            "height": {"type": "integer", "title": "Height", "default": 1024, "description": "Height of output image"},
            "refine": enum("refine", "no_refiner"),
            "scheduler": enum("scheduler", "K_EULER"),
            "num_outputs": {"type": "integer", "title": "Num Outputs", "default": 1, "maximum": 4, "minimum": 1},
            "guidance_scale": {"type": "number", "default": 7.5, "maximum": 50, "minimum": 1},
            "negative_prompt": {"type": "string", "title": "Negative Prompt", "default": ""},
            "prompt_strength": {"type": "number", "default": 0.8, "maximum": 1, "minimum": 0},
            "num_inference_steps": {"type": "integer", "default": 50, "maximum": 500, "minimum": 1},
        },
        {
            "refine": ("no_refiner", "expert_ensemble_refiner", "base_image_refiner"),
            "scheduler": ("DDIM", "K_EULER", "PNDM"),
        },
        [],
    ),
    SEEDLESS: document({"prompt": PROMPT}, {}, ["prompt"]),
}


@dataclass(slots=True)
class End:
    """How a prediction ends. `hang`: it never does. `output`: instead of a list of addresses."""

    status: str = "succeeded"
    error: str | None = None
    hang: bool = False
    output: Any = None


@dataclass(slots=True)
class Prediction:
    """What the backend knows of one; what it says of it depends on the time."""

    id: str
    model: str
    version: str
    input: Mapping[str, Any]
    created: datetime
    starting: float
    running: float
    end: End
    deployment: str | None = None
    lifetime: float | None = None
    removed: bool = False
    at: float = field(default_factory=time.monotonic)
    stopped: tuple[str, float] | None = None

    @property
    def n(self) -> int:
        return int(self.input.get("num_outputs", 1))

    def now(self) -> tuple[str, float]:
        """Its status, and for how many seconds it ran."""
        if self.stopped is None:
            age = time.monotonic() - self.at
            if self.lifetime is not None and age > self.lifetime and not self._over(self.lifetime):
                self.stopped = ("canceled", self.lifetime - self.starting)
                if self.lifetime < self.starting:
                    self.stopped = ("aborted", 0.0)
            elif age < self.starting:
                return "starting", 0.0
            elif not self._over(age):
                return "processing", age - self.starting
            else:
                self.stopped = (self.end.status, self.running)
        return self.stopped

    def cancel(self) -> None:
        status, ran = self.now()
        if status in ("starting", "processing"):
            self.stopped = ("canceled", ran)

    def _over(self, age: float) -> bool:
        return not self.end.hang and age >= self.starting + self.running


class ReplicateFake(Fake):
    """Replicate, below `api`. Its endpoints: create (of a model, a version, a deployment), poll, cancel, list, model,
    version, deployment, output.

    starting: seconds that a prediction waits for a machine. step_seconds: what each step adds to `seconds`.
    ends: how the next predictions end, one each; the others succeed. documents: what each model takes.
    hidden: predictions of an official model name an internal one, and no version. bare: the list leaves inputs out.
    page: how many predictions are on a page of it. filters: whether it heeds `created_after`. reached: where the
    webhook of an address is from here; None: it is lost.
    """

    def __init__(self, *, seconds: float = 0.0, port: int = 0) -> None:
        super().__init__(seconds=seconds, port=port)
        self._calls_back: set[asyncio.Task[None]] = set()
        self.reset(seconds)

    def reset(self, seconds: float = 0.0) -> None:
        """Be as new."""
        for kept in (self.created, self.calls, self.faults):
            kept.clear()
        self.seconds = seconds
        self.predictions: dict[str, Prediction] = {}
        self.documents: dict[str, dict[str, Any]] = dict(DOCUMENTS)
        self.ends: list[End] = []
        self.starting = self.step_seconds = 0.0
        self.hidden = self.bare = self.expired = False
        self.filters = True
        self.reached: Callable[[str], str | None] = lambda url: None
        self.page = PAGE

    def goes_on(self, ref: str) -> bool:
        """Whether the prediction `ref` is still being made."""
        return self.predictions[ref].now()[0] in ("starting", "processing")

    @property
    def api(self) -> str:
        """What the adapter is given as its address."""
        return f"{self.url}/v1"

    @property
    def delivery(self) -> str:
        """Where outputs are: another origin, as with replicate.delivery."""
        return f"http://localhost:{self.port}"

    def expire(self, *, removed: bool = True) -> None:
        """An hour passes: outputs are gone, and with `removed` all data of predictions too."""
        self.expired = True
        for prediction in self.predictions.values():
            prediction.now()
            prediction.removed = removed

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/v1/models/{owner}/{name}/predictions", self._create, methods=["POST"], name="create"),
            Route("/v1/deployments/{owner}/{name}/predictions", self._create, methods=["POST"], name="create"),
            Route("/v1/predictions", self._create, methods=["POST"], name="create"),
            Route("/v1/predictions", self._list, methods=["GET"], name="list"),
            Route("/v1/predictions/{id}", self._poll, methods=["GET"], name="poll"),
            Route("/v1/predictions/{id}/cancel", self._cancel, methods=["POST"], name="cancel"),
            Route("/v1/models/{owner}/{name}", self._model, methods=["GET"], name="model"),
            Route("/v1/models/{owner}/{name}/versions/{version}", self._version, methods=["GET"], name="version"),
            Route("/v1/deployments/{owner}/{name}", self._deployment, methods=["GET"], name="deployment"),
            Route("/delivery/{id}/{file}", self._output, methods=["GET"], name="output"),
        ]

    # Predictions

    async def _create(self, request: Request) -> Response:
        if refused := self._refused(request):
            return refused
        body = await request.json()
        model, version, deployment = self._asked_for(request, body)
        if model not in self.documents:
            return NOT_FOUND()
        given = body.get("input")
        if problems := self._problems(model, given) or _hook_problems(body):
            return problem(422, "Input validation failed", problems)
        prediction = Prediction(
            id=secrets.token_hex(13),
            model=model,
            version=version or version_of(model),
            input=given,
            created=datetime.now(UTC),
            starting=self.starting,
            running=self.seconds + self.step_seconds * given.get("num_inference_steps", 0),
            end=self.ends.pop(0) if self.ends else End(),
            deployment=deployment,
            lifetime=_seconds(request.headers.get("cancel-after")),
        )
        if self.hidden and "version" not in body:
            prediction.model, prediction.version = f"replicate-internal/{model.partition('/')[2]}", "hidden"
        self.predictions[prediction.id] = prediction
        self.record(prediction.id, body)
        if address := body.get("webhook"):
            self._calls_back.add(asyncio.create_task(self._call_back(prediction, address)))
        return JSONResponse(self._said(prediction, "starting"), 201)

    async def _call_back(self, prediction: Prediction, address: str) -> None:
        """Post a prediction to its webhook once it has ended."""
        while self.goes_on(prediction.id):
            await asyncio.sleep(0.01)
        if url := self.reached(address):
            async with httpx2.AsyncClient() as client:
                await client.post(url, json=self._said(prediction))

    async def _poll(self, request: Request) -> Response:
        return self._refused(request) or JSONResponse(self._said(self.predictions[request.path_params["id"]]))

    async def _cancel(self, request: Request) -> Response:
        if refused := self._refused(request):
            return refused
        prediction = self.predictions[request.path_params["id"]]
        prediction.cancel()
        return JSONResponse(self._said(prediction))

    async def _list(self, request: Request) -> Response:
        if refused := self._refused(request):
            return refused
        after = request.query_params.get("created_after") if self.filters else None
        oldest = datetime.fromisoformat(after) if after else datetime.min.replace(tzinfo=UTC)
        rows = [each for each in reversed(self.predictions.values()) if each.created >= oldest]
        start = int(request.query_params.get("cursor", 0))
        following = start + self.page
        page = [self._listed(each) for each in rows[start:following]]
        kept = urlencode({"created_after": after} if after else {})
        url = f"{self.api}/predictions?{kept}&cursor="
        return JSONResponse(
            {
                "previous": f"{url}{max(0, start - self.page)}" if start else None,
                "next": f"{url}{following}" if following < len(rows) else None,
                "results": page,
            }
        )

    def _listed(self, prediction: Prediction) -> dict[str, Any]:
        said = self._said(prediction)
        left_out = {"logs", "input", "output"} if self.bare else {"logs"}
        return {name: value for name, value in said.items() if name not in left_out}

    def _said(self, prediction: Prediction, status: str | None = None) -> dict[str, Any]:
        """A prediction as it is now (or with `status`), in the fields of the reference."""
        now, ran = prediction.now()
        status = status or now
        over = status not in ("starting", "processing")
        url = f"{self.api}/predictions/{prediction.id}"
        started = prediction.created + timedelta(seconds=prediction.starting)
        said = {
            "id": prediction.id,
            "model": prediction.model,
            "version": prediction.version,
            "input": {} if prediction.removed else dict(prediction.input),
            "logs": "" if prediction.removed else _logs(prediction, status, ran),
            "output": None if prediction.removed or status != "succeeded" else self._outputs(prediction),
            "data_removed": prediction.removed,
            "error": prediction.end.error if status == "failed" else None,
            "source": "api",
            "status": status,
            "created_at": _iso(prediction.created),
            "urls": {"cancel": f"{url}/cancel", "get": url, "web": f"https://replicate.com/p/{prediction.id}"},
        }
        if status not in ("starting", "aborted"):
            said["started_at"] = _iso(started)
        if over:
            said["completed_at"] = _iso(started + timedelta(seconds=ran))
            said["metrics"] = {"predict_time": ran, "total_time": ran + prediction.starting}
        if prediction.deployment:
            said["deployment"] = prediction.deployment
        if prediction.lifetime is not None:
            said["deadline"] = _iso(prediction.created + timedelta(seconds=prediction.lifetime))
        return said

    def _outputs(self, prediction: Prediction) -> Any:
        if prediction.end.output is not None:
            return prediction.end.output
        form = prediction.input.get("output_format", "png")
        return [f"{self.delivery}/delivery/{prediction.id}/out-{index}.{form}" for index in range(prediction.n)]

    async def _output(self, request: Request) -> Response:
        prediction = self.predictions.get(request.path_params["id"])
        if prediction is None or self.expired:
            return Response("Not found", 404)
        index = int(request.path_params["file"].partition(".")[0].rpartition("-")[2])
        return Response(picture(seed=prediction.input.get("seed", 0) + index), 200, {"content-type": "image/png"})

    # Models

    async def _model(self, request: Request) -> Response:
        full = _full(request)
        if refused := self._refused(request):
            return refused
        if full not in self.documents:
            return NOT_FOUND()
        owner, name = full.split("/")
        latest = self._version_of(full) if self.documents[full] else None
        return JSONResponse(
            {
                "url": f"https://replicate.com/{full}", "owner": owner, "name": name, "description": None,
                "visibility": "public", "run_count": 7, "cover_image_url": None, "default_example": None,
                "latest_version": latest,
            }
        )  # fmt: skip

    async def _version(self, request: Request) -> Response:
        known = _full(request) in self.documents and request.path_params["version"] == version_of(_full(request))
        return self._refused(request) or (JSONResponse(self._version_of(_full(request))) if known else NOT_FOUND())

    def _version_of(self, full: str) -> dict[str, Any]:
        return {
            "id": version_of(full),
            "created_at": "2023-11-06T23:13:07.906314Z",
            "cog_version": "0.8.6",
            "openapi_schema": self.documents[full],
        }

    async def _deployment(self, request: Request) -> Response:
        if refused := self._refused(request):
            return refused
        if _full(request) != DEPLOYMENT:
            return NOT_FOUND()
        owner, name = DEPLOYMENT.split("/")
        release = {
            "number": 1, "model": SDXL, "version": SDXL_VERSION, "created_at": "2024-02-15T16:32:57.018467Z",
            "created_by": {"type": "organization", "username": owner, "name": "Acme Corp, Inc.", "github_url": None},
            "configuration": {"hardware": "gpu-t4", "min_instances": 1, "max_instances": 5},
        }  # fmt: skip
        return JSONResponse({"owner": owner, "name": name, "current_release": release})

    # What is refused

    def _refused(self, request: Request) -> Response | None:
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return problem(401, "Unauthenticated", "You did not pass a valid authentication token")
        if request.path_params.get("id", next(iter(self.predictions), None)) not in (*self.predictions, None):
            return NOT_FOUND()
        return None

    def _asked_for(self, request: Request, body: Mapping[str, Any]) -> tuple[str, str | None, str | None]:
        """The model, the version and the deployment that a new prediction is of."""
        if "version" in body:
            model = next((each for each in self.documents if version_of(each) == body["version"]), "")
            return model, body["version"], None
        if "/deployments/" in request.url.path:
            known = _full(request) == DEPLOYMENT
            return (SDXL if known else "", None, _full(request))
        return _full(request), None, None

    def _problems(self, model: str, given: Any) -> str:
        """What the model's own document has against an input."""
        schemas = self.documents[model].get("components", {}).get("schemas", {})
        whole = {"$ref": "#/components/schemas/Input", "components": {"schemas": schemas}}
        if "Input" not in schemas:
            return ""
        errors = jsonschema_rs.Draft202012Validator(json.loads(json.dumps(whole))).iter_errors(given)
        return "".join(f"- input{''.join(f'.{at}' for at in each.instance_path)}: {each.message}\n" for each in errors)


def _hook_problems(body: Mapping[str, Any]) -> str:
    if not body.get("webhook", "https://").startswith("https://"):
        return "- webhook: Does not match format 'uri' with the scheme https\n"
    wrong = set(body.get("webhook_events_filter", ())) - {"start", "output", "logs", "completed"}
    return f"- webhook_events_filter: {wrong} are no events\n" if wrong else ""


def version_of(model: str) -> str:
    """The id of a model's only version."""
    return SDXL_VERSION if model == SDXL else hashlib.sha256(model.encode()).hexdigest()


def problem(status: int, title: str, detail: str) -> Response:
    """An error as Replicate answers it."""
    return JSONResponse(
        {"title": title, "detail": detail, "status": status}, status, media_type="application/problem+json"
    )


def NOT_FOUND() -> Response:
    return problem(404, "Not found", "The requested resource could not be found.")


def _full(request: Request) -> str:
    return f"{request.path_params['owner']}/{request.path_params['name']}"


def _seconds(header: str | None) -> float | None:
    return float(header.removesuffix("s")) if header else None


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _logs(prediction: Prediction, status: str, ran: float) -> str:
    """What the model printed so far: its seed, and a line of tqdm for each step."""
    if status in ("starting", "aborted"):
        return ""
    steps = int(prediction.input.get("num_inference_steps", 0))
    done = steps if status == "succeeded" else min(steps, int(steps * ran / max(prediction.running, 1e-9)))
    bars = [
        f"{100 * step // steps:3d}%|{'█' * (10 * step // steps):10}| {step}/{steps} [00:00<00:01,  7.96it/s]"
        for step in range(done + 1)
        if steps
    ]
    return "\n".join([f"Using seed: {prediction.input.get('seed', 4711)}", *bars])


def inline(seed: int = 0) -> str:
    """An output that is no address but the picture itself."""
    return data_uri(picture(seed=seed))
