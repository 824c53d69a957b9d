"""Many runs, and what to say of them."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from money.plans import Plan, name_of
from money.runs import Outcome, run
from money.stage import Stage
from money.vendors import Vendor

TOGETHER = 6
"""Runs at once: they mostly wait for leases to run out."""

Say = Callable[[str], object]


async def show(
    vendor: Vendor,
    plans: Sequence[Plan],
    folder: Path,
    *,
    server: str | None = None,
    times: int = 1,
    say: Say = print,
) -> list[Outcome]:
    """Carry out all plans, several at once.

    `times`: how often one is carried out whose blows do not all find their steps, as on a machine that is busy.
    """
    async with Stage(vendor, folder, together=min(TOGETHER, len(plans)), server=server).open() as stage:

        async def one(plan: Plan) -> Outcome:
            for _ in range(times):
                outcome = await run(stage, plan)
                for violation in outcome.violations:
                    say(f"VIOLATION {plan}: {violation}")
                if outcome.violations or len(outcome.struck) == len(plan.blows):
                    break
            return outcome

        return await asyncio.gather(*map(one, plans))


def report(outcomes: Sequence[Outcome]) -> list[str]:
    """What was done and found, in lines."""
    struck = Counter(name_of(blow.step) for outcome in outcomes for blow in outcome.struck)
    missed = sum(len(outcome.plan.blows) for outcome in outcomes) - struck.total()
    wrong = sum(len(outcome.violations) for outcome in outcomes)
    return [
        *(f"{times:5} {name}" for name, times in sorted(struck.items())),
        f"{missed:5} blows found the media elsewhere, or ended",
        f"workers       {_listed(Counter(blow.sign for outcome in outcomes for blow in outcome.struck))}",
        f"media         {_listed(Counter(outcome.end for outcome in outcomes))}",
        f"jobs          {_listed(sum(map(_jobs, outcomes), Counter()))}",
        f"created       {_listed(Counter(f'{outcome.created} for a media:' for outcome in outcomes))}",
        f"{wrong} violations" if wrong else "nothing is wrong",
    ]


def _jobs(outcome: Outcome) -> Counter[str]:
    assert outcome.found is not None
    return Counter(job.state.value for job in outcome.found.jobs)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {times}" for name, times in sorted(counts.items()))
