"""What Darkroom tells of itself: logs, metrics, traces."""

from darkroom.telemetry.logs import set_up

__all__ = ["set_up"]
