"""Any endpoint that speaks OpenAI's Images API: OpenAI itself, LocalAI, SGLang, vLLM-Omni, LiteLLM and others."""

from darkroom.providers.openai.provider import OpenAI

__all__ = ["OpenAI"]
