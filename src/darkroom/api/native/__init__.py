"""The native API: `/media`, `/models`, `/healthz`, `/readyz`."""

from fastapi import APIRouter

from darkroom.api.native import asking, files, health, media, models
from darkroom.api.problems import responses

router = APIRouter(responses=responses(403, 413, 500))
for part in (media, asking, files, models, health):
    router.include_router(part.router)
