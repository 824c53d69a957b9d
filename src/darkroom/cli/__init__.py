"""The `darkroom` command, one module a command group. Each imports what it needs when it runs: help is instant."""

import sys


def main() -> None:
    """Run the command line, and end the process with its exit code."""
    from darkroom.cli.app import app
    from darkroom.cli.exits import run

    sys.exit(run(app))
