"""How much of one provider a process may use. Pure.

A provider counts the requests of an account in a window of time and punishes more. A leaky bucket lets a burst through
and then a steady flow; both together must stay below the number in every window, wherever it begins.
"""

from __future__ import annotations

from dataclasses import dataclass

_BURST_SHARE = 10


@dataclass(frozen=True, slots=True)
class Pace:
    """A leaky bucket: `burst` requests at once, and `per_second` from then on."""

    burst: int
    per_second: float


@dataclass(frozen=True, slots=True)
class Limit:
    """Of one provider: tasks in work at once (questions and copies), and the pace of requests, None for as many.

    A check of several steps counts as so many requests, whether they are needed or not.
    """

    concurrency: int
    pace: Pace | None = None
    requests_per_check: int = 1

    def checks_within(self, seconds: float) -> float:
        """How many checks the pace lets through in a while, at least one; infinite without a pace."""
        if self.pace is None:
            return float("inf")
        return max(1.0, self.pace.per_second * seconds / self.requests_per_check)


def pace_of(requests: float, per_seconds: float, *, processes: int) -> Pace:
    """The share of each of several processes in `requests` per `per_seconds` of a whole account.

    A tenth may come at once; what flows behind it makes up the rest of the window.
    """
    own = requests / processes
    burst = max(1, int(own / _BURST_SHARE))
    return Pace(burst, (own - burst + 1) / per_seconds)
