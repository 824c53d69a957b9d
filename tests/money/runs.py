"""One run: a media is asked for, its workers are struck as planned, and others go on until it has ended."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from signal import SIGKILL
from uuid import uuid4

from sqlalchemy import Connection, update

from darkroom.db import tables
from darkroom.engine.core import Engine
from darkroom.errors import Conflict
from darkroom.media.states import ENDED
from darkroom.wiring import open_engine
from money.audit import Evidence, audit
from money.plans import Blow, Plan
from money.stage import Place, Stage
from money.steps import LATE, AtBackend
from money.worker import Worker
from services.backends.base import Created, Fault
from services.engines import media_of, rows, stored, submit
from services.life import read_tables

PATIENCE = 60.0
"""Seconds in which a media must have ended."""
OFTEN = 0.1
"""Seconds between two looks at it."""
AT_LATEST = 15.0
"""Seconds after which its caller cancels it, if nothing has struck its worker: it may be slow to start."""


@dataclass(slots=True)
class Outcome:
    """What one run found. `struck`: the blows that found their step."""

    plan: Plan
    found: Evidence | None = None
    struck: list[Blow] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    @property
    def end(self) -> str:
        """How the media ended: its status, and the error if it has one."""
        assert self.found is not None
        media = self.found.media
        return " ".join([media.status.value, *([media.error["code"]] if media.error else [])])

    @property
    def created(self) -> int:
        """How much the backend made for it."""
        assert self.found is not None
        return len(self.found.created)


async def run(stage: Stage, plan: Plan) -> Outcome:
    """Have everything happen that the plan says, and look at what is left."""
    async with stage.place(plan) as place:
        outcome = Outcome(plan)
        async with open_engine(place.settings) as caller:
            outcome.found = await _Run(stage, plan, place, caller, outcome).carry_out()
        outcome.violations += audit(stage.vendor, plan, outcome.found)
    return outcome


class _Run:
    def __init__(self, stage: Stage, plan: Plan, place: Place, caller: Engine, outcome: Outcome) -> None:
        self._vendor = stage.vendor
        self._plan = plan
        self._fake, self._folder, self._settings = place.fake, place.folder, place.settings
        self._caller = caller
        self._outcome = outcome
        self._prompt = f"picture {plan.seed}, {uuid4()}"
        self._deadline = time.monotonic() + PATIENCE
        self._complete_at = 0.0
        self._may_be_cancelled = False

    async def carry_out(self) -> Evidence:
        self._media = await submit(self._caller, self._prompt, model=self._settings.default_model)
        for n, blow in enumerate((*self._plan.blows, None)):
            if await self._is_over():
                break
            async with self._worker(blow, first=n == 0) as worker:
                await self._watch(worker, blow)
        return await self._look()

    @asynccontextmanager
    async def _worker(self, blow: Blow | None, *, first: bool) -> AsyncIterator[Worker]:
        """A worker that `blow` is to strike; it is asked to stop in the end, if it is still there."""
        here = blow is not None and not isinstance(blow.step, AtBackend)
        worker = Worker(
            self._settings,
            self._folder / "workers.jsonl",
            at=blow.step if blow and here else None,
            sign=blow.signal or SIGKILL if blow else SIGKILL,
        )
        fault = self._arm(blow, worker) if blow and not here else None
        cancels = first and self._plan.cancel is not None
        cancelling = asyncio.create_task(self._cancel_in_time(fault, worker)) if cancels else None
        try:
            yield worker
            await self._farewell(worker, blow)
            if blow and (fault not in self._fake.faults if fault else _is_struck(worker, blow)):
                self._outcome.struck.append(blow)
        finally:
            worker.kill()
            if cancelling is not None:
                await cancelling
            worker.close()
            self._fake.faults.clear()

    def _arm(self, blow: Blow, worker: Worker) -> Fault:
        """Have the backend strike, at the very moment."""
        step = blow.step
        assert isinstance(step, AtBackend)
        strikes = {"killed": worker.kill, "stopped": worker.terminate, "cut off": None}
        exactly = {"skip": step.skip, "strike": strikes[blow.sign]}
        match step.moment:
            case "lost":
                return self._fake.fail(step.endpoint, "cut", **exactly)
            case "late":
                return self._fake.fail(step.endpoint, "slow", seconds=LATE, **exactly)
            case "unanswered":
                return self._fake.fail(step.endpoint, "cut", handled=True, **exactly)
        return self._fake.fail(step.endpoint, "cut_body", **exactly)

    async def _watch(self, worker: Worker, blow: Blow | None) -> None:
        """Return once the worker is gone or all is over.

        What is late at a backend that is asked again under the same id must not be later than the lease lasts, which
        is as long as nobody else looks.
        """
        while not await worker.gone(within=OFTEN):
            if await self._is_over() or time.monotonic() > self._deadline:
                return
        if is_late(blow):
            self._complete_at = time.monotonic() + LATE * 1.5
            while self._vendor.ours and not self._made() and time.monotonic() < self._deadline:
                await asyncio.sleep(OFTEN)
        await self._caller.database.transact(self._run_out)

    def _run_out(self, connection: Connection) -> None:
        """Nobody is left to extend leases: so that nobody has to wait, they have run out."""
        before = self._caller.lifecycle.now() - timedelta(seconds=1)
        connection.execute(update(tables.jobs).where(tables.RUNNING).values(lease_expires_at=before))

    async def _farewell(self, worker: Worker, blow: Blow | None) -> None:
        worker.terminate()
        if not await worker.gone(within=10):
            self._outcome.violations.append(f"worker {worker.pid} does not stop")
        elif worker.exit_code not in ((0, -SIGKILL) if blow and blow.sign == "killed" else (0,)):
            self._outcome.violations.append(f"worker {worker.pid} ended with {worker.exit_code}")

    # Cancelling

    async def _cancel_in_time(self, fault: Fault | None, worker: Worker) -> None:
        """Cancel the media as its first worker is struck, or once that is gone; where neither happens, soon."""
        at_once = self._plan.cancel == "with the first blow"
        latest = time.monotonic() + AT_LATEST
        while worker.alive and time.monotonic() < latest:
            if at_once and fault and fault not in self._fake.faults:
                break
            await asyncio.sleep(0.005 if at_once else OFTEN)
        try:
            await self._caller.lifecycle.cancel(self._media)
        except Conflict:
            return
        self._may_be_cancelled = True

    # What is there

    async def _is_ended(self) -> bool:
        return (await media_of(self._caller, self._media)).status in ENDED

    async def _is_over(self) -> bool:
        """Whether the media has ended, and what it left behind is cleared."""
        return await self._is_ended() and not await rows(self._caller, tables.trash)

    async def _created(self) -> list[Created]:
        """What the backend began for this media, be it after its sender has gone."""
        await asyncio.sleep(max(0.0, self._complete_at - time.monotonic()))
        return self._made()

    def _made(self) -> list[Created]:
        return [each for each in self._fake.created if f'"{self._prompt}"' in json.dumps(each.body)]

    async def _look(self) -> Evidence:
        created = await self._created()
        return Evidence(
            media=(await rows(self._caller, tables.media))[0],
            jobs=sorted(await rows(self._caller, tables.jobs), key=lambda job: job.number),
            files=await rows(self._caller, tables.files),
            spending=await rows(self._caller, tables.spending),
            tables=await self._caller.database.read(read_tables),
            stored=await stored(self._caller),
            created=created,
            going_on=[each.id for each in created if self._vendor.goes_on(self._fake, each.id)],
            may_be_cancelled=self._may_be_cancelled,
            struck=self._outcome.struck,
        )


def _is_struck(worker: Worker, blow: Blow) -> bool:
    """Whether a worker ended as it was to end by itself."""
    return worker.exit_code == (-SIGKILL if blow.sign == "killed" else 0)


def is_late(blow: Blow | None) -> bool:
    """Whether a request is carried out after its sender has gone."""
    return blow is not None and isinstance(blow.step, AtBackend) and blow.step.moment == "late"
