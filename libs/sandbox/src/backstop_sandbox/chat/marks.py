"""Turn the little languages of Slack (mrkdwn) and Discord (markdown) into safe HTML: bold, italic, strike, code, links.

Everything is escaped; only http, https and mailto links become links.
"""

import html
import re

from markupsafe import Markup

LINKABLE = re.compile(r"(https?://|mailto:)[^\s\"'<>]+")
SLACK_LINK = re.compile(r"<([^<>|\n]+)(?:\|([^<>\n]*))?>")
DISCORD_LINK = re.compile(r"\[([^\]]+)\]\((https?://[^\s)]+)\)")
BARE_LINK = re.compile(r"(?<![\">=])(https?://[^\s<>\"']+)")
CODE = re.compile(r"`([^`\n]+)`")
SLACK_STYLES = (
    (re.compile(r"(?<![\w*])\*([^*\n]+)\*(?![\w*])"), r"<strong>\1</strong>"),
    (re.compile(r"(?<![\w_/])_([^_\n]+)_(?![\w_])"), r"<em>\1</em>"),
    (re.compile(r"(?<![\w~])~([^~\n]+)~(?![\w~])"), r"<s>\1</s>"),
)
DISCORD_STYLES = (
    (re.compile(r"\*\*([^*\n]+)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"(?<![\w*])\*([^*\n]+)\*(?![\w*])"), r"<em>\1</em>"),
    (re.compile(r"(?<![\w_/])_([^_\n]+)_(?![\w_])"), r"<em>\1</em>"),
    (re.compile(r"~~([^~\n]+)~~"), r"<s>\1</s>"),
)

Styles = tuple[tuple[re.Pattern[str], str], ...]


def slack_html(text: str) -> Markup:
    """Slack's senders escape `& < >` and write links as `<address|label>`, mentions as `<!here>`."""
    links: list[str] = []

    def keep_link(match: re.Match[str]) -> str:
        address = _plain(match[1])
        return _keep(links, _link(address, _plain(match[2] or address.replace("!", "@", 1))))

    marked = SLACK_LINK.sub(keep_link, text.replace("\x00", ""))
    return _finish(_plain(marked), SLACK_STYLES, links)


def discord_html(text: str) -> Markup:
    links: list[str] = []

    def keep_link(match: re.Match[str]) -> str:
        return _keep(links, _link(match[2], match[1]))

    marked = DISCORD_LINK.sub(keep_link, text.replace("\x00", ""))
    return _finish(marked, DISCORD_STYLES, links)


def _finish(text: str, styles: Styles, links: list[str]) -> Markup:
    text = html.escape(text, quote=False)
    text = CODE.sub(lambda match: _keep(links, f"<code>{match[1]}</code>"), text)
    text = BARE_LINK.sub(lambda match: _keep(links, _link(_plain(match[1]), _plain(match[1]))), text)
    for pattern, replacement in styles:
        text = pattern.sub(replacement, text)
    text = re.sub(r"\x00(\d+)\x00", lambda match: links[int(match[1])], text)
    return Markup(text.replace("\n", "<br>"))  # noqa: S704 - every character of the text was escaped above


def _plain(text: str) -> str:
    """Undo the three escapes that both Slack and `html.escape` make."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _keep(kept: list[str], finished: str) -> str:
    """Put a finished piece aside, out of reach of the later patterns."""
    kept.append(finished)
    return f"\x00{len(kept) - 1}\x00"


def _link(address: str, label: str) -> str:
    shown = html.escape(label)
    if not LINKABLE.fullmatch(address):
        return shown
    return f'<a href="{html.escape(address)}" rel="noreferrer">{shown}</a>'
