"""Turns the bytes that a backend returned into what is stored: checked, described, with a thumbnail."""

from darkroom.imaging.description import Description
from darkroom.imaging.develop import Developer, Picture
from darkroom.imaging.intake import Intake, Taken
from darkroom.imaging.metadata import read_description
from darkroom.imaging.verify import Limits

__all__ = ["Description", "Developer", "Intake", "Limits", "Picture", "Taken", "read_description"]
