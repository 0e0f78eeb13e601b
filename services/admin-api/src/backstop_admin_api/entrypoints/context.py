"""What the routes work with: one frozen object, put on the application by `create_app`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from backstop_admin_api.application.accept_webhook import AcceptWebhook
from backstop_admin_api.application.decide_hold import DecideHold
from backstop_admin_api.application.grant_credits import GrantCredits
from backstop_admin_api.application.list_jobs import ListJobs
from backstop_admin_api.application.list_run_tasks import ListRunTasks
from backstop_admin_api.application.list_runs import ListRuns
from backstop_admin_api.application.read_hold import ReadHold
from backstop_admin_api.application.read_run import ReadRun
from backstop_admin_api.application.read_task import ReadTask
from backstop_admin_api.application.recognise_key import RecogniseKey
from backstop_admin_api.application.register_task import RegisterTask
from backstop_admin_api.application.register_user import RegisterUser
from backstop_admin_api.application.report_dry_run import ReportDryRun
from backstop_admin_api.application.request_action import RequestAction
from backstop_admin_api.application.summarize_runs import SummarizeRuns
from backstop_admin_api.application.trigger_run import TriggerRun
from backstop_admin_api.application.wait_for_run import WaitForRun
from backstop_admin_api.application.webhook_addresses import WebhookAddresses
from backstop_admin_api.entrypoints.login_throttle import LoginThrottle
from backstop_admin_api.entrypoints.rendering import Pages
from backstop_admin_api.entrypoints.secrets import BearerSecret
from backstop_admin_api.entrypoints.sessions import Sessions


@dataclass(frozen=True, slots=True)
class AdminApi:
    """The use cases, and the keys that open them."""

    trigger_run: TriggerRun
    wait_for_run: WaitForRun
    read_run: ReadRun
    list_runs: ListRuns
    list_run_tasks: ListRunTasks
    list_jobs: ListJobs
    read_hold: ReadHold
    decide_hold: DecideHold
    summarize_runs: SummarizeRuns
    report_dry_run: ReportDryRun
    register_user: RegisterUser
    grant_credits: GrantCredits
    register_task: RegisterTask
    read_task: ReadTask
    request_action: RequestAction
    recognise_key: RecogniseKey
    accept_webhook: AcceptWebhook
    webhook_addresses: WebhookAddresses
    cron_secret: BearerSecret
    admin_token: BearerSecret
    sessions: Sessions
    login_throttle: LoginThrottle
    pages: Pages


def admin_api(request: Request) -> AdminApi:
    """The object of this application."""
    context: AdminApi = request.app.state.admin_api
    return context


Context = Annotated[AdminApi, Depends(admin_api)]
