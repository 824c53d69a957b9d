"""The native API: `/media`, `/models`, `/healthz`, `/readyz`."""

from fastapi import APIRouter

from darkroom.api.native import asking, files, health, media, models

router = APIRouter()
for part in (media, asking, files, models, health):
    router.include_router(part.router)
