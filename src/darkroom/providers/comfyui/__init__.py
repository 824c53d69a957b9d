"""The provider `comfyui`: workflows on one's own GPU, behind a ComfyUI server."""

from darkroom.providers.comfyui.provider import ComfyUI

__all__ = ["ComfyUI"]
