"""The whole system as a user would run it: four service processes on RabbitMQ and PostgreSQL, and a sandbox process.

Each process writes its output to a file of its own; `kill` is SIGKILL by the pid we started, `stop` is SIGTERM. Ports
are free ones taken just before the start. Everything ends when the block is left.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from backstop_sandbox import providers_yaml
from tests.support.polling import eventually

SERVICES = ("scheduler", "recovery", "notifier", "admin_api")
ADMIN_TOKEN = "admin-token-of-the-tests-0123456789abcdef"
CRON_SECRET = "cron-secret-of-the-tests-0123456789abcdef"
NEVER = "0 0 1 1 *"


def free_port() -> int:
    """A port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class Process:
    """One `python -m MODULE`."""

    module: str
    environ: Mapping[str, str]
    output: Path
    ready_url: str
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self.module], env=dict(self.environ), stdout=output, stderr=output
            )

    def kill(self) -> None:
        """As the kernel's out-of-memory killer would."""
        self._end(signal.SIGKILL)

    def stop(self, *, within: float = 20) -> int:
        """Ask it to end; its exit code."""
        return self._end(signal.SIGTERM, within=within)

    def _end(self, number: signal.Signals, *, within: float = 20) -> int:
        if self._process is None:
            return 0
        process, self._process = self._process, None
        if process.poll() is None:
            process.send_signal(number)
        try:
            return process.wait(within)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"{self.module} did not end within {within} s; see {self.output}") from None

    @property
    def pid(self) -> int:
        """For reading /proc; it has to be started."""
        assert self._process is not None
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def wait_until_ready(self, *, within: float = 30) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            await eventually(lambda: self._is_ready(client), within=within, what=f"{self.module} (see {self.output})")

    async def _is_ready(self, client: httpx.AsyncClient) -> bool:
        if not self.is_alive():
            raise AssertionError(f"{self.module} ended:\n{self.output.read_text()[-3000:]}")
        try:
            return (await client.get(self.ready_url, timeout=5)).status_code == 200
        except httpx.TransportError:
            return False


@dataclass(slots=True)
class System:
    """What runs, and where to ask it."""

    folder: Path
    environ: dict[str, str]
    processes: dict[str, Process] = field(default_factory=dict)

    @property
    def sandbox_url(self) -> str:
        return f"http://127.0.0.1:{self.environ['SANDBOX_PORT']}"

    @property
    def assets_folder(self) -> Path:
        return self.folder / "assets"

    async def get(self, path: str) -> Any:
        """JSON of the sandbox's control API."""
        async with httpx.AsyncClient(base_url=self.sandbox_url, trust_env=False, timeout=60) as client:
            answer = await client.get(path)
        answer.raise_for_status()
        return answer.json()

    async def script(self, *scripts: dict[str, object]) -> None:
        """Register generations with the sandbox."""
        async with httpx.AsyncClient(base_url=self.sandbox_url, trust_env=False, timeout=60) as client:
            (await client.post("/control/generations", json=list(scripts))).raise_for_status()

    def admin(self) -> httpx.AsyncClient:
        """A client of admin-api with the admin token."""
        return httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.environ['BACKSTOP_PORT']}",
            headers={"Authorization": f"Bearer {ADMIN_TOKEN}"},
            trust_env=False,
            timeout=30,
        )

    def outputs(self) -> str:
        """All that the processes printed."""
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("*.log")))


def _environ(folder: Path, database_url: str, amqp_url: str, overrides: Mapping[str, str]) -> dict[str, str]:
    ports = {
        name: str(free_port())
        for name in (
            "SANDBOX_PORT",
            "SANDBOX_SMTP_PORT",
            "BACKSTOP_PORT",
            "BACKSTOP_SCHEDULER_PORT",
            "BACKSTOP_RECOVERY_PORT",
            "BACKSTOP_NOTIFIER_PORT",
        )
    }
    ports |= {name: port for name, port in overrides.items() if name in ports}
    sandbox = f"127.0.0.1:{ports['SANDBOX_PORT']}"
    key = "sandbox-key-that-opens-nothing"
    return {
        "PATH": os.environ["PATH"],
        "PYTHONWARNINGS": "error",
        "PYTHONDONTWRITEBYTECODE": "1",
        **ports,
        "DATABASE_URL": database_url,
        "AMQP_URL": amqp_url,
        "CRON_SECRET": CRON_SECRET,
        "ADMIN_TOKEN": ADMIN_TOKEN,
        "SESSION_SECRET": "session-secret-of-the-tests-0123456789abcdef",
        "APP_BASE_URL": f"http://127.0.0.1:{ports['BACKSTOP_PORT']}",
        "SANDBOX_STATE_DIR": str(folder / "sandbox"),
        "SANDBOX_ASSETS_DIR": str(folder / "assets"),
        "PROVIDERS_FILE": str(folder / "providers.yaml"),
        "ALLOW_PRIVATE_HOSTS": sandbox,
        "REPLICATE_API_TOKEN": key,
        "FAL_KEY": key,
        "KIE_API_KEY": key,
        "ASSET_STORE_URL": (folder / "assets").as_uri(),
        "ASSETS_PUBLIC_BASE_URL": f"http://{sandbox}/assets",
        "SMTP_URL": f"smtp://127.0.0.1:{ports['SANDBOX_SMTP_PORT']}",
        "EMAIL_FROM": "Backstop <noreply@example.com>",
        "SLACK_WEBHOOK_URL": f"http://{sandbox}/hooks/slack/ops",
        "DISCORD_WEBHOOK_URL": f"http://{sandbox}/hooks/discord/ops",
        "BACKSTOP_SCHEDULE": NEVER,
        **overrides,
    }


@asynccontextmanager
async def running_system(folder: Path, database_url: str, amqp_url: str, **overrides: str) -> AsyncIterator[System]:
    """Start everything and wait until it is ready; `overrides` are environment variables."""
    environ = _environ(folder, database_url, amqp_url, overrides)
    (folder / "assets").mkdir()
    (folder / "providers.yaml").write_text(providers_yaml(f"http://127.0.0.1:{environ['SANDBOX_PORT']}"))
    system = System(folder, environ)
    ports = {"sandbox": "SANDBOX_PORT", "admin_api": "BACKSTOP_PORT"}
    try:
        for name in ("sandbox", *SERVICES):
            port = environ[ports.get(name, f"BACKSTOP_{name.upper()}_PORT")]
            process = Process(f"backstop_{name}", environ, folder / f"{name}.log", f"http://127.0.0.1:{port}/readyz")
            system.processes[name] = process
            process.start()
        await asyncio.gather(*(process.wait_until_ready() for process in system.processes.values()))
        yield system
    finally:
        for process in reversed(system.processes.values()):
            process.stop()
