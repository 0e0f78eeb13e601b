"""What the outside world knows: the scripted generations, how often each was asked about and fetched, provider outages.

Everything is in memory and single-threaded; `on_change` is called after each change so that a keeper can save it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from backstop_sandbox.faults.words import Fault, Side
from backstop_sandbox.script import Provider, Script, parse_script
from backstop_sandbox.stages import Trouble, View, output_path, stage_at
from backstop_sandbox.visits import Visits


@dataclass(slots=True)
class Generation:
    """A script and what happened to it so far."""

    script: Script
    registered_at: datetime
    polls: int = 0
    results: int = 0
    downloads: int = 0
    downloads_with_credentials: int = 0
    last_poll_at: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        asked_at = self.last_poll_at.isoformat() if self.last_poll_at else None
        return self.script.as_json() | {
            "key": self.script.key,
            "files": [output_path(self.script, index) for index in range(self.script.outputs)],
            "registered_at": self.registered_at.isoformat(),
            "polls": self.polls,
            "results": self.results,
            "downloads": self.downloads,
            "downloads_with_credentials": self.downloads_with_credentials,
            "last_poll_at": asked_at,
        }


@dataclass(slots=True)
class Outage:
    """A whole provider is unwell for the next `times` requests; None means until it is lifted."""

    trouble: Trouble
    times: int | None = None


@dataclass(slots=True)
class WorldFault:
    """All providers, or the file host as a whole, misbehave for the next `times` requests; None means until lifted."""

    fault: Fault
    times: int | None = None


@dataclass(slots=True)
class World:
    """All generations by (provider, id)."""

    now: Callable[[], datetime]
    on_change: Callable[[], None] = lambda: None
    generations: dict[tuple[Provider, str], Generation] = field(default_factory=dict)
    by_key: dict[str, Generation] = field(default_factory=dict)
    outages: dict[Provider, Outage] = field(default_factory=dict)
    unknown_polls: dict[Provider, int] = field(default_factory=dict)
    faults: dict[Side, WorldFault] = field(default_factory=dict)
    visits: Visits = field(default_factory=Visits)

    def register(self, script: Script) -> Generation:
        """Play this script from now on; the same script again changes nothing, another one starts afresh."""
        known = self.generations.get((script.provider, script.id))
        if known is not None and known.script == script:
            return known
        generation = Generation(script, self.now())
        self._add(generation)
        self.on_change()
        return generation

    def poll(self, provider: Provider, task: str, origin: str) -> View | None:
        """Count one question about a task; None when nobody registered it."""
        generation = self.generations.get((provider, task))
        if generation is None:
            self.unknown_polls[provider] = self.unknown_polls.get(provider, 0) + 1
            return None
        generation.polls += 1
        generation.last_poll_at = self.now()
        self.on_change()
        return self._view(generation, origin)

    def result(self, provider: Provider, task: str, origin: str) -> View | None:
        """Count one question for the result (fal's second step), answered as of the last poll."""
        generation = self.generations.get((provider, task))
        if generation is None:
            return None
        generation.results += 1
        self.on_change()
        return self._view(generation, origin)

    def downloaded(self, generation: Generation, *, with_credentials: bool) -> None:
        generation.downloads += 1
        generation.downloads_with_credentials += with_credentials
        self.on_change()

    def trouble_of(self, provider: Provider) -> Trouble | None:
        """The trouble this request meets, if the provider is unwell; uses up one of its times."""
        outage = self.outages.get(provider)
        if outage is None:
            return None
        if outage.times is not None:
            outage.times -= 1
            if outage.times <= 0:
                del self.outages[provider]
        return outage.trouble

    def fault_of(self, side: Side, generation: Generation) -> Fault | None:
        """What goes wrong with this request: the whole world's fault first, then the script's own."""
        everywhere = self.faults.get(side)
        if everywhere is None:
            turn = generation.polls if side is Side.API else generation.downloads
            return generation.script.fault_at(side, turn)
        if everywhere.times is not None:
            everywhere.times -= 1
            if everywhere.times <= 0:
                del self.faults[side]
        return everywhere.fault

    def clear(self) -> None:
        self.generations.clear()
        self.by_key.clear()
        self.outages.clear()
        self.unknown_polls.clear()
        self.faults.clear()
        self.visits.clear()
        self.on_change()

    def dump(self) -> list[dict[str, Any]]:
        return [_dump(generation) for generation in self.generations.values()]

    def load(self, saved: Iterable[dict[str, Any]]) -> None:
        """Take over what `dump` gave. Raises KeyError, TypeError or ValueError when it is something else."""
        for row in saved:
            self._add(_load(row))

    def _add(self, generation: Generation) -> None:
        script = generation.script
        self.generations[script.provider, script.id] = generation
        self.by_key[script.key] = generation

    def _view(self, generation: Generation, origin: str) -> View:
        poll = max(1, generation.polls)
        script = generation.script
        return View(script, stage_at(script, poll), poll, origin, generation.registered_at, self.now())


def _dump(generation: Generation) -> dict[str, Any]:
    asked_at = generation.last_poll_at
    return {
        "script": generation.script.as_json(),
        "registered_at": generation.registered_at.isoformat(),
        "polls": generation.polls,
        "results": generation.results,
        "downloads": generation.downloads,
        "downloads_with_credentials": generation.downloads_with_credentials,
        "last_poll_at": asked_at.isoformat() if asked_at else None,
    }


def _load(row: dict[str, Any]) -> Generation:
    asked_at = row["last_poll_at"]
    return Generation(
        script=parse_script({name: value for name, value in row["script"].items() if name != "app" or value}),
        registered_at=datetime.fromisoformat(row["registered_at"]),
        polls=int(row["polls"]),
        results=int(row["results"]),
        downloads=int(row["downloads"]),
        downloads_with_credentials=int(row["downloads_with_credentials"]),
        last_poll_at=datetime.fromisoformat(asked_at) if asked_at else None,
    )
