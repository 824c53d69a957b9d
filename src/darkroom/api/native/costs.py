"""What was spent, and what may be."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from darkroom.api.deps import EngineDep
from darkroom.api.native import service_schemas
from darkroom.api.native.media import answer
from darkroom.api.native.requests import CostQuery
from darkroom.api.native.schemas import amount_out
from darkroom.api.problems import ALWAYS, responses
from darkroom.engine.costs import Report, Share, Total

router = APIRouter(tags=["costs"], responses=ALWAYS)


@router.get("/costs", response_model=service_schemas.Costs, responses=responses(422, 503))
async def costs(engine: EngineDep, query: Annotated[CostQuery, Query()]) -> Response:
    """Add up what was spent, and tell what the budgets leave today. Media that are deleted have cost what they did."""
    since, until = query.days(engine.lifecycle.now())
    return answer(report_out(await engine.costs.report(query.by, since=since, until=until)))


def report_out(report: Report) -> service_schemas.Costs:
    """A report as it is shown."""
    return service_schemas.Costs(
        by=report.by,
        since=report.since,
        until=report.until,
        items=[service_schemas.SpendingItem(key=item.key, **_sums(item)) for item in report.items],
        total=service_schemas.Spending(**_sums(report.total)),
        budgets=[share_out(share) for share in report.budgets],
    )


def _sums(total: Total) -> dict[str, Any]:
    spent, reserved = amount_out(total.spent), amount_out(total.reserved)
    return {"jobs": total.jobs, "pictures": total.pictures, "spent": spent, "reserved": reserved}


def share_out(share: Share) -> service_schemas.Budget:
    """A budget as it is shown."""
    return service_schemas.Budget(
        what=share.what,
        model=share.budget.model,
        owner=share.owner,
        per_day=amount_out(share.budget.per_day),
        spent=amount_out(share.spent),
        reserved=amount_out(share.reserved),
        left=amount_out(share.left),
    )
