"""Every order of two actors' steps, depth first, each from the same beginning.

An order is replayed from a fresh state up to the point where it leaves its predecessor. Two orders that differ only
in neighbouring steps which may change places (`Step.may_change_places_with`) are the same to everybody; one of them is
tried (sleep sets: Godefroid, Partial-Order Methods, 1996, chapter 5). With `most_preemptions` only orders are tried in
which an actor that could go on has to give way so many times (context bounding: Musuvathi and Qadeer, PLDI 2007):
few, and those in which most errors show.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.support.interleaving.stage import Stage
from tests.support.interleaving.steps import Step


@dataclass(slots=True)
class Crossroads:
    """A moment at which somebody has to go on: who could, with what, whose turn it was taken to be so far."""

    pending: dict[int, Step]
    last: int | None
    preemptions: int
    asleep: frozenset[int]
    tried: set[int] = field(default_factory=set)
    chosen: int = 0

    def choices(self, most_preemptions: int | None) -> list[int]:
        """Whom to let on next, the one who went last first."""
        order = sorted(self.pending, key=lambda actor: (actor != self.last, actor))
        return [
            actor
            for actor in order
            if actor not in self.tried
            and actor not in self.asleep
            and (most_preemptions is None or self.preemptions_with(actor) <= most_preemptions)
        ]

    def preemptions_with(self, actor: int) -> int:
        gives_way = self.last is not None and actor != self.last and self.last in self.pending
        return self.preemptions + gives_way

    def choose(self, actor: int) -> None:
        self.chosen = actor
        self.tried.add(actor)

    def asleep_afterwards(self) -> frozenset[int]:
        """Those whose step was tried first here already, and for whom it makes no difference."""
        step = self.pending[self.chosen]
        others = (self.asleep | self.tried) - {self.chosen}
        return frozenset(x for x in others if x in self.pending and self.pending[x].may_change_places_with(step))


@dataclass(frozen=True, slots=True)
class Explored:
    """How many orders ran to their end, how many were left when they turned out to be known, whether all were tried."""

    schedules: int
    known: int
    is_complete: bool


class NotDeterministicError(AssertionError):
    """The same order led to other steps than before: what the actors do depends on something else, too."""


async def explore(
    play: Callable[[Callable[[Stage], Awaitable[bool]]], Awaitable[None]],
    *,
    most_preemptions: int | None = None,
    most_schedules: int | None = None,
) -> Explored:
    """Call `play` once per order, with a function that plays the order on a stage.

    That function returns False when the order turned out to be known: nothing is to be checked then.
    """
    path: list[Crossroads] = []
    schedules = known = 0
    reduce = most_preemptions is None
    while True:
        ended: list[bool] = []

        async def drive(stage: Stage, ended: list[bool] = ended) -> bool:
            ended.append(await _drive(stage, path, reduce=reduce, most_preemptions=most_preemptions))
            return ended[0]

        await play(drive)
        if ended[0]:
            schedules += 1
        else:
            known += 1
        while path and not path[-1].choices(most_preemptions):
            path.pop()
        if not path:
            return Explored(schedules, known, is_complete=True)
        if most_schedules is not None and schedules >= most_schedules:
            return Explored(schedules, known, is_complete=False)
        path[-1].choose(path[-1].choices(most_preemptions)[0])


async def _drive(stage: Stage, path: list[Crossroads], *, reduce: bool, most_preemptions: int | None) -> bool:
    depth, last, preemptions = 0, None, 0
    asleep: frozenset[int] = frozenset()
    for actor in stage.actors:
        await stage.begin(actor)
    while True:
        pending = {
            index: actor.pending for index, actor in enumerate(stage.actors) if actor.can_go_on and actor.pending
        }
        if not pending:
            return True
        if depth == len(path):
            here = Crossroads(pending, last, preemptions, asleep if reduce else frozenset())
            choices = here.choices(most_preemptions)
            if not choices:
                return False
            here.choose(choices[0])
            path.append(here)
        here = path[depth]
        if {index: step.words for index, step in here.pending.items()} != {
            index: step.words for index, step in pending.items()
        }:
            raise NotDeterministicError("\n".join([f"{here.pending} became {pending}", *stage.told]))
        await stage.proceed(stage.actors[here.chosen])
        asleep, last, preemptions = here.asleep_afterwards(), here.chosen, here.preemptions_with(here.chosen)
        depth += 1
