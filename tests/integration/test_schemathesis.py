"""The schema is true: a fuzzer driven by it finds nothing on the running service."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from darkroom.engine.watching import audience, feed
from services.app import RunApp

TESTS = Path(__file__).parents[1]
SECONDS = 240


@pytest.mark.timeout(SECONDS + 30)
def test_schemathesis_finds_nothing(
    run_app: RunApp, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audience, "LONGEST_QUEUE", 0)  # who watches is cut off at the first thing to be told,
    monkeypatch.setattr(audience, "SILENCE", 0)  # which is that there is nothing to tell:
    monkeypatch.setattr(feed, "LOOK_AGAIN", 0.01)  # no stream lasts, as the fuzzer would read it to its end
    with run_app(database_url=sqlite_url, starter_models=False) as app:  # whose names it would find, and ask for
        run = subprocess.run(
            [
                *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{app.url}/openapi.json"),
                *("--checks", "all", "--phases", "examples,coverage,fuzzing,stateful", "--mode", "all"),
                *("--max-examples", "8", "--seed", "1", "--generation-deterministic"),
                *("--continue-on-failure", "--no-color"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env=os.environ | {"SCHEMATHESIS_HOOKS": "services.fuzzing_hooks", "PYTHONPATH": str(TESTS)},
            check=False,
        )
    assert run.returncode == 0, run.stdout + run.stderr
