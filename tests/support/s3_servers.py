"""Real S3 servers on loopback: rclone (files on disk, for bulk) and moto (content types, unfinished uploads)."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_START_SECONDS = 30.0
_BINARIES = Path(sys.executable).parent
KEY, SECRET = "test-access-key", "test-secret-key"


@dataclass(frozen=True, slots=True)
class S3Server:
    """`pid` is for measuring; `folder` holds rclone's buckets as folders."""

    endpoint: str
    folder: Path
    pid: int

    @property
    def environ(self) -> dict[str, str]:
        """The credentials as the environment has them."""
        return {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1"}


@contextmanager
def rclone_s3(folder: Path, *buckets: str) -> Iterator[S3Server]:
    """An S3 server over a folder; each bucket is a folder below it."""
    for bucket in buckets:
        (folder / bucket).mkdir(parents=True, exist_ok=True)
    port = _free_port()
    options = ["--addr", f"127.0.0.1:{port}", "--auth-key", f"{KEY},{SECRET}", "--config", "/dev/null"]
    command = [str(_BINARIES / "rclone"), "serve", "s3", str(folder), *options]
    with _running(command, port, folder / "rclone.log") as pid:
        yield S3Server(f"http://127.0.0.1:{port}", folder, pid)


@contextmanager
def moto_s3(folder: Path) -> Iterator[S3Server]:
    """An S3 server in memory, without buckets yet."""
    port = _free_port()
    command = [str(_BINARIES / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    with _running(command, port, folder / "moto.log") as pid:
        yield S3Server(f"http://127.0.0.1:{port}", folder, pid)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _running(command: list[str], port: int, log: Path) -> Iterator[int]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            _await_port(process, port, log)
            yield process.pid
        finally:
            process.terminate()
            process.wait(timeout=10)


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not listen on {port}: {log.read_text(errors='replace')[-2000:]}")
