"""Starting and stopping: inside another loop, on its own, twice on a port, and again on the same data."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import httpx
import pytest

from backstop_sandbox import Sandbox, SandboxSettings, SettingError


async def run_alone(**environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "backstop_sandbox",
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


def taken_port() -> socket.socket:
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    holder.listen()
    return holder


async def test_starting_and_stopping_leaves_no_task_and_no_signal_handler_behind() -> None:
    tasks, handlers = asyncio.all_tasks(), [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)]
    for _ in range(3):
        sandbox = Sandbox(SandboxSettings(port=0, smtp_port=0))
        await sandbox.start()
        assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)] == handlers
        async with httpx.AsyncClient(base_url=sandbox.url) as client:
            assert (await client.get("/livez")).status_code == 200
            assert (await client.get("/readyz")).status_code == 200
            await sandbox.stop()
        await sandbox.stop()
    assert asyncio.all_tasks() == tasks


async def test_a_stop_ends_an_open_mail_session() -> None:
    sandbox = Sandbox(SandboxSettings(port=0, smtp_port=0))
    await sandbox.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.smtp_port)
    assert (await reader.readline()).startswith(b"220")
    async with asyncio.timeout(5):
        await sandbox.stop()
        assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_two_sandboxes_live_beside_each_other() -> None:
    settings = SandboxSettings(port=0, smtp_port=0)
    async with Sandbox(settings) as one, Sandbox(settings) as other:
        assert one.url != other.url
        assert one.smtp_port != other.smtp_port


@pytest.mark.parametrize("name", ["SANDBOX_PORT", "SANDBOX_SMTP_PORT"])
async def test_a_taken_port_is_said_with_its_setting_and_leaves_nothing_behind(name: str) -> None:
    tasks = asyncio.all_tasks()
    with taken_port() as holder:
        port = holder.getsockname()[1]
        settings = SandboxSettings(
            port=port if name == "SANDBOX_PORT" else 0, smtp_port=port if name == "SANDBOX_SMTP_PORT" else 0
        )
        with pytest.raises(SettingError, match=f"^{name} {port} is in use on 127.0.0.1"):
            await Sandbox(settings).start()
    assert asyncio.all_tasks() == tasks


async def test_a_host_of_somebody_else_is_said_with_its_setting() -> None:
    with pytest.raises(SettingError, match=r"^SANDBOX_HOST '192\.0\.2\.1'"):
        await Sandbox(SandboxSettings("192.0.2.1", 0, 0)).start()


async def test_a_restarted_sandbox_goes_on_where_it_was(tmp_path: Path) -> None:
    settings = SandboxSettings(port=0, smtp_port=0, state_dir=tmp_path / "state")
    async with Sandbox(settings) as first, httpx.AsyncClient(base_url=first.url) as client:
        await client.post("/control/generations", json={"provider": "kie", "id": "abc"})
        await client.get("/kie/api/v1/jobs/recordInfo?taskId=abc", headers={"Authorization": "Bearer x"})
        await client.post("/hooks/slack/ops", json={"text": "news"})
        first.mailbox.receive(b"Subject: x\r\n\r\nx", "", ["ada@example.com"])
    async with Sandbox(settings) as second, httpx.AsyncClient(base_url=second.url) as client:
        assert second.world.by_key["kie-abc"].polls == 1
        assert (await client.get("/control/mails")).json()["total"] == 1
        assert (await client.get("/control/chats")).json()["total"] == 1
        await client.post("/control/reset")
    async with Sandbox(settings) as third:
        assert (third.world.by_key, third.mailbox.mails, third.chats.messages) == ({}, [], [])


async def test_alone_it_says_where_it_is_and_ends_with_zero_on_sigterm() -> None:
    process = await run_alone(SANDBOX_PORT="0", SANDBOX_SMTP_PORT="0")
    assert process.stdout is not None
    async with asyncio.timeout(20):
        line = (await process.stdout.readline()).decode()
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{line.split()[1]}/readyz")).status_code == 200
        process.send_signal(signal.SIGTERM)
        _, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"SANDBOX_PORT": "eighty"}, b"SANDBOX_PORT is 'eighty': set it to a port number"),
        ({"SANDBOX_HOST": "no.such.host.invalid"}, b"SANDBOX_HOST 'no.such.host.invalid' cannot be listened on"),
    ],
)
async def test_alone_a_wrong_setting_is_one_sentence_and_exit_code_two(
    environment: dict[str, str], sentence: bytes
) -> None:
    process = await run_alone(**{"SANDBOX_PORT": "0", "SANDBOX_SMTP_PORT": "0"} | environment)
    async with asyncio.timeout(20):
        _, errors = await process.communicate()
    assert process.returncode == 2
    assert errors.startswith(sentence)
    assert errors.count(b"\n") == 1
