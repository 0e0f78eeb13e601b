"""`make backlog`: a backlog of 100,000 tasks on the embedded default, as a person would recover it.

The commands are those of the README: `backstop migrate`, `import`, `up`, `trigger --wait`, `audit`. Of
every ten tasks eight have succeeded, one has failed and one is still processing. The result is held against that
before any figure is printed. Loopback only; what was started is ended, what was written is removed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.contest import ContestError, running_world
from benchmarks.participant import TOKEN

_BACKSTOP = [sys.executable, "-m", "backstop"]
_TASKS_PER_USER = 100
_JOB = "process-stuck-tasks"


@dataclass(frozen=True, slots=True)
class Took:
    """One command: how long, and what it printed."""

    seconds: float
    output: str


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog='make backlog ARGS="..."', description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", type=int, default=100_000, help="how many (100000)")
    parser.add_argument("--file-kib", type=int, default=16, help="size of each file (16)")
    parser.add_argument("--limit-seconds", type=float, default=1800, help="for the run (1800)")
    arguments = parser.parse_args()
    try:
        _measure(arguments.tasks, arguments.file_kib * 1024, arguments.limit_seconds)
    except ContestError as error:
        print(f"backlog: {error}", file=sys.stderr)
        return 1
    return 0


def _measure(tasks: int, file_bytes: int, limit_seconds: float) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="backstop-backlog-", dir="/tmp") as folder,
        running_world(latency_seconds=0, file_bytes=file_bytes) as world,
    ):
        environ = _environ(Path(folder), world.url)
        file = Path(folder, "backlog.ndjson")
        expected = _write_backlog(file, tasks)
        _command(environ, "migrate")
        imported = _command(environ, "import", str(file))
        print(f"import of {tasks:,} tasks and their users: {imported.seconds:.1f} s")
        again = _command(environ, "import", str(file))
        print(f"the same file again, which changes nothing: {again.seconds:.1f} s")
        with _running_system(environ) as process:
            run = _command(
                environ, "trigger", _JOB, "--wait", "--json", "--timeout", str(limit_seconds), patience=limit_seconds
            )
            peak = _peak_mib(process.pid)
            told: dict[str, Any] = json.loads(run.output)
            audit = _command(environ, "audit", "--json")
        violated = [finding["invariant"] for finding in json.loads(audit.output) if finding["violations"]]
        if told["results"] != expected or violated:
            raise ContestError(f"the run counted {told['results']} instead of {expected}; violated: {violated}")
        seconds = told["duration"] / 1000
        print(f"one run: {seconds:.1f} s, {tasks / seconds:.0f} tasks/s, {told['results']}")
        print(f"peak memory of the one process (all services): {peak:.0f} MiB; all invariants hold")


def _environ(folder: Path, world_url: str) -> dict[str, str]:
    providers = folder / "providers.yaml"
    providers.write_text(f"providers:\n  replicate:\n    base_url: {world_url}/v1\n    limits: {{requests: null}}\n")
    ports = ("BACKSTOP_PORT", "BACKSTOP_SCHEDULER_PORT", "BACKSTOP_RECOVERY_PORT", "BACKSTOP_NOTIFIER_PORT")
    return {
        "PATH": os.environ["PATH"],
        "BACKSTOP_DATA_DIR": str(folder / "data"),
        "PROVIDERS_FILE": str(providers),
        "ALLOW_PRIVATE_HOSTS": urlsplit(world_url).netloc,
        "REPLICATE_API_TOKEN": TOKEN,
        # The run is triggered by hand; the schedule keeps out of the way.
        "BACKSTOP_SCHEDULE": "0 0 1 1 *",
        **{name: str(port) for name, port in zip(ports, _free_ports(len(ports)), strict=True)},
    }


def _free_ports(count: int) -> list[int]:
    with _sockets(count) as sockets:
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def _sockets(count: int) -> Iterator[list[socket.socket]]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        yield sockets
    finally:
        for each in sockets:
            each.close()


def _write_backlog(file: Path, tasks: int) -> dict[str, int]:
    """NDJSON in the contract's shape; what the run has to count."""
    submitted = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    kinds = ["f", "p", *"s" * 8]
    with file.open("w") as lines:
        for number in range(tasks):
            user = f"user-{number // _TASKS_PER_USER}"
            if number % _TASKS_PER_USER == 0:
                lines.write(json.dumps({"type": "user", "id": user, "name": user, "balance": 1000}) + "\n")
            lines.write(
                json.dumps(
                    {
                        "type": "task",
                        "id": str(UUID(int=(0xBAC << 96) + number)),
                        "userId": user,
                        "kind": "image",
                        "provider": "replicate",
                        "providerTaskId": f"{kinds[number % 10]}-{number}",
                        "credits": 5,
                        "billing": "hold",
                        "submittedAt": submitted,
                    }
                )
                + "\n"
            )
    words = [kinds[number % 10] for number in range(tasks)]
    return {
        "completed": words.count("s"),
        "failed": words.count("f"),
        "stillProcessing": words.count("p"),
        "errors": 0,
        "totalFound": tasks,
    }


def _command(environ: Mapping[str, str], *arguments: str, patience: float = 600) -> Took:
    began = time.perf_counter()
    ended = subprocess.run(  # noqa: S603 - ourselves
        [*_BACKSTOP, *arguments], env=environ, capture_output=True, text=True, timeout=patience + 60, check=False
    )
    if ended.returncode != 0:
        raise ContestError(f"backstop {arguments[0]} ended with {ended.returncode}: {ended.stderr[-2000:]}")
    return Took(time.perf_counter() - began, ended.stdout)


@contextmanager
def _running_system(environ: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    log = Path(environ["BACKSTOP_DATA_DIR"]).parent / "backstop.log"
    with log.open("wb") as output:
        process = subprocess.Popen([*_BACKSTOP, "up"], env=environ, stdout=output, stderr=output)  # noqa: S603 - ourselves
        try:
            _wait_until_ready(process, environ["BACKSTOP_RECOVERY_PORT"], log)
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


def _wait_until_ready(process: subprocess.Popen[bytes], port: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise ContestError(f"backstop up did not become ready: {log.read_text()[-2000:]}")


def _peak_mib(pid: int) -> float:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return int(fields["VmHWM"].split()[0]) / 1024


if __name__ == "__main__":
    raise SystemExit(main())
