"""`make demo ARGS="--once"` proves itself, also when it is started again on the same data."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.system import free_port


@pytest.fixture
def environ() -> Iterator[dict[str, str]]:
    """Ports of its own, and a data folder that PostgreSQL's own user may reach when the tests run as root."""
    folder = Path(tempfile.mkdtemp(prefix="backstop-demo-", dir="/tmp"))
    ports = ("SANDBOX_PORT", "SANDBOX_SMTP_PORT", "BACKSTOP_PORT", "BACKSTOP_SCHEDULER_PORT", "BACKSTOP_RECOVERY_PORT")
    yield {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "COLUMNS": "100",
        "BACKSTOP_DATA_DIR": str(folder),
        "BACKSTOP_NOTIFIER_PORT": str(free_port()),
        **{port: str(free_port()) for port in ports},
    }
    shutil.rmtree(folder)


def _backstop(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "backstop", *arguments],
        env=environ,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def _once(environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return _backstop(environ, "demo", "--once")


def test_the_demo_proves_itself_twice_on_the_same_data(environ: dict[str, str]) -> None:
    for _ in range(2):
        finished = _once(environ)
        assert finished.returncode == 0, finished.stdout + finished.stderr
        assert "All of it holds." in finished.stdout
        assert finished.stdout.count("yes") == 6
        assert finished.stderr == ""


def test_the_command_line_tells_what_the_demo_did(environ: dict[str, str]) -> None:
    assert _once(environ).returncode == 0
    environ["BACKSTOP_DATA_DIR"] += "/demo"
    listed = _backstop(environ, "runs")
    assert listed.returncode == 0, listed.stderr
    header, recovered, died = listed.stdout.strip().splitlines()
    assert header.split()[:4] == ["Run", "Started", "Duration", "Status"]
    assert "completed" in recovered
    assert "failed" in died
    shown = _backstop(environ, "run", recovered.split()[0])
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("succeeded") == 12


def test_a_port_in_use_ends_the_demo_with_one_sentence(environ: dict[str, str]) -> None:
    environ["SANDBOX_SMTP_PORT"] = environ["SANDBOX_PORT"]
    finished = _once(environ)
    assert finished.returncode == 2
    assert "SANDBOX_PORT" in finished.stderr
    assert len(finished.stderr.strip().splitlines()) == 1
