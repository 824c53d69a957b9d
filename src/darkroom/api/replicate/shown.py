"""What these clients are shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Request

from darkroom.api import links
from darkroom.api.deps import EngineDep, Options, OptionsDep
from darkroom.api.replicate.names import NOT_TOLD, OWNER, full_name, version_of
from darkroom.api.replicate.schema import STATUSES, openapi
from darkroom.api.wishes import bar
from darkroom.engine.catalogue import Model
from darkroom.engine.core import Engine
from darkroom.engine.references import as_id
from darkroom.media.model import Input, Media
from darkroom.media.states import Status

COG = "0.16.0"
"""The release of Replicate's model format whose documents ours are like."""
NEVER = "1970-01-01T00:00:00Z"
"""Where clients insist on a time that nobody noted."""
_PICTURES = ("image", "mask", "images")


@dataclass(frozen=True, slots=True)
class Here:
    """Where a request came to. `base`: what links start with."""

    engine: Engine
    options: Options
    base: str

    @property
    def api(self) -> str:
        """What the addresses of this surface start with."""
        return api_of(self.base)

    def version(self, model: str) -> str:
        """The version of the model of that name, if there still is one and it is known what it takes."""
        found = self.engine.catalogue.find(model)
        return version_of(found) if found and found.view.usable else NOT_TOLD


async def _here(request: Request, engine: EngineDep, options: OptionsDep) -> Here:
    return Here(engine, options, links.base_of(request, options))


HereDep = Annotated[Here, Depends(_here)]


def api_of(base: str) -> str:
    """What the addresses of this surface start with."""
    return f"{base}/replicate/v1"


def prediction(
    media: Media,
    *,
    base: str,
    version: str,
    output: Sequence[str] | None,
    logs: str = "",
    status: str | None = None,
) -> dict[str, Any]:
    """A media as a prediction. `status`: what to say for it, if not what it is in."""
    return {
        "id": str(media.id),
        "model": full_name(media.model),
        "version": version,
        "status": status or STATUSES[media.status],
        "input": {"prompt": media.prompt, **_as_given(media.parameters, base)},
        "output": list(output) if output is not None else None,
        "error": media.error.message if media.error and media.status is Status.ERROR else None,
        "logs": logs + (f"{line}\n" if (line := bar(media.progress)) else ""),
        "metrics": _metrics(media),
        "created_at": time(media.created_at),
        "started_at": time(media.started_at),
        "completed_at": time(media.completed_at),
        "data_removed": False,
        "source": "api",
        "urls": _urls(media, base),
    }


def links_of(media: Media, *, base: str, options: Options) -> list[str] | None:
    """Signed links to its pictures; None while there are none."""
    if media.status is not Status.COMPLETED:
        return None
    return [links.to_file(file, base=base, options=options) for file in media.files]


def _urls(media: Media, base: str) -> dict[str, str]:
    own = f"{api_of(base)}/predictions/{media.id}"
    return {"get": own, "cancel": f"{own}/cancel", "web": f"{base}/media/{media.id}"}


def _as_given(parameters: Mapping[str, Any], base: str) -> dict[str, Any]:
    """Parameters, with addresses for the ids of uploaded pictures."""
    return {name: _addressed(value, base) if name in _PICTURES else value for name, value in parameters.items()}


def _addressed(value: Any, base: str) -> Any:
    if isinstance(value, list):
        return [_addressed(each, base) for each in value]
    return f"{api_of(base)}/files/{value}" if as_id(str(value)) else value


def _metrics(media: Media) -> dict[str, float]:
    if media.completed_at is None:
        return {}
    since = {"total_time": media.created_at, "predict_time": media.started_at}
    return {name: (media.completed_at - at).total_seconds() for name, at in since.items() if at is not None}


def time(at: datetime | None) -> str | None:
    """A time as these clients read it."""
    return at.isoformat().replace("+00:00", "Z") if at else None


def model(model: Model, base: str, *, owner: str = OWNER, name: str | None = None) -> dict[str, Any]:
    """A model, by the name that the caller has for it."""
    return {
        "url": f"{api_of(base)}/models/{owner}/{name or model.name}",
        "owner": owner,
        "name": name or model.name,
        "description": model.description,
        "visibility": "public",
        "is_official": False,
        "github_url": None,
        "paper_url": None,
        "license_url": None,
        "run_count": 0,
        "cover_image_url": None,
        "default_example": None,
        "latest_version": version(model),
    }


def version(model: Model) -> dict[str, Any]:
    """The version of a model."""
    return {"id": version_of(model), "created_at": NEVER, "cog_version": COG, "openapi_schema": openapi(model)}


def deployment(model: Model, owner: str, name: str) -> dict[str, Any]:
    """A model as a deployment of it."""
    by = account()
    configuration = {"hardware": HARDWARE[0]["sku"], "min_instances": 0, "max_instances": 1}
    release = {
        "number": 1, "model": full_name(model.name), "version": version_of(model), "created_at": NEVER,
        "created_by": by, "configuration": configuration,
    }  # fmt: skip
    return {"owner": owner, "name": name, "current_release": release}


HARDWARE = ({"name": "Whatever serves the model's lane", "sku": "lane"},)


def account() -> dict[str, str]:
    """Whose service this is."""
    return {"type": "organization", "username": OWNER, "name": "Darkroom"}


def file(stored: Input, here: Here) -> dict[str, Any]:
    """An uploaded file. It is there for longer if someone asks for it before it expires."""
    return {
        "id": str(stored.id),
        "name": stored.name or str(stored.id),
        "content_type": stored.content_type,
        "size": stored.bytes,
        "etag": stored.sha256,
        "checksums": {"sha256": stored.sha256},
        "metadata": dict(stored.metadata),
        "created_at": time(stored.created_at),
        "expires_at": time(here.engine.inputs.expires_at(stored)),
        "urls": {"get": f"{here.api}/files/{stored.id}"},
    }


def page(results: Sequence[Mapping[str, Any]], following: str | None = None) -> dict[str, Any]:
    """A page of a list. `following`: where the next one is."""
    return {"previous": None, "next": following, "results": list(results)}
