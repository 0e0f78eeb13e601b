"""The admin-api as a service of a process: it serves, it is ready, and its job exists for any cron."""

from __future__ import annotations

import httpx

from backstop_admin_api.main import compose
from backstop_common.running import open_runtime, start_services
from tests.support.admin_api import AS_ADMIN, AS_CRON, admin_settings


async def test_the_service_starts_and_serves_a_cron_without_a_scheduler(database_url: str) -> None:
    settings = admin_settings(DATABASE_URL=database_url, BACKSTOP_PORT=0)
    runtime = open_runtime(settings, name="admin-api")
    async with start_services(runtime, [compose(settings, runtime)]) as servers:
        address = f"http://127.0.0.1:{servers['admin-api'].port}"
        async with httpx.AsyncClient(base_url=address) as client:
            assert (await client.get("/readyz")).status_code == 200
            assert (await client.get("/api/cron/process-stuck-tasks", headers=AS_CRON)).status_code == 202
            answer = await client.get("/api/admin/jobs", headers=AS_ADMIN)
    assert [job["name"] for job in answer.json()["jobs"]] == ["process-stuck-tasks"]
