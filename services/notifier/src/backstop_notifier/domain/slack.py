"""An alert as the body of a Slack incoming webhook.

Limits and escapes from docs.slack.dev (Block Kit reference, "Escaping text"): header 150, section 3,000 characters,
about 13,200 in all blocks; `&`, `<` and `>` are escaped, which also disarms mentions and links. The top-level text is
what notifications and screen readers get, so it carries the whole alert.
"""

from __future__ import annotations

from typing import Any

from backstop_notifier.domain.alert import Alert
from backstop_notifier.domain.wording import fit

_HEADER = 150
_SECTION = 3000
_ERROR = 1500
_VALUE = 300


def escape(text: str) -> str:
    """Slack's three control characters."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def slack_body(alert: Alert) -> dict[str, Any]:
    """The message: a header, and beside a coloured bar the details, the link and the footer."""
    details: list[dict[str, Any]] = [_section("\n".join(_lines(alert)))]
    if alert.error:
        details.append(_section(f"*Error:*\n```{_code(alert.error)}```"))
    if alert.results:
        details.append(_section(f"*Results:* {_escaped(alert.results)}"))
    if alert.link:
        details.append(_section(f"<{escape(alert.link)}|View execution>"))
    details.append({"type": "context", "elements": [_mrkdwn(_footer(alert))]})
    return {
        "text": _plain(alert),
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": fit(alert.title, _HEADER), "emoji": True}}
        ],
        "attachments": [{"color": f"#{alert.colour:06x}", "blocks": details}],
    }


def _escaped(text: str) -> str:
    return fit(text, _VALUE, escape)


def _code(text: str) -> str:
    """Text for a code block: its end mark cannot appear inside."""
    return fit(text.replace("```", "'''"), _ERROR, escape)


def _lines(alert: Alert) -> list[str]:
    return [f"*{label}:* {_escaped(value)}" for label, value in alert.lines]


def _plain(alert: Alert) -> str:
    facts = [f"{label}: {_escaped(value)}" for label, value in alert.lines]
    if alert.error:
        facts.append(f"Error: {fit(alert.error, _ERROR, escape)}")
    if alert.results:
        facts.append(f"Results: {_escaped(alert.results)}")
    return "\n\n".join([_escaped(alert.title), "\n".join(facts), _escaped(alert.footer_with_time)])


def _footer(alert: Alert) -> str:
    """Slack shows the time in the reader's zone; programs that cannot show the words after the bar."""
    moment = int(alert.at.timestamp())
    brand = _escaped(alert.footer)
    return f"{brand} • <!date^{moment}^{{time}}|{_escaped(alert.footer_with_time).removeprefix(f'{brand} • ')}>"


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _mrkdwn(text[:_SECTION])}
