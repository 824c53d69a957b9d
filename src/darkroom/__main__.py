"""`python -m darkroom` is `darkroom`."""

from darkroom.cli import main

main()
