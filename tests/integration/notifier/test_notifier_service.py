"""The notifier as a running service: its own loops, probes and metrics; and as a process on RabbitMQ."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from uuid import uuid4

import httpx

from backstop_common.running import start_services
from backstop_sandbox import Sandbox, SandboxSettings
from tests.support.notifier import NotifierUnderTest, completed, finished, notifier_under_test
from tests.support.polling import eventually


async def test_a_running_service_mails_and_alerts_by_itself(database_url: str) -> None:
    async with (
        notifier_under_test(database_url, BACKSTOP_NOTIFIER_PORT="0") as notifier,
        start_services(notifier.runtime, [notifier.service]) as servers,
    ):
        await publish(notifier, await notifier.factory.user())
        await eventually(lambda: notifier.sandbox.mailbox.mails, what="the mail")
        await eventually(lambda: len(notifier.sandbox.chats.messages) == 2, what="both alerts")
        await notifier.turn("incident-gauges")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{servers['notifier'].port}") as client:
            assert (await client.get("/readyz")).status_code == 200
            metrics = (await client.get("/metrics")).text
    assert 'backstop_deliveries_total{channel="email",result="sent"}' in metrics
    assert 'backstop_incidents{rule="run_failed",state="open"} 1.0' in metrics


async def test_the_process_works_on_rabbitmq_and_drains_on_sigterm(database_url: str, amqp_url: str) -> None:
    async with Sandbox(SandboxSettings(port=0, smtp_port=0)) as sandbox:
        environment = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": database_url,
            "AMQP_URL": amqp_url,
            "BACKSTOP_NOTIFIER_PORT": "0",
            "SMTP_URL": f"smtp://127.0.0.1:{sandbox.smtp_port}",
            "EMAIL_FROM": "no-reply@viecom.pro",
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "backstop_notifier", env=environment, stdout=asyncio.subprocess.PIPE
        )
        try:
            async with notifier_under_test(database_url) as notifier:
                await publish(notifier, await notifier.factory.user())
            await eventually(lambda: sandbox.mailbox.mails, within=30, what="the mail")
        finally:
            process.send_signal(signal.SIGTERM)
            output, _ = await process.communicate()
        assert process.returncode == 0
        assert b"SLACK_WEBHOOK_URL is not set" in output


async def publish(notifier: NotifierUnderTest, user: str) -> None:
    """A completed task and a failed run, as recovery tells them."""
    async with notifier.transactions.begin() as tx:
        await tx.publish(completed(user), event_id=uuid4())
        await tx.publish(finished("failed", started=0, ended=1), event_id=uuid4())
