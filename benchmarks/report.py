"""What a contest says: medians over the rounds, ratios of the same round, and the machine it is true for."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks.contest import Contestant, Turn

_PACKAGES = ("aiohttp", "asyncpg", "httpx", "obstore", "sqlalchemy")


@dataclass(frozen=True, slots=True)
class Line:
    """One contestant. CPU in seconds per 1,000 tasks; `lowest` and `highest` are the rounds' tasks/s."""

    name: str
    tasks_per_second: float
    lowest: float
    highest: float
    cpu: float
    postgres_cpu: float | None
    world_cpu: float
    peak_rss_mib: float


@dataclass(frozen=True, slots=True)
class Ratio:
    """How one contestant compares with another, as the median of the rounds."""

    of: str
    to: str
    tasks_per_second: float
    cpu: float


def line_of(contestant: Contestant, turns: Sequence[Turn], tasks: int) -> Line:
    """The medians of a contestant's turns."""
    own = [turn for turn in turns if turn.contestant == contestant]
    rates = [tasks / turn.figures.seconds for turn in own]
    thousands = tasks / 1000
    shares = [turn.postgres_cpu_seconds for turn in own if turn.postgres_cpu_seconds is not None]
    return Line(
        name=contestant.name,
        tasks_per_second=median(rates),
        lowest=min(rates),
        highest=max(rates),
        cpu=median(turn.figures.cpu_seconds for turn in own) / thousands,
        postgres_cpu=median(shares) / thousands if shares else None,
        world_cpu=median(turn.world_cpu_seconds for turn in own) / thousands,
        peak_rss_mib=median(turn.figures.peak_rss_mib for turn in own),
    )


def ratio_of(contestant: Contestant, other: Contestant, turns: Sequence[Turn]) -> Ratio:
    """Rounds are compared with themselves: what slows the machine down for a while slows both."""
    pairs = list(
        zip(
            (turn.figures for turn in turns if turn.contestant == contestant),
            (turn.figures for turn in turns if turn.contestant == other),
            strict=True,
        )
    )
    return Ratio(
        contestant.name,
        other.name,
        tasks_per_second=median(theirs.seconds / ours.seconds for ours, theirs in pairs),
        cpu=median(ours.cpu_seconds / theirs.cpu_seconds for ours, theirs in pairs),
    )


def machine() -> dict[str, str]:
    """What the figures are true for."""
    return {
        "processor": f"{os.cpu_count()} x {_processor()}",
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "packages": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def as_text(facts: Mapping[str, str], lines: Sequence[Line], ratios: Sequence[Ratio]) -> str:
    """The report for a terminal, and for a Markdown file."""
    head = ("contestant", "tasks/s", "(lowest-highest)", "own CPU s", "PostgreSQL CPU s", "world CPU s", "peak RSS MiB")
    rows = [head, *(_cells(line) for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    rule = (
        "|" + "|".join("-" * (width + 1) + ("-" if column == 0 else ":") for column, width in enumerate(widths)) + "|"
    )
    parts = [f"{name}: {value}" for name, value in facts.items()]
    parts += [
        "",
        _row(head, widths),
        rule,
        *(_row(row, widths) for row in rows[1:]),
        "",
        "CPU is in seconds per 1,000 tasks.",
    ]
    parts += [
        f"{ratio.of} / {ratio.to}: {ratio.tasks_per_second:.2f} x the tasks/s, {ratio.cpu:.2f} x the own CPU"
        for ratio in ratios
    ]
    return "\n".join(parts)


def _cells(line: Line) -> tuple[str, ...]:
    return (
        line.name,
        f"{line.tasks_per_second:.0f}",
        f"{line.lowest:.0f}-{line.highest:.0f}",
        f"{line.cpu:.2f}",
        "?" if line.postgres_cpu is None else f"{line.postgres_cpu:.2f}",
        f"{line.world_cpu:.2f}",
        f"{line.peak_rss_mib:.0f}",
    )


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    name = f"{cells[0]:<{widths[0]}}"
    return (
        "| "
        + " | ".join([name, *(f"{cell:>{width}}" for cell, width in zip(cells[1:], widths[1:], strict=True))])
        + " |"
    )


def as_json(facts: Mapping[str, str], lines: Sequence[Line], ratios: Sequence[Ratio]) -> str:
    """The same for programs."""
    report = {
        "machine": dict(facts),
        "contestants": [asdict(line) for line in lines],
        "ratios": [asdict(ratio) for ratio in ratios],
    }
    return json.dumps(report, indent=2)
