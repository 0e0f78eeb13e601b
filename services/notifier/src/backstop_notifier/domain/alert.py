"""An operator alert as content, the same for all chats: title, lines, footer, link."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from backstop_notifier.domain.facts import AlertFacts, RunFacts
from backstop_notifier.domain.wording import clean, clock, one_line, seconds_of, span

RED = 0xD92D20
GREEN = 0x12B76A

_STATUS_OF_RULE = {"run_failed": "FAILED", "provider_down": "PROVIDER_DOWN"}


@dataclass(frozen=True, slots=True)
class AlertLook:
    """Whose alerts they are, and where their links lead (no trailing slash)."""

    brand: str
    dashboard_url: str


@dataclass(frozen=True, slots=True)
class Alert:
    """What a chat message shows. `lines` are (label, value); `error` may have several lines."""

    title: str
    colour: int
    lines: tuple[tuple[str, str], ...]
    error: str
    results: str
    footer: str
    at: datetime
    link: str | None

    @property
    def footer_with_time(self) -> str:
        """`Viecom Cron Monitor • 3:45 PM UTC`."""
        return f"{self.footer} • {clock(self.at)}"


def alert_of(facts: AlertFacts, look: AlertLook) -> Alert:
    """The content of an alert, opened or resolved."""
    resolved_at = facts.resolved_at
    at = (resolved_at or facts.opened_at).astimezone(UTC)
    job = one_line(facts.job_name)
    status = "RESOLVED" if resolved_at else _STATUS_OF_RULE.get(facts.rule, one_line(facts.rule).upper())
    lines = [("Status", status)]
    if facts.provider:
        lines.append(("Provider", one_line(facts.provider)))
    if facts.run:
        lines.append(("Execution ID", facts.run.id))
        if facts.run.duration_ms is not None:
            lines.append(("Duration", seconds_of(facts.run.duration_ms)))
    if resolved_at:
        lines.append(("Open for", span(resolved_at - facts.opened_at)))
    return Alert(
        title=f"🟢 Cron Job Resolved: {job}" if resolved_at else f"🔴 Cron Job Alert: {job}",
        colour=GREEN if resolved_at else RED,
        lines=tuple(lines),
        error="" if resolved_at else _error(facts),
        results=_results(facts.run),
        footer=f"{one_line(look.brand)} Cron Monitor",
        at=at,
        link=f"{look.dashboard_url}/admin/cron-jobs/{facts.run.id}" if facts.run else None,
    )


def _error(facts: AlertFacts) -> str:
    message = facts.run.error_message if facts.run else None
    return clean(message or facts.summary).strip()


def _results(run: RunFacts | None) -> str:
    if run is None:
        return ""
    return f"Completed: {run.completed}, Failed: {run.failed}, Errors: {run.errors}"
