"""One contestant as a process of its own: it prepares, works, and prints what the work took as one line of JSON.

Preparing (imports, connections) is not counted, the work is: wall clock, and the CPU of all threads of this process.
The peak of memory is that of the whole life. A failure, or a work that outlasts its limit, ends the process with a
traceback and no figures.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

TOKEN = "r8_opens_nothing"  # noqa: S105 - a key that opens nothing
GROUP_SIZE = 100


@dataclass(frozen=True, slots=True)
class Assignment:
    """What to recover, from where, and to where. `folder` exists and is empty; `amqp_url` is for the relay alone."""

    database_url: str
    provider_url: str
    folder: str
    concurrency: int
    limit_seconds: float
    amqp_url: str | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """What the work took."""

    seconds: float
    cpu_seconds: float
    peak_rss_mib: float


Work = Callable[[], Awaitable[None]]
Prepare = Callable[[Assignment], AbstractAsyncContextManager[Work]]


def take_part(prepare: Prepare) -> None:
    """The main program of a contestant; its only argument is the assignment as JSON."""
    assignment = Assignment(**json.loads(sys.argv[1]))
    figures = asyncio.run(_measured(prepare, assignment))
    print(json.dumps(asdict(figures)), flush=True)


async def _measured(prepare: Prepare, assignment: Assignment) -> Figures:
    async with asyncio.timeout(assignment.limit_seconds), prepare(assignment) as work:
        began, cpu_before = perf_counter(), cpu_seconds()
        await work()
        return Figures(perf_counter() - began, cpu_seconds() - cpu_before, _peak_rss_mib())


def cpu_seconds() -> float:
    """User and system time of this process, all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _peak_rss_mib() -> float:
    # The kernel's ru_maxrss begins with the parent's memory when a process is started by vfork.
    status = Path("/proc/self/status")
    if status.exists():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(fields["VmHWM"].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
