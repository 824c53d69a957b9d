"""Sketch, the built-in model: a picture drawn from words, a seed and a size with NumPy alone.

The same request gives the same pixels on every machine. So every random number comes from SHA-256 and raw
PCG64 words, and every value from IEEE-exact operations (+, -, *, /, square root, floor, comparisons) done one
at a time over arrays: no sine, exponential or power, whose last bits differ between processors; no sums over
arrays, whose order does; no matrix product, interpolation routine or Pillow resize, which may fuse operations.
"""

from darkroom.providers.sketch.provider import Sketch

__all__ = ["Sketch"]
