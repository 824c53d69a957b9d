"""The `darkroom` command, one module a command group. Each imports what it needs when it runs: help is instant."""


def main() -> None:
    """Run the command line."""
    from darkroom.cli.app import app

    app()
