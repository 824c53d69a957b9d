"""Darkroom: prompts go in, pictures come out, none is lost, none is paid twice."""

__version__ = "0.1.0"
