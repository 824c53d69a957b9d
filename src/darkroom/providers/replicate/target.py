"""What a route's model is at Replicate: an official model, a version of one, or a deployment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from darkroom.errors import InvalidRequest

_NAME = re.compile(
    r"(?P<deployment>deployments/)?(?P<owner>\w[\w.-]*)/(?P<name>\w[\w.-]*)(:(?P<version>[\w-]+))?", re.ASCII
)
_PUBLIC_VERSION: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Target:
    """`full`: its owner and name, such as `black-forest-labs/flux-schnell`."""

    full: str
    version: str | None = None
    deployment: bool = False

    @property
    def path(self) -> str:
        """Where it is asked for predictions."""
        if self.version is not None:
            return "predictions"
        return f"{'deployments' if self.deployment else 'models'}/{self.full}/predictions"

    @property
    def body(self) -> dict[str, Any]:
        """What such a request says beside the input."""
        return {} if self.version is None else {"version": self.version}

    def made(self, prediction: Mapping[str, Any]) -> bool:
        """Whether the prediction says that it is of this target."""
        deployment = prediction.get("deployment")
        if self.deployment:
            return deployment in (self.full, self.full.partition("/")[2])
        return deployment is None and self._runs(prediction)

    def may_have_made(self, prediction: Mapping[str, Any]) -> bool:
        """Whether the prediction does not say that it is of something else.

        An official model may go by an internal name, and then its version is no public one.
        """
        if self.deployment:
            return prediction.get("deployment") is None or self.made(prediction)
        is_internal = self.version is None and not _PUBLIC_VERSION.fullmatch(str(prediction.get("version")))
        return is_internal or self._runs(prediction)

    def _runs(self, prediction: Mapping[str, Any]) -> bool:
        if self.version is not None:
            return prediction.get("version") == self.version
        return prediction.get("model") == self.full


def target_of(model: str) -> Target:
    """Read `owner/name`, `owner/name:version` or `deployments/owner/name`. Raises `InvalidRequest`."""
    match = _NAME.fullmatch(model)
    if match is None or (match["deployment"] and match["version"]):
        raise InvalidRequest(
            "must be owner/name, owner/name:version or deployments/owner/name, as at Replicate", field="model"
        )
    return Target(f"{match['owner']}/{match['name']}", match["version"], bool(match["deployment"]))
