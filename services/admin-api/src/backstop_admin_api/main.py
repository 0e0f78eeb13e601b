"""Composition of the admin-api: the only module that knows all others."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence

from starlette.types import ASGIApp

from backstop_admin_api.adapters import signatures
from backstop_admin_api.application.accept_webhook import AcceptWebhook
from backstop_admin_api.application.decide_hold import DecideHold
from backstop_admin_api.application.grant_credits import GrantCredits
from backstop_admin_api.application.list_jobs import ListJobs
from backstop_admin_api.application.list_run_tasks import ListRunTasks
from backstop_admin_api.application.list_runs import ListRuns
from backstop_admin_api.application.read_hold import ReadHold
from backstop_admin_api.application.read_run import ReadRun
from backstop_admin_api.application.read_task import ReadTask
from backstop_admin_api.application.read_webhook_keys import ReadWebhookKeys
from backstop_admin_api.application.recognise_key import RecogniseKey
from backstop_admin_api.application.register_job import RegisterJob
from backstop_admin_api.application.register_task import RegisterTask
from backstop_admin_api.application.register_user import RegisterUser
from backstop_admin_api.application.report_dry_run import ReportDryRun
from backstop_admin_api.application.request_action import RequestAction
from backstop_admin_api.application.summarize_runs import SummarizeRuns
from backstop_admin_api.application.trigger_run import TriggerRun
from backstop_admin_api.application.wait_for_run import WaitForRun
from backstop_admin_api.application.webhook_addresses import WebhookAddresses
from backstop_admin_api.entrypoints.app import create_app
from backstop_admin_api.entrypoints.context import AdminApi
from backstop_admin_api.entrypoints.login_throttle import LoginThrottle
from backstop_admin_api.entrypoints.rendering import Pages
from backstop_admin_api.entrypoints.secrets import BearerSecret
from backstop_admin_api.entrypoints.sessions import Sessions
from backstop_admin_api.entrypoints.shapes import DEFAULT_JOB
from backstop_admin_api.settings import AdminApiSettings
from backstop_common.database import Transactions
from backstop_common.loop import Loop
from backstop_common.observability.probes import Check
from backstop_common.providers.catalogue import load_catalogue
from backstop_common.running import Runtime, Service


def compose_context(
    settings: AdminApiSettings, transactions: Transactions, environ: Mapping[str, str] = os.environ
) -> AdminApi:
    """The use cases and keys of these settings.

    Raises:
        ConfigurationError: the providers file is wrong.
    """
    catalogue = load_catalogue(providers_file=settings.providers_file, environ=environ)
    addresses = WebhookAddresses.of(catalogue, settings.app_base_url, settings.webhook_secret)
    read_run = ReadRun(transactions)
    return AdminApi(
        trigger_run=TriggerRun(transactions),
        wait_for_run=WaitForRun(read_run),
        read_run=read_run,
        list_runs=ListRuns(transactions),
        list_run_tasks=ListRunTasks(transactions),
        list_jobs=ListJobs(transactions),
        read_hold=ReadHold(transactions),
        decide_hold=DecideHold(transactions),
        summarize_runs=SummarizeRuns(transactions),
        report_dry_run=ReportDryRun(transactions),
        register_user=RegisterUser(transactions),
        grant_credits=GrantCredits(transactions),
        register_task=RegisterTask(transactions, catalogue),
        read_task=ReadTask(transactions, settings.assets_public_base_url),
        request_action=RequestAction(transactions),
        recognise_key=RecogniseKey(transactions),
        accept_webhook=AcceptWebhook(
            transactions,
            catalogue,
            addresses,
            signatures.judge,
            ReadWebhookKeys(transactions, time.monotonic),
            time.time,
        ),
        webhook_addresses=addresses,
        cron_secret=BearerSecret(settings.cron_secret),
        admin_token=BearerSecret(settings.admin_token),
        sessions=Sessions(
            settings.session_secret,
            settings.admin_token,
            settings.session_seconds,
            is_https=settings.app_base_url.startswith("https://"),
        ),
        login_throttle=LoginThrottle(time.monotonic),
        pages=Pages.of(brand_name=settings.brand_name, app_base_url=settings.app_base_url),
    )


def compose(settings: AdminApiSettings, runtime: Runtime, environ: Mapping[str, str] = os.environ) -> Service:
    """The admin-api as a service of this process. What the providers file takes from the environment is in `environ`.

    Raises:
        ConfigurationError: the providers file is wrong.
    """
    context = compose_context(settings, runtime.transactions, environ)
    register = RegisterJob(runtime.transactions)

    def app(loops: Sequence[Loop], checks: Mapping[str, Check]) -> ASGIApp:
        return create_app(context, loops=loops, checks=checks)

    async def start() -> None:
        await register(DEFAULT_JOB)

    return Service(
        name="admin-api",
        host=settings.host,
        port=settings.port,
        port_setting="BACKSTOP_PORT",
        loops=[Loop("statistics", context.summarize_runs.keep, interval_seconds=600.0, silent_after_seconds=1800.0)],
        app=app,
        start=start,
    )
