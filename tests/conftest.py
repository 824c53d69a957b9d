"""What every test may use. Services that a test needs and does not find are started by `services`."""

import os
import sys

import pytest
import structlog

from services import tls

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

# Where it is installed, Python keeps the bytecode; without it, each worker and each process would compile it anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

tls.share()
structlog.configure(  # as it is by default, but for tracebacks: those with all variables take seconds to lay out
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper("%H:%M:%S.%f", utc=False),
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Half as many again as there are cores: most tests wait for processes that start, or for a deadline."""
    return max(2, (os.cpu_count() or 2) * 3 // 2)
