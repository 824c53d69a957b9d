"""The query by which the Kubernetes example scales workers, on a real PostgreSQL."""

import asyncio
from pathlib import Path

import asyncpg
import yaml

from services.app import RunApp
from services.server import eventually

EXAMPLE = Path(__file__).parents[2] / "deploy" / "kubernetes" / "keda.yaml"
QUERY = next(yaml.safe_load_all(EXAMPLE.read_text()))["spec"]["triggers"][0]["metadata"]["query"]


def fetch(url: str, *statements: str) -> list[asyncpg.Record]:
    """The rows of the last statement."""

    async def run() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(url)
        try:
            return [await connection.fetch(statement) for statement in statements][-1]
        finally:
            await connection.close()

    return asyncio.run(run())


def count(url: str) -> int:
    return fetch(url, QUERY)[0][0]


def test_it_counts_the_jobs_that_are_due_or_run(run_app: RunApp, postgres_url: str) -> None:
    with run_app(database_url=postgres_url, working=False) as app, app.client() as client:
        assert count(postgres_url) == 0
        for _ in range(3):
            client.generate()
        assert count(postgres_url) == 3
        fetch(
            postgres_url,
            "UPDATE jobs SET run_at = now() + interval '1 hour' WHERE id = (SELECT min(id::text)::uuid FROM jobs)",
        )
        assert count(postgres_url) == 2, "one is to wait"
    with run_app(database_url=postgres_url, stop_grace=0) as app, app.client() as client:
        running = client.generate(parameters={"delay": 60})
        client.until(running["id"], "PROCESSING")
        eventually(lambda: count(postgres_url) == 1)


def test_it_needs_no_look_at_jobs_that_are_over(postgres_url: str) -> None:
    plan = fetch(postgres_url, "SET enable_seqscan = off", f"EXPLAIN {QUERY}")
    told = "\n".join(row[0] for row in plan)
    assert "ix_jobs_claim" in told
    assert "ix_jobs_lease" in told or "ix_jobs_account" in told, "both have only those that run"
    assert "Seq Scan" not in told
