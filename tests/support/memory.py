"""What the kernel says about a process's memory, in MiB."""

from __future__ import annotations

from pathlib import Path


def peak_mib(pid: int) -> float:
    """The most it ever had resident (VmHWM)."""
    return _of(pid, "VmHWM")


def resident_mib(pid: int) -> float:
    """What it has resident now (VmRSS)."""
    return _of(pid, "VmRSS")


def _of(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"process {pid} has no {name}")
