"""A service that is told to stop ends in order and in time, whatever has become of the broker."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.polling import eventually
from tests.support.rabbitmq import RabbitServer
from tests.support.system import Process, free_port

GRACE_SECONDS = 29.0
"""Below the 30 s after which the deployments kill the notifier; no service listens to more queues."""


@contextmanager
def _frozen(server: RabbitServer) -> Iterator[None]:
    server.pause()
    try:
        yield
    finally:
        server.resume()


@pytest.fixture
def notifier(tmp_path: Path, database_url: str, amqp_url: str) -> Iterator[Process]:
    port = free_port()
    environ = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database_url,
        "AMQP_URL": amqp_url,
        "BACKSTOP_NOTIFIER_PORT": str(port),
        "BACKSTOP_LOG_FORMAT": "json",
    }
    process = Process("backstop_notifier", environ, tmp_path / "output", f"http://127.0.0.1:{port}/readyz")
    process.start()
    yield process
    process.kill()


def _events(process: Process) -> list[str]:
    """The names of what it logged; the driver's complaints about connections that were given up are none of them."""
    lines = process.output.read_text().splitlines()
    return [json.loads(line)["event"] for line in lines if line.startswith("{")]


async def test_stopping_ends_within_the_grace_although_rabbitmq_is_frozen(
    notifier: Process, rabbit_server: RabbitServer
) -> None:
    await eventually(lambda: "started" in _events(notifier), within=30, what="the start")
    with _frozen(rabbit_server):
        code = await asyncio.to_thread(notifier.stop, within=GRACE_SECONDS)
    assert code == 0
    assert "stopped" in _events(notifier)
