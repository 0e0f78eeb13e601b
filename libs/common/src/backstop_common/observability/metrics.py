"""Metrics that every service has. Base units, no ids in labels."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

MESSAGES_HANDLED = Counter(
    "backstop_messages_handled_total", "Messages by queue and what became of them.", ["queue", "result"]
)
MESSAGES_PUBLISHED = Counter(
    "backstop_messages_published_total", "Outbox rows by type and result of publishing.", ["type", "result"]
)
OUTBOX_PENDING = Gauge("backstop_outbox_pending", "Messages that have not left the outbox yet.")
OUTBOX_OLDEST = Gauge("backstop_outbox_oldest_seconds", "Age of the oldest message in the outbox.")
DEAD_LETTERS = Gauge("backstop_dead_letters", "Messages in the dead-letter queue.", ["queue"])
LOOP_TURNS = Counter("backstop_loop_turns_total", "Turns of a background loop.", ["loop", "result"])
