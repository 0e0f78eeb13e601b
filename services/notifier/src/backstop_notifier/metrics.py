"""What operators see of the notifier, beside the metrics of every service."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

DELIVERIES = Counter(
    "backstop_deliveries_total",
    "Attempts and decisions per channel: sent, retried, failed, uncertain, skipped, repeated, lease_lost.",
    ["channel", "result"],
)
INCIDENTS = Gauge("backstop_incidents", "Incidents by rule and state.", ["rule", "state"])
