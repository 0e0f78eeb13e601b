"""Set the gauge of incidents by rule and state."""

from __future__ import annotations

from dataclasses import dataclass

from backstop_common.database import Transactions
from backstop_notifier.metrics import INCIDENTS


@dataclass(frozen=True, slots=True)
class CountIncidents:
    """A background loop. Both states of a rule are always told, so that "open" goes back to zero."""

    transactions: Transactions

    async def run_once(self) -> bool:
        """Count and set; always False.

        Raises:
            TransientError: the database is away.
        """
        async with self.transactions.read() as reading:
            rows = await reading.rows(
                "SELECT rule, count(*) FILTER (WHERE state = 'open') AS open,"
                " count(*) FILTER (WHERE state = 'resolved') AS resolved FROM incidents GROUP BY rule"
            )
        for row in rows:
            INCIDENTS.labels(rule=row["rule"], state="open").set(row["open"])
            INCIDENTS.labels(rule=row["rule"], state="resolved").set(row["resolved"])
        return False
