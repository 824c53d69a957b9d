"""How commands end, for scripts: the codes, and the one line that says why."""

from collections.abc import Callable
from typing import Any

import typer

from darkroom.errors import DarkroomError, Unavailable

FAILED = 1
"""What was asked for did not come about: the media ended as ERROR or CANCELLED, a check found something wrong."""
REFUSED = 2
"""A setting, an argument or the request is wrong; nothing was done."""
UNREACHABLE = 3
"""The server, or a part that it stands on, does not answer."""
TIMED_OUT = 4
"""The time given for waiting is over; the media goes on."""
INTERRUPTED = 130
"""Ctrl-C."""

CODES = """\b
Exit codes:
  0    done
  1    failed: the media ended as ERROR or CANCELLED, or a check found something wrong
  2    refused: a setting, an argument or the request is wrong
  3    the server or the database does not answer
  4    waited as long as --timeout allows; the media goes on
  130  interrupted
"""


class CommandError(Exception):
    """Ends a command with `code` and one line on standard error."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


def run(command: Callable[..., Any]) -> int:
    """Run the command line; return its exit code. Everything that is expected to go wrong ends in one line."""
    try:
        return int(command(prog_name="darkroom", standalone_mode=False) or 0)
    except CommandError as error:
        return complain(error.message, error.code)
    except typer.TyperException as error:
        return complain(_usage(error), error.exit_code)
    except typer.Abort:
        return INTERRUPTED
    except DarkroomError as error:
        return complain(with_cause(error), UNREACHABLE if isinstance(error, Unavailable) else REFUSED)
    except OSError as error:
        return complain(str(error), FAILED)


def complain(message: str, code: int) -> int:
    """Say in one line on standard error what is wrong; return `code`."""
    typer.echo(f"darkroom: {' '.join(message.split())}", err=True)
    return code


def with_cause(error: DarkroomError) -> str:
    """What an error says, and in one line what it came from."""
    cause = str(error.__cause__ or "").partition("\n")[0].strip()
    return f"{error.message}: {cause}" if cause else error.message


def _usage(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    message = error.format_message().rstrip(".")
    return f"{message} (try '{context.command_path} --help')" if context is not None else message
