"""Nothing accepted is lost, nothing runs twice, nothing is left behind, whatever breaks: the short form."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.show import SHORT, report, run
from darkroom.errors import NotInstalled
from services.needs import missing

pytestmark = [pytest.mark.timeout(400), pytest.mark.usefixtures("alone")]


@pytest.fixture
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One at a time, whichever process of the test run they are in: each is eight processes and more."""
    with (tmp_path_factory.getbasetemp().parent / "chaos.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def seed() -> int:
    """The same each time, unless told otherwise: others are for the long form."""
    return int(os.environ.get("DARKROOM_TEST_SEED", "7"))


@pytest.mark.parametrize("broker", ["rabbitmq", "redis"])
def test_every_promise_is_kept_through_every_fault(broker: str, seed: int, tmp_path: Path) -> None:
    try:
        outcome = run(tmp_path, broker, seed, SHORT)
    except NotInstalled as error:
        missing(error.message)
    print(*report(outcome), sep="\n")
    assert outcome.violations == [], f"again: uv run python tests/chaos/run.py --short --broker {broker} --seed {seed}"
