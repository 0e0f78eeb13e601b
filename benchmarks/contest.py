"""Runs the contestants in turns against one world and one PostgreSQL, and collects what each turn took.

Every turn has a fresh copy of the backlog and an empty folder. The order moves on by one each round, so that nobody
always comes first. A turn that fails, lasts too long or leaves a wrong result ends the contest with `ContestError`.
Everything that was started is ended and removed, also then.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.database import Expected, WrongResultError, copy_of_backlog, prove
from benchmarks.participant import Assignment, Figures
from benchmarks.postgres_usage import postgres_cpu_seconds
from tests.support.postgres import PostgresServer
from tests.support.rabbitmq import RabbitServer

_ROOT = Path(__file__).parent.parent
_VHOST = "benchmark"


class ContestError(Exception):
    """There is nothing to report; the sentence tells why."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A module of this folder and how it is called in the report."""

    name: str
    module: str
    relays: bool = False

    @property
    def is_backstop(self) -> bool:
        return self.module == "backstop"


BACKSTOP = Contestant("Backstop", "backstop")
SERVICE = Contestant("Backstop with RabbitMQ", "backstop", relays=True)
SEQUENTIAL = Contestant("sequential endpoint", "sequential")
FLOOR = Contestant("concurrent floor", "floor")


@dataclass(frozen=True, slots=True)
class Turn:
    """What one contestant took in one round; PostgreSQL's share is None where it cannot be known."""

    contestant: Contestant
    figures: Figures
    world_cpu_seconds: float
    postgres_cpu_seconds: float | None


@dataclass(frozen=True, slots=True)
class World:
    """The running world."""

    url: str
    sha256: str

    def cpu_seconds(self) -> float:
        """What it has used so far."""
        with urllib.request.urlopen(f"{self.url}/usage", timeout=10) as answer:  # noqa: S310 - our own address
            return float(json.load(answer)["cpu_seconds"])


@contextmanager
def running_world(*, latency_seconds: float, file_bytes: int) -> Iterator[World]:
    """The world, for the length of the block."""
    settings = json.dumps({"latency_seconds": latency_seconds, "file_bytes": file_bytes})
    command = [sys.executable, "-m", "benchmarks.world", settings]
    with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603 - ourselves
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise ContestError("the world did not start")
            started = json.loads(line)
            yield World(f"http://127.0.0.1:{started['port']}", started["sha256"])
        finally:
            process.terminate()


@dataclass(frozen=True, slots=True)
class Contest:
    """See the module. `tell` gets a sentence per turn."""

    postgres: PostgresServer
    rabbit: RabbitServer | None
    world: World
    tasks: int
    concurrency: int
    limit_seconds: float
    files_in: Path
    tell: Callable[[str], None]

    def run(self, contestants: Sequence[Contestant], rounds: int) -> list[Turn]:
        """All turns, in the order they were taken."""
        turns = []
        for number in range(rounds):
            shift = number % len(contestants)
            for contestant in [*contestants[shift:], *contestants[:shift]]:
                turn = self._turn(contestant)
                turns.append(turn)
                rate = self.tasks / turn.figures.seconds
                self.tell(f"round {number + 1} of {rounds}: {contestant.name}, {rate:.0f} tasks/s")
        return turns

    def _turn(self, contestant: Contestant) -> Turn:
        with (
            tempfile.TemporaryDirectory(prefix="backstop-bench-", dir=self.files_in) as folder,
            copy_of_backlog(self.postgres) as database_url,
            self._amqp_url(contestant) as amqp_url,
        ):
            files = Path(folder, "files")
            files.mkdir()
            assignment = Assignment(
                database_url, self.world.url, str(files), self.concurrency, self.limit_seconds, amqp_url
            )
            world_before, postgres_before = self.world.cpu_seconds(), postgres_cpu_seconds(self.postgres)
            figures = self._took(contestant, assignment)
            world, postgres = self.world.cpu_seconds() - world_before, postgres_cpu_seconds(self.postgres)
            self._prove(contestant, database_url, files)
        share = None if postgres is None or postgres_before is None else postgres - postgres_before
        return Turn(contestant, figures, world, share)

    def _took(self, contestant: Contestant, assignment: Assignment) -> Figures:
        command = [sys.executable, "-m", f"benchmarks.{contestant.module}", json.dumps(asdict(assignment))]
        try:
            ended = subprocess.run(  # noqa: S603 - ourselves
                command,
                cwd=_ROOT,
                env={"PYTHONDONTWRITEBYTECODE": "1"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=self.limit_seconds + 30,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ContestError(f"{contestant.name} did not end") from None
        if ended.returncode != 0:
            raise ContestError(f"{contestant.name} failed:\n{ended.stderr[-3000:]}")
        return Figures(**json.loads(ended.stdout))

    def _prove(self, contestant: Contestant, database_url: str, files: Path) -> None:
        expected = Expected(self.tasks, self.world.sha256, contestant.is_backstop, contestant.relays)
        try:
            asyncio.run(prove(database_url, files, expected))
        except WrongResultError as error:
            raise ContestError(f"{contestant.name} left a wrong result: {error}") from error

    @contextmanager
    def _amqp_url(self, contestant: Contestant) -> Iterator[str | None]:
        if not contestant.relays or self.rabbit is None:
            yield None
            return
        try:
            yield self.rabbit.create_vhost(_VHOST)
        finally:
            self.rabbit.delete_vhost(_VHOST)
