"""The accounts at backends."""

from dataclasses import asdict

from fastapi import APIRouter, Response

from darkroom.api.deps import EngineDep
from darkroom.api.native import service_schemas
from darkroom.api.native.media import answer
from darkroom.api.problems import ALWAYS, responses
from darkroom.engine.accounts import Account

router = APIRouter(tags=["accounts"], responses=ALWAYS)


@router.get("/accounts", response_model=service_schemas.AccountList, responses=responses(503))
async def list_accounts(engine: EngineDep) -> Response:
    """List the accounts that models may be served by: what failed there, and whether they are left alone for that."""
    return answer(
        service_schemas.AccountList(items=[account_out(account) for account in await engine.accounts.every()])
    )


@router.post("/accounts/{name}/reset", response_model=service_schemas.Account, responses=responses(404, 422, 503))
async def reset(name: str, engine: EngineDep) -> Response:
    """Forget what failed at an account: jobs are sent there again."""
    return answer(account_out(await engine.accounts.reset(name)))


def account_out(account: Account) -> service_schemas.Account:
    """An account as it is shown."""
    return service_schemas.Account(**asdict(account))
