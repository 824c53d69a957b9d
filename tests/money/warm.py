"""Loads all that a worker would, for the process that workers are forked from. Nothing of it runs."""

import h11  # noqa: F401
import httpcore2  # noqa: F401
import truststore  # noqa: F401
from PIL import Image

import darkroom.providers.comfyui
import darkroom.providers.fal
import darkroom.providers.openai
import darkroom.providers.recipe
import darkroom.providers.replicate
import darkroom.providers.sketch  # noqa: F401
import money.worker  # noqa: F401
from darkroom.providers import http

Image.init()
http._tls()
