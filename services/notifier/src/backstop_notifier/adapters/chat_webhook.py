"""Slack and Discord incoming webhooks: one POST per alert, no redirects, no proxies from the environment.

2xx: accepted. 429: the whole channel waits as long as it was told. 408, 425, 5xx and everything the network does: later
(a duplicate is better than a loss). Any other answer: refused for good. The address is a password: it is never in an
error or a log line.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from backstop_notifier.application.ports import ClaimedDelivery, Sender
from backstop_notifier.domain.alert import Alert, AlertLook, alert_of
from backstop_notifier.domain.delivery import Accepted, Outcome, Postponed, Refused
from backstop_notifier.domain.facts import AlertFacts
from backstop_notifier.domain.wording import fit, one_line

_TIMEOUT = httpx.Timeout(10.0, connect=5.0)
_LATER = {408, 425}
_TOO_MANY = 429
_LONGEST_REASON = 200
_DEFAULT_WAIT_SECONDS = 5.0


def chat_client() -> httpx.AsyncClient:
    """The HTTP client of the chats."""
    return httpx.AsyncClient(trust_env=False, timeout=_TIMEOUT, follow_redirects=False)


@dataclass(frozen=True, slots=True)
class ChatOutlet:
    """One webhook as a channel; `body_of` speaks its vendor's format."""

    client: httpx.AsyncClient
    url: str
    look: AlertLook
    body_of: Callable[[Alert], dict[str, Any]]

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Sender]:
        """The client keeps its connections; there is nothing to open."""
        yield self

    async def send(self, delivery: ClaimedDelivery) -> Outcome:
        """Try one message once."""
        try:
            body = self.body_of(alert_of(AlertFacts.from_payload(delivery.payload), self.look))
        except (KeyError, TypeError, ValueError) as error:
            return Refused(f"the alert cannot be composed: {type(error).__name__}")
        try:
            response = await self.client.post(self.url, json=body)
        except httpx.TransportError as error:
            return Postponed(f"the chat is not reachable: {type(error).__name__}", everyone=True)
        return outcome_of_response(response, datetime.now(UTC))


def outcome_of_response(response: httpx.Response, now: datetime) -> Outcome:
    """What an answer means; `now` is what an HTTP-date in `Retry-After` is relative to."""
    if response.is_success:
        return Accepted()
    reason = fit(one_line(f"{response.status_code} {response.text[:_LONGEST_REASON]}"), _LONGEST_REASON)
    wish = retry_after_seconds(response, now)
    if response.status_code == _TOO_MANY:
        return Postponed(reason, wish if wish is not None else _DEFAULT_WAIT_SECONDS, everyone=True)
    if response.is_server_error or response.status_code in _LATER:
        return Postponed(reason, wish, everyone=True)
    return Refused(reason)


def retry_after_seconds(response: httpx.Response, now: datetime) -> float | None:
    """`Retry-After` as seconds or HTTP-date (RFC 9110, 10.2.3), or Discord's `retry_after` in the body."""
    text = response.headers.get("retry-after", "").strip()
    seconds = _number(text)
    if seconds is None and text:
        seconds = _seconds_until(text, now)
    if seconds is None and response.headers.get("content-type", "").startswith("application/json"):
        seconds = _number(_json_field(response, "retry_after"))
    return None if seconds is None else max(0.0, seconds)


def _number(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None


def _seconds_until(text: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now.timestamp()


def _json_field(response: httpx.Response, name: str) -> object:
    try:
        body = response.json()
    except ValueError:
        return None
    return body.get(name) if isinstance(body, dict) else None
