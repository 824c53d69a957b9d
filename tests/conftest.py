"""What every test may use. Services that a test needs and does not find are started by `services`."""

import pytest

pytest_plugins = ["services.object_store", "services.databases", "services.server", "services.app", "services.command"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
