"""`make bench`: measures recovery beside a sequential endpoint and a floor, in turns, and prints the table.

It starts and ends its own world and PostgreSQL, talks to loopback only, and checks every result before it prints a
number. Exit code 1 and one sentence when there is nothing to report.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.contest import BACKSTOP, FLOOR, SEQUENTIAL, SERVICE, Contest, ContestError, running_world
from benchmarks.database import drop_backlog, prepare_backlog
from benchmarks.report import as_json, as_text, line_of, machine, ratio_of
from tests.support import postgres, rabbitmq
from tests.support.postgres import PostgresServer

_QUICK_TASKS = 300
_LIMIT_SECONDS, _LIMIT_SECONDS_PER_TASK = 60.0, 0.05


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='make bench ARGS="..."', description=__doc__.splitlines()[0] if __doc__ else ""
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--tasks", type=_positive, default=2000, help="stuck tasks per turn (2000)")
    size.add_argument("--quick", action="store_const", const=_QUICK_TASKS, dest="tasks", help=f"{_QUICK_TASKS} tasks")
    parser.add_argument("--rounds", type=_positive, default=3, help="turns per contestant (3)")
    parser.add_argument("--concurrency", type=_positive, default=64, help="tasks in flight; the endpoint has one (64)")
    parser.add_argument("--latency-ms", type=float, default=0, help="how long provider and file host think (0)")
    parser.add_argument("--file-kib", type=_positive, default=64, help="size of each file (64)")
    parser.add_argument("--files-in", type=Path, help="folder for the stored files (in memory where there is room)")
    parser.add_argument("--rabbitmq", action="store_true", help="also the whole service with a broker and its relay")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser.parse_args()


def main() -> int:
    """Measure and print."""
    arguments = _arguments()
    try:
        report = _measure(arguments)
    except ContestError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(report)
    return 0


def _measure(arguments: argparse.Namespace) -> str:
    contestants = [BACKSTOP, SEQUENTIAL, FLOOR, *([SERVICE] if arguments.rabbitmq else [])]
    facts = machine()
    folder = arguments.files_in or _folder_for(arguments.tasks * arguments.file_kib * 1024)
    with ExitStack() as started:
        server = postgres.start()
        started.callback(server.stop)
        facts["PostgreSQL"] = _as_in_production(server)
        asyncio.run(prepare_backlog(server, arguments.tasks))
        started.callback(drop_backlog, server)
        broker = rabbitmq.start() if arguments.rabbitmq else None
        if broker is not None:
            started.callback(broker.close)
        world = started.enter_context(
            running_world(latency_seconds=arguments.latency_ms / 1000, file_bytes=arguments.file_kib * 1024)
        )
        limit = _LIMIT_SECONDS + arguments.tasks * (_LIMIT_SECONDS_PER_TASK + arguments.latency_ms / 500)
        contest = Contest(server, broker, world, arguments.tasks, arguments.concurrency, limit, folder, _tell)
        turns = contest.run(contestants, arguments.rounds)
    facts["work"] = (
        f"{arguments.tasks} tasks, {arguments.file_kib} KiB each, {arguments.concurrency} in flight,"
        f" {arguments.latency_ms:g} ms latency, files in {folder}, {arguments.rounds} rounds"
    )
    lines = [line_of(contestant, turns, arguments.tasks) for contestant in contestants]
    ratios = [ratio_of(one, other, turns) for one in contestants if one.is_backstop for other in (SEQUENTIAL, FLOOR)]
    return as_json(facts, lines, ratios) if arguments.json else as_text(facts, lines, ratios)


def _folder_for(size_bytes: int) -> Path:
    """Memory, when the files fill less than half of what is free there: a disk would be measured, and not evenly."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 2 * size_bytes
    return memory if roomy else Path(tempfile.gettempdir())


def _as_in_production(server: PostgresServer) -> str:
    """Let our own server, which the tests run without care for crashes, write as a real one does."""
    if server.own is not None:
        for setting in ("fsync", "full_page_writes"):
            server.execute(f"ALTER SYSTEM SET {setting} = on")
        server.execute("SELECT pg_reload_conf()")
    ((version, fsync),) = server.execute("SELECT current_setting('server_version'), current_setting('fsync')")
    return f"{version}, fsync {fsync}"


def _tell(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
