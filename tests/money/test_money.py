"""Whatever moment a worker ends at, nothing is paid for twice and every media ends: each step once a provider."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from money.plans import Blow, Plan, each_step
from money.runs import Outcome
from money.show import report, show
from money.steps import GAP
from money.vendors import VENDORS, Vendor

pytestmark = pytest.mark.timeout(300)

AFTER_GAP = {
    "replicate": "COMPLETED",
    "openai": "ERROR submission_uncertain",
    "fal": "ERROR submission_uncertain",
    "bfl": "ERROR submission_uncertain",
    "comfyui": "COMPLETED",
}


def carry_out(vendor: Vendor, plans: Sequence[Plan], folder: Path) -> list[Outcome]:
    """The outcomes of plans, all of whose blows have struck and whose audits found nothing."""
    outcomes = asyncio.run(show(vendor, plans, folder, times=3))
    print(*report(outcomes), sep="\n")
    assert [(str(outcome.plan), outcome.violations) for outcome in outcomes if outcome.violations] == []
    assert [str(outcome.plan) for outcome in outcomes if len(outcome.struck) < len(outcome.plan.blows)] == []
    return outcomes


@pytest.mark.parametrize("vendor", VENDORS.values(), ids=VENDORS)
def test_a_worker_killed_at_any_step_costs_nothing_twice(vendor: Vendor, tmp_path: Path) -> None:
    for outcome in carry_out(vendor, each_step(vendor), tmp_path):
        in_gap = outcome.plan.blows[0].step.name in GAP and outcome.plan.cancel is None
        assert outcome.end == (AFTER_GAP[vendor.name] if in_gap else outcome.end), str(outcome.plan)


@pytest.mark.parametrize("name", ["openai", "fal"])
def test_a_model_that_may_be_asked_for_again_is_completed(name: str, tmp_path: Path) -> None:
    vendor = VENDORS[name]
    wanted = {"create: lost": 1, "create: unanswered": 2}
    steps = [step for step in vendor.steps if step.name in wanted]
    plans = [Plan(n, (Blow(step),), resubmit=True) for n, step in enumerate(steps)]
    for outcome in carry_out(vendor, plans, tmp_path):
        assert outcome.end == "COMPLETED"
        assert outcome.created == wanted[outcome.plan.blows[0].step.name]
