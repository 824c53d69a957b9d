"""The long form, or any other, by command: `uv run python tests/chaos/run.py --broker redis --media 1000 --seed 7`."""

import argparse
import random
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # where the packages of the tests are

from chaos.cluster import BROKERS
from chaos.show import LONG, SHORT, report, run


def main() -> int:
    """Return 1 if anything is wrong; then the folder with all logs is kept."""
    parser = argparse.ArgumentParser(description="Break a distributed Darkroom in every way, and look at what is left.")
    parser.add_argument("--broker", choices=sorted(BROKERS), default="rabbitmq")
    parser.add_argument("--media", type=int, help="how many are asked for")
    parser.add_argument("--seed", type=int, help="the same seed brings the same requests and faults; default: any")
    parser.add_argument("--short", action="store_true", help="the form that the tests run")
    asked = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if asked.seed is None else asked.seed
    form = SHORT if asked.short else LONG
    folder = Path(tempfile.mkdtemp(prefix="darkroom-chaos-"))
    outcome = run(folder, asked.broker, seed, replace(form, media=asked.media or form.media))
    print(*report(outcome), sep="\n")
    if outcome.violations:
        print(f"logs and data: {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
