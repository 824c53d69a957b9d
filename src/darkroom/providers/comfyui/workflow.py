"""A workflow in ComfyUI's API format, and which inputs of its nodes Darkroom's parameters are.

    [models.lighthouses.routes.options]
    workflow = "workflows/lighthouses.json"
    output = "9"

    [models.lighthouses.routes.options.inputs]
    prompt = "6.text"
    seed = ["3.seed", "12.noise_seed"]
    steps = "3.steps"

A parameter's default is what the file has there. `options.parameters` is laid over that, and may add parameters of its
own: `sampler = { as = "3.sampler_name", enum = ["euler", "ddim"], description = "The sampler." }`.
"""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import jsonschema_rs

from darkroom.errors import InvalidRequest, Permanent
from darkroom.media.model import Request
from darkroom.providers.base import Options
from darkroom.providers.parameters import Parameter, Rule, declared, parameter, schema_of, seed_of, to_backend

MOST: Final = 16
"""Pictures of one request, where the options do not say."""

PICTURES: Final = ("image", "mask")
WITHOUT_DEFAULT: Final = frozenset({"seed", *PICTURES})
"""Of these the file has but an example."""

Nodes = Mapping[str, Mapping[str, Any]]
Target = tuple[str, str]
"""A node's id, and the name of one of its inputs."""


@dataclass(frozen=True, slots=True)
class Workflow:
    """`nodes`: as in the file. `targets`: what each name of ours sets. `outputs`: the nodes whose pictures count."""

    nodes: Nodes
    targets: Mapping[str, Sequence[Target]]
    parameters: Sequence[Parameter]
    outputs: Sequence[str]

    @classmethod
    def load(cls, options: Options) -> "Workflow":
        """The workflow of a route. Raises `InvalidRequest` naming the option that is wrong."""
        nodes = _read(options.get("workflow"))
        added = {each.name: each for each in declared(options)}
        inputs = _table(options.get("inputs", {}), "options.inputs")
        wanted = {name: (inputs[name], f"options.inputs.{name}") for name in inputs} | {
            name: (each.backend, f"options.parameters.{name}") for name, each in added.items() if name not in inputs
        }
        targets = {
            name: [_target(nodes, text, at) for text in _texts(stated, at)] for name, (stated, at) in wanted.items()
        }
        parameters = [
            _parameter(name, options.get("parameters", {}).get(name, {}), nodes[node]["inputs"][field])
            for name, [(node, field), *_] in targets.items()
            if name != "prompt"
        ]
        return cls(nodes, targets, parameters, _outputs(nodes, options.get("output")))

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the parameters."""
        return schema_of(self.parameters)

    def filled(self, request: Request) -> dict[str, Any]:
        """The nodes with what `request` asks for in them, and what it passes through as `node.input`.

        Pictures are set afterwards, by `place`. Raises `Permanent` for an input that the workflow does not have.
        """
        nodes: dict[str, Any] = copy.deepcopy(dict(self.nodes))
        for text, value in request.extra.items():
            self.place(nodes, self._passed(text), value)
        plain = {name: value for name, value in request.parameters.items() if name not in PICTURES}
        seeded = {**plain, "seed": seed_of(request)}
        wanted = to_backend(self.parameters, replace(request, parameters=seeded, extra={}))
        for name, value in {"prompt": request.prompt, **wanted}.items():
            self.place(nodes, self.targets.get(name, ()), value)
        return nodes

    def place(self, nodes: dict[str, Any], targets: Sequence[Target], value: Any) -> None:
        """Put `value` into inputs of `nodes`."""
        for node, field in targets:
            nodes[node]["inputs"][field] = value

    def _passed(self, text: str) -> Sequence[Target]:
        """Where what is passed through goes: nowhere that a name of ours does."""
        try:
            target = _target(self.nodes, text, text)
        except InvalidRequest as error:
            raise Permanent(f"provider_options: {error.message}") from None
        return () if any(target in taken for taken in self.targets.values()) else (target,)


def _read(path: Any) -> Nodes:
    at = "options.workflow"
    if not isinstance(path, str) or not path:
        raise InvalidRequest("must name a workflow file in ComfyUI's API format", field=at)
    try:
        nodes = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}", field=at) from error
    except ValueError as error:
        raise InvalidRequest(f"{path} is not JSON", field=at) from error
    if not isinstance(nodes, dict) or not nodes or not all(_is_node(node) for node in nodes.values()):
        raise InvalidRequest(f"{path} is no workflow in the API format: save it with Export (API)", field=at)
    return nodes


def _is_node(node: Any) -> bool:
    return isinstance(node, dict) and "class_type" in node and isinstance(node.get("inputs"), dict)


def _table(stated: Any, at: str) -> Mapping[str, Any]:
    if not isinstance(stated, Mapping):
        raise InvalidRequest('must be a table, such as { prompt = "6.text" }', field=at)
    return stated


def _texts(stated: Any, at: str) -> Sequence[str]:
    texts = [stated] if isinstance(stated, str) else stated
    if not isinstance(texts, list | tuple) or not texts or not all(isinstance(text, str) for text in texts):
        raise InvalidRequest('must be as "6.text", or a list of such', field=at)
    return texts


def _target(nodes: Nodes, text: str, at: str) -> Target:
    node, _, field = text.partition(".")
    if node not in nodes:
        raise InvalidRequest(f"the workflow has no node {node!r}", field=at)
    if field not in nodes[node]["inputs"]:
        known = ", ".join(nodes[node]["inputs"])
        raise InvalidRequest(f"node {node} of the workflow has no input {field!r}; it has: {known}", field=at)
    return node, field


def _parameter(name: str, stated: Rule, own: Any) -> Parameter:
    """A parameter with the vocabulary's rule, the file's own value for its default if that may be, and `stated`."""
    rule = {**({"maximum": MOST} if name == "n" else {}), **stated, "as": name}
    made = parameter(name, rule)
    if name in WITHOUT_DEFAULT or "default" in stated or not _is_valid(own, made.rule):
        return made
    return parameter(name, {**rule, "default": own})


def _is_valid(value: Any, rule: Rule) -> bool:
    """Whether an input's value keeps the rule; a link to another node keeps none."""
    return isinstance(value, str | int | float) and jsonschema_rs.Draft202012Validator(dict(rule)).is_valid(value)


def _outputs(nodes: Nodes, stated: Any) -> Sequence[str]:
    at = "options.output"
    texts = list(nodes) if stated is None else _texts(stated, at)
    for node in texts:
        if node not in nodes:
            raise InvalidRequest(f"the workflow has no node {node!r}", field=at)
    return texts
