"""The settings as the commands use them."""

from collections.abc import Iterator
from contextlib import contextmanager

from darkroom import settings as settings_module
from darkroom import telemetry
from darkroom.cli.exits import REFUSED, CommandError
from darkroom.settings import Settings, SettingsError


def load_settings() -> Settings:
    """The settings, with logs set up by them: a command shows only what is broken. Raises `CommandError`."""
    with explained():
        settings = settings_module.load()
    level = "debug" if settings.log_level == "debug" else "error"
    telemetry.set_up(level=level, style=settings.log_format)
    return settings


@contextmanager
def explained() -> Iterator[None]:
    """Turn a wrong setting into a `CommandError`."""
    try:
        yield
    except SettingsError as error:
        raise CommandError(str(error), REFUSED) from error
    except OSError as error:  # the data folder: nothing else is opened by its path here
        raise CommandError(f"DARKROOM_DATA_DIR: {error}", REFUSED) from error
