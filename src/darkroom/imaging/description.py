"""What a picture says about its making, and the four texts in which every container writes it down."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SOFTWARE = "Darkroom"


@dataclass(frozen=True, slots=True)
class Description:
    """How a picture was made. `parameters` is what JSON can hold."""

    prompt: str
    model: str
    seed: int | None
    parameters: Mapping[str, Any]

    def fields(self) -> dict[str, str]:
        """The texts to write, by name; a seed of None is left out. `parameters` is ASCII JSON."""
        texts = {"prompt": self.prompt, "model": self.model}
        if self.seed is not None:
            texts["seed"] = str(self.seed)
        return texts | {"parameters": json.dumps(dict(self.parameters))}


def from_fields(fields: Mapping[str, str]) -> Description | None:
    """The description that `fields` were written from; None where they are not ours."""
    try:
        return Description(
            prompt=fields["prompt"],
            model=fields["model"],
            seed=int(fields["seed"]) if "seed" in fields else None,
            parameters=dict(json.loads(fields["parameters"])),
        )
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
