"""Tasks of a world that misbehaves, with what each must become: rules written from the documents, not from the code.

Nothing of the product is imported. A task is `held` in a run when its provider was left alone (it had failed too often,
or asked for patience): that is an error of that run for any task, and never the last word.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import cycle, islice, zip_longest
from uuid import UUID, uuid4

from backstop_sandbox.faults.words import FAULTS_OF, Fault, Side

PROVIDERS = ("replicate", "fal", "kie")
BILLINGS = ("hold", "on_success", "prepaid", "none")
HELD = frozenset({"provider_down", "rate_limited"})
COUNTED_AS = {
    "completed": "completed",
    "failed": "failed",
    "cancelled": "failed",
    "expired": "failed",
    "asset_lost": "failed",
    "still_processing": "stillProcessing",
    "error": "errors",
    "needs_attention": "errors",
}
SETTLEMENT = {
    ("hold", "completed"): "charge",
    ("on_success", "completed"): "charge",
    ("hold", "failed"): "release",
    ("prepaid", "failed"): "refund",
}
"""By billing and how the run's result counts the task; everything else settles nothing."""

CREEPING = frozenset({Fault.SLOW_HEADERS, Fault.SLOW_BODY})
THROTTLED = frozenset({Fault.THROTTLED_SECONDS, Fault.THROTTLED_DATE})
HARMLESS_FILES = frozenset({Fault.WRONG_TYPE, Fault.REDIRECT_ELSEWHERE})
TRANSIENT = CREEPING | {
    Fault.STATUS_500,
    Fault.STATUS_502,
    Fault.STATUS_503,
    Fault.THROTTLED_SECONDS,
    Fault.THROTTLED_DATE,
    Fault.NO_CONTENT,
    Fault.FLAPPING,
    Fault.RESET_BEFORE,
    Fault.RESET_WITHIN,
    Fault.CUT_SHORT,
    Fault.CHUNK_CUT,
    Fault.GZIP_CUT,
    Fault.HTML,
    Fault.XML,
    Fault.EMPTY,
    Fault.INVALID_JSON,
    Fault.UNKNOWN_STATE,
}
"""What is healed after the first run; all other faults stay."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One task: its script at the provider, how it is paid, and its ways through the first run and to the end."""

    provider: str
    first: str
    final: str
    behaviour: str = "succeeded"
    fault: Fault | None = None
    side: Side | None = None
    kind: str = "image"
    billing: str = "hold"
    age_seconds: float = 1200
    has_provider_id: bool = True
    id: UUID = field(default_factory=uuid4)

    @property
    def provider_task_id(self) -> str | None:
        return f"g-{self.id.hex}" if self.has_provider_id else None

    @property
    def is_healed(self) -> bool:
        """Whether the fault passes after the first run."""
        return self.fault in TRANSIENT

    @property
    def outputs(self) -> int:
        return 3 if self.behaviour == "succeeded_several" else 1

    def script(self, *, healed: bool = False) -> dict[str, object]:
        """For the sandbox's control API."""
        fault = {f"{self.side}_fault": self.fault} if self.fault and not (healed and self.is_healed) else {}
        extra = {"failing_polls": 1, "failing_status": 500, "delay_seconds": 1.0}
        return {
            "provider": self.provider,
            "id": self.provider_task_id,
            "kind": self.kind,
            "behaviour": self.behaviour,
            **extra,
            **fault,
        }


def plan(*, healthy: int, hostile: int, creeping_apis: bool) -> list[Planned]:
    """Tasks in the order of their age, the oldest first; hostile ones evenly between the healthy.

    Args:
        creeping_apis: whether some provider APIs crawl, which costs half a minute of patience.
    """
    good, bad = list(islice(_healthy(), healthy)), list(islice(_hostile(creeping_apis), hostile))
    creeping = [task for task in bad if task.fault in CREEPING]
    bad = [task for task in bad if task.fault not in CREEPING]
    every = (len(good) + len(bad)) / max(1, len(bad))
    mixed = list(good)
    for number, task in enumerate(bad):
        mixed.insert(min(len(mixed), int(number * every)), task)
    billings = cycle(BILLINGS)
    return [
        replace(task, billing=next(billings), age_seconds=task.age_seconds + (len(mixed) - number) / 10)
        for number, task in enumerate([*creeping, *mixed])
    ]


def _healthy() -> Iterator[Planned]:
    for provider in cycle(PROVIDERS):
        yield from (
            Planned(provider, "completed", "completed"),
            Planned(provider, "completed", "completed", kind="video"),
            Planned(provider, "completed", "completed", "succeeded_several"),
            Planned(provider, "failed", "failed", "failed"),
            Planned(provider, "completed", "completed"),
            Planned(provider, "still_processing", "processing", "processing"),
            _cancelled(provider),
            Planned(provider, "completed", "completed", "slow", kind="video"),
            Planned(provider, "still_processing", "failed", "unknown_id"),
            _expired(provider),
            Planned(provider, "completed", "completed"),
            Planned(provider, "error", "completed", "flaky"),
            Planned(provider, "failed", "failed", age_seconds=2400, has_provider_id=False),
            Planned(provider, "still_processing", "processing", age_seconds=900, has_provider_id=False),
            Planned(provider, "completed", "completed", "succeeded_several", kind="video"),
        )


def _cancelled(provider: str) -> Planned:
    """KIE has no word for it: such a task failed."""
    outcome = "failed" if provider == "kie" else "cancelled"
    return Planned(provider, outcome, outcome, "cancelled")


def _expired(provider: str) -> Planned:
    """Replicate says that the output is gone; with the others the file host does, and is asked again before."""
    if provider == "replicate":
        return Planned(provider, "expired", "expired", "expired")
    return Planned(provider, "error", "asset_lost", "expired")


def _hostile(creeping_apis: bool) -> Iterator[Planned]:
    """Both sides in turn, so that no provider seems to be down; wishes to wait come last, because all have to obey."""
    sides = [[(side, fault) for fault in sorted(FAULTS_OF[side])] for side in Side]
    pairs = [pair for both in zip_longest(*sides) for pair in both if pair is not None]
    kept = [(s, f) for s, f in pairs if creeping_apis or s is Side.FILE or f not in CREEPING]
    kept.sort(key=lambda pair: pair[0] is Side.API and pair[1] in THROTTLED)
    for turn in cycle(range(len(PROVIDERS))):
        for number, (side, fault) in enumerate(kept):
            yield _faulty(PROVIDERS[(number + turn) % len(PROVIDERS)], side, fault, number + turn)


def _faulty(provider: str, side: Side, fault: Fault, number: int) -> Planned:
    behaviour = "failed" if side is Side.API and number % 2 else "succeeded"
    ending = "failed" if behaviour == "failed" else "completed"
    first = "error"
    if side is Side.FILE and fault in HARMLESS_FILES:
        first = "completed"
    if side is Side.API and fault is Fault.FLAPPING:
        first = "still_processing"
    final = ending if fault in TRANSIENT or first == "completed" else "open"
    kind = "video" if number % 4 == 0 else "image"
    return Planned(provider, first, final, behaviour, fault, side, kind)
