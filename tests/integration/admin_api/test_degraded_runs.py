"""A run during which a provider was down says so, on the page and in the API."""

from __future__ import annotations

import httpx

from backstop_common.database import Transactions
from tests.support.admin_api import AS_ADMIN
from tests.support.factories import Factory


async def test_a_degraded_run_names_the_providers_that_were_down(
    client: httpx.AsyncClient, transactions: Transactions
) -> None:
    run = await Factory(transactions).run(results={"errors": 60, "totalFound": 70, "completed": 10})
    async with transactions.begin() as tx:
        await tx.execute("UPDATE cron_job_executions SET degraded_providers = '{fal,kie}'")
    listed = (await client.get("/api/admin/cron-jobs", headers=AS_ADMIN)).json()["executions"]
    assert [(entry["id"], entry["degradedProviders"]) for entry in listed] == [(str(run), ["fal", "kie"])]
    one = (await client.get(f"/api/admin/cron-jobs/{run}", headers=AS_ADMIN)).json()
    assert one["degradedProviders"] == ["fal", "kie"]


async def test_a_run_in_good_health_names_none(client: httpx.AsyncClient, transactions: Transactions) -> None:
    await Factory(transactions).run()
    (entry,) = (await client.get("/api/admin/cron-jobs", headers=AS_ADMIN)).json()["executions"]
    assert entry["degradedProviders"] == []
