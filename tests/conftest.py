"""What every test may use. Services that a test needs and does not find are started by `services`."""

import os

import pytest

pytest_plugins = [
    "services.object_store",
    "services.databases",
    "services.brokers",
    "services.server",
    "services.app",
    "services.command",
    "services.collector",
    "services.targets",
    "services.workers",
]


for variable in ("REPLICATE_API_TOKEN", "OPENAI_API_KEY", "FAL_KEY", "BFL_API_KEY"):
    os.environ.pop(variable, None)  # nothing here may ask a real backend


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Half as many again as there are cores: most tests wait for processes that start, or for a deadline."""
    return max(2, (os.cpu_count() or 2) * 3 // 2)
