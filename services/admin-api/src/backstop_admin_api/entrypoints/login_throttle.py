"""How often an address may try a wrong token: a bucket of attempts that fills up slowly.

Kept in the memory of this process: with several replicas an address has as many buckets, and a restart fills them.
The tokens are too long to be guessed either way; this keeps the noise down.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

_MOST_ADDRESSES = 10_000


@dataclass(slots=True)
class LoginThrottle:
    """`attempts` wrong tokens at once, then one more every `refill_seconds`. `clock` counts seconds."""

    clock: Callable[[], float]
    attempts: int = 5
    refill_seconds: float = 30.0
    _buckets: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def wait_seconds(self, address: str) -> float:
        """How long this address has to wait before it may try; 0 when it may try now."""
        missing = 1.0 - self._tokens(address)
        return max(0.0, missing * self.refill_seconds)

    def failed(self, address: str) -> None:
        """This address just tried a wrong token."""
        self._buckets[address] = (self._tokens(address) - 1.0, self.clock())
        self._buckets.move_to_end(address)
        if len(self._buckets) > _MOST_ADDRESSES:
            self._buckets.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """This address knows the token."""
        self._buckets.pop(address, None)

    def _tokens(self, address: str) -> float:
        tokens, at = self._buckets.get(address, (float(self.attempts), self.clock()))
        return min(float(self.attempts), tokens + (self.clock() - at) / self.refill_seconds)
