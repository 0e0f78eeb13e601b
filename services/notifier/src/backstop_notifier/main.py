"""The notifier, put together: the only module that knows all others."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Sequence
from uuid import uuid4

import httpx
import structlog
from pydantic import SecretStr

from backstop_common.loop import Loop
from backstop_common.running import Runtime, Service
from backstop_notifier.adapters.chat_webhook import ChatOutlet, chat_client
from backstop_notifier.adapters.mail_composing import MailComposer
from backstop_notifier.adapters.smtp_mailer import SmtpOutlet
from backstop_notifier.application.alert_operators import AlertOperators
from backstop_notifier.application.count_incidents import CountIncidents
from backstop_notifier.application.judge_run import JudgeRun
from backstop_notifier.application.mail_user import MailUser
from backstop_notifier.application.ports import Outlet
from backstop_notifier.application.release_deliveries import ReleaseDeliveries
from backstop_notifier.application.send_deliveries import SendDeliveries
from backstop_notifier.domain.alert import AlertLook
from backstop_notifier.domain.delivery import Channel
from backstop_notifier.domain.discord import discord_body
from backstop_notifier.domain.letter import Branding
from backstop_notifier.domain.slack import slack_body
from backstop_notifier.entrypoints.handlers import SERVICE, Handlers
from backstop_notifier.settings import NotifierSettings, parse_smtp_url

_log = structlog.get_logger(__name__)

_SEND_SECONDS = 2.0
_RELEASE_SECONDS = 5.0
_COUNT_SECONDS = 15.0
_SETTINGS = {
    Channel.EMAIL: "SMTP_URL",
    Channel.SLACK: "SLACK_WEBHOOK_URL",
    Channel.DISCORD: "DISCORD_WEBHOOK_URL",
}


def compose(settings: NotifierSettings, runtime: Runtime) -> Service:
    """The notifier's service on a runtime."""
    client = chat_client()
    outlets = outlets_of(settings, client)
    loops = [
        _sending_loop(runtime, channel, outlet, settings.delivery_lease_seconds) for channel, outlet in outlets.items()
    ]

    def wake() -> None:
        for loop in loops:
            loop.wake()

    handlers = Handlers(
        mail_user=MailUser(runtime.transactions, mails_enabled=Channel.EMAIL in outlets),
        judge_run=JudgeRun(runtime.transactions),
        alert_operators=AlertOperators(
            runtime.transactions, tuple(channel for channel in outlets if channel is not Channel.EMAIL)
        ),
        wake=wake,
    )

    async def start() -> None:
        _tell_what_is_off(settings, outlets)

    return Service(
        name=SERVICE,
        host=settings.host,
        port=settings.port,
        port_setting="BACKSTOP_NOTIFIER_PORT",
        subscriptions=handlers.subscriptions(),
        loops=[*loops, *_upkeep(runtime)],
        start=start,
        stop=client.aclose,
    )


def outlets_of(settings: NotifierSettings, client: httpx.AsyncClient) -> dict[Channel, Outlet]:
    """The configured channels."""
    outlets: dict[Channel, Outlet] = {}
    if settings.smtp_url is not None:
        brand = Branding(settings.brand_name, settings.library_url, settings.support_email)
        address = parse_smtp_url(settings.smtp_url.get_secret_value())
        outlets[Channel.EMAIL] = SmtpOutlet(address, MailComposer(brand, settings.sender))
    look = AlertLook(settings.brand_name, settings.dashboard_url or settings.app_base_url)
    chats = (
        (Channel.SLACK, settings.slack_webhook_url, slack_body),
        (Channel.DISCORD, settings.discord_webhook_url, discord_body),
    )
    for channel, url, body_of in chats:
        if isinstance(url, SecretStr):
            outlets[channel] = ChatOutlet(client, url.get_secret_value(), look, body_of)
    return outlets


def _sending_loop(runtime: Runtime, channel: Channel, outlet: Outlet, lease_seconds: float) -> Loop:
    holder = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
    sending = SendDeliveries(runtime.transactions, channel, outlet, holder, random.random, lease_seconds)
    return Loop(f"deliveries-{channel}", sending.run_once, interval_seconds=_SEND_SECONDS)


def _upkeep(runtime: Runtime) -> Sequence[Loop]:
    release = ReleaseDeliveries(runtime.transactions)
    count = CountIncidents(runtime.transactions)
    return (
        Loop("delivery-leases", release.run_once, interval_seconds=_RELEASE_SECONDS),
        Loop("incident-gauges", count.run_once, interval_seconds=_COUNT_SECONDS),
    )


def _tell_what_is_off(settings: NotifierSettings, outlets: dict[Channel, Outlet]) -> None:
    for channel, setting in _SETTINGS.items():
        if channel not in outlets:
            _log.warning("channel_is_off", channel=channel.value, reason=f"{setting} is not set; nothing is sent there")
    if Channel.EMAIL in outlets and settings.email_from is None:
        _log.warning("sender_is_guessed", email_from=str(settings.sender), remedy="set EMAIL_FROM")
