"""How much one run may fail before a person has to agree. Pure.

Many failures at once are more often a mistake (a provider that answers nonsense, a wrong key, a specification that is
out of date) than many failures: credits given back and users told cannot be taken back.
"""

from __future__ import annotations

from dataclasses import dataclass

OFF_PERCENT = 100


@dataclass(frozen=True, slots=True)
class Tally:
    """What a run has come to so far: `failed` of `checked` tasks, without those that a person decided about.

    Neither counts an ending that was approved; a withheld task was not decided at all.
    """

    failed: int
    checked: int


@dataclass(frozen=True, slots=True)
class BlastRadius:
    """At least `min_failed` and more than `percent` of the checked ones is too much; 100 percent switches it off.

    A withheld task is checked again after `recheck_seconds`: the provider may be well again.
    """

    percent: int = 50
    min_failed: int = 20
    recheck_seconds: float = 300

    def is_exceeded_by(self, tally: Tally) -> bool:
        """Whether a run with this tally has to stop and ask."""
        if self.percent >= OFF_PERCENT or tally.failed < self.min_failed:
            return False
        return tally.failed * 100 > self.percent * tally.checked


def stop_sentence(tally: Tally, limit_percent: int, job_name: str) -> str:
    """Why the run stopped, and what ends the hold."""
    return (
        f"stopped: it would have failed {tally.failed} of {tally.checked} checked tasks, more than the limit of"
        f" {limit_percent} %; nothing more is failed until somebody decides:"
        f" backstop hold approve|recheck {job_name}"
    )
