"""The long form, by command: `uv run python tests/money/run.py --provider replicate --runs 200 --seed 7`."""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # where the packages of the tests are

from money.plans import plan
from money.show import report, show
from money.vendors import VENDORS


def main() -> int:
    """Return 1 if anything is wrong; then the folder with all logs is kept."""
    parser = argparse.ArgumentParser(description="Kill the workers of paid jobs at every step, and look at the bill.")
    parser.add_argument("--provider", choices=sorted(VENDORS), default="replicate")
    parser.add_argument("--runs", type=int, default=200, help="how many media are asked for")
    parser.add_argument("--seed", type=int, help="of the first run, the next ones follow; default: any")
    parser.add_argument("--only", type=int, metavar="SEED", help="this run alone")
    parser.add_argument("--resubmit", action="store_true", help="with resubmit = true: it may be asked for again")
    parser.add_argument("--database", metavar="URL", help="a PostgreSQL where databases may be made; unset: SQLite")
    asked = parser.parse_args()
    first = random.SystemRandom().randrange(10**6) if asked.seed is None else asked.seed
    seeds = range(first, first + asked.runs) if asked.only is None else [asked.only]
    vendor, began = VENDORS[asked.provider], time.monotonic()
    print(f"{vendor.name}, seeds {seeds[0]} to {seeds[-1]}{', resubmit = true' if asked.resubmit else ''}")
    folder = Path(tempfile.mkdtemp(prefix="darkroom-money-"))
    plans = [plan(vendor, seed, resubmit=asked.resubmit) for seed in seeds]
    outcomes = asyncio.run(show(vendor, plans, folder, server=asked.database))
    print(*report(outcomes), f"{len(outcomes)} runs took {time.monotonic() - began:.0f} s", sep="\n")
    if any(outcome.violations for outcome in outcomes):
        print(f"logs and data: {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
