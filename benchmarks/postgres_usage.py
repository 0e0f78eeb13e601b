"""The CPU of a PostgreSQL of our own, sessions that have ended included."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.postgres import PostgresServer

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def postgres_cpu_seconds(server: PostgresServer) -> float | None:
    """User and system time of the server and all its children so far; None for a given server or without /proc."""
    if server.own is None or not Path("/proc/self/stat").exists():
        return None
    postmaster = int((server.own.folder / "pg" / "postmaster.pid").read_text().split()[0])
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    return sum(_ticks(pid) for pid in (str(postmaster), *children)) / _TICKS_PER_SECOND


def _ticks(pid: str) -> int:
    """The process and what it has waited for; nothing for one that ended just now."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0
    return sum(int(field) for field in fields[11:15])
