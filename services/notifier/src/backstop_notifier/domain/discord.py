"""An alert as the body of a Discord webhook: one embed.

Limits from discord.com/developers ("Embed Limits"): title 256, field name 256 and value 1,024, footer 2,048, 25 fields,
6,000 over the embed. Markdown in values is escaped, and nothing in a message can mention anybody.
"""

from __future__ import annotations

from typing import Any

from backstop_notifier.domain.alert import Alert
from backstop_notifier.domain.wording import fit

_TITLE = 256
_VALUE = 1024
_FOOTER = 2048
_ERROR = 1000
_MARKS = frozenset("\\*_~`|<>[]")


def escape(text: str) -> str:
    """Discord's markdown, shown as it is."""
    return "".join(f"\\{character}" if character in _MARKS else character for character in text)


def discord_body(alert: Alert) -> dict[str, Any]:
    """The message: a coloured embed whose title leads to the run; Discord shows its time in the reader's zone."""
    fields = [_field(label, _value(label, text), inline=label != "Execution ID") for label, text in alert.lines]
    if alert.error:
        words = fit(alert.error.replace("```", "'''"), _ERROR)
        fields.append(_field("Error", f"```\n{words}\n```"))
    if alert.results:
        fields.append(_field("Results", fit(alert.results, _VALUE, escape)))
    embed: dict[str, Any] = {
        "title": fit(alert.title, _TITLE),
        "color": alert.colour,
        "fields": fields,
        "footer": {"text": fit(alert.footer, _FOOTER)},
        "timestamp": alert.at.isoformat(),
    }
    if alert.link:
        embed["url"] = alert.link
    return {"embeds": [embed], "allowed_mentions": {"parse": []}}


def _value(label: str, text: str) -> str:
    return f"`{text}`" if label == "Execution ID" else fit(text, _VALUE, escape)


def _field(name: str, value: str, *, inline: bool = False) -> dict[str, Any]:
    return {"name": name, "value": value, "inline": inline}
