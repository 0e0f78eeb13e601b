"""Numbers and moments as people read them on the pages; the browser puts moments into the viewer's zone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

NOTHING = "–"


def duration_text(milliseconds: int | None) -> str:
    """`850 ms`, `12.3 s`, `4 min 05 s`, `2 h 03 min`; a dash for what has no duration yet."""
    if milliseconds is None:
        return NOTHING
    if milliseconds < 1000:  # noqa: PLR2004 - milliseconds of a second
        return f"{milliseconds} ms"
    if milliseconds < 59_950:  # noqa: PLR2004 - from here on it would read 60.0 s
        return f"{milliseconds / 1000:.1f} s"
    seconds = round(milliseconds / 1000)
    if seconds < 3600:  # noqa: PLR2004 - seconds of an hour
        return f"{seconds // 60} min {seconds % 60:02} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02} min"


def count_text(count: int) -> str:
    """`12,345`."""
    return f"{count:,}"


def percent_text(percent: float) -> str:
    """`98.4 %`; whole numbers without a fraction."""
    return f"{percent:.1f}".removesuffix(".0") + " %"


def moment_text(moment: datetime) -> str:
    """For browsers without scripts."""
    return moment.astimezone(UTC).strftime("%d %b %Y, %H:%M:%S UTC")


def moment_iso(moment: datetime) -> str:
    """For the `datetime` attribute."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def trigger_text(trigger: str, actor: str | None) -> str:
    """Who or what asked for a run."""
    words = {"schedule": "Schedule", "manual": "Manual", "cron": "Cron endpoint"}
    text = words.get(trigger, trigger)
    return f"{text} by {actor}" if actor else text


def settlement_text(detail: Mapping[str, object]) -> str:
    """The credits that a dry run found would move: `10 charged`, `10 released`; a dash for none."""
    past = {"charge": "charged", "release": "released", "refund": "refunded"}
    settlement = detail.get("settlement")
    if not settlement:
        return NOTHING
    return f"{count_text(int(str(detail.get('credits'))))} {past.get(str(settlement), settlement)}"


def outcome_text(outcome: str | None) -> str:
    """`timed_out` as people write it."""
    return NOTHING if outcome is None else outcome.replace("_", " ")
