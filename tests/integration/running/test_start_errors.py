"""A service that cannot start says in one sentence which setting is wrong, shows no secret, and exits with 2."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.postgres import PostgresServer

CANARY = "canary4711"
MODULES = ["backstop_scheduler", "backstop_recovery", "backstop_notifier", "backstop_admin_api"]
SECRET = "s" * 40

Environment = dict[str, str | None]


@dataclass(frozen=True, slots=True)
class Ended:
    code: int | None
    stdout: str
    stderr: str

    @property
    def sentence(self) -> str:
        """The one line on standard error, after its prefix."""
        (line,) = self.stderr.splitlines()
        assert line.startswith("backstop: ")
        return line.removeprefix("backstop: ")


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> Environment:
    """All that any service needs to start, except a RabbitMQ that answers."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "DATABASE_URL": database_url,
        "AMQP_URL": f"amqp://guest:{CANARY}@127.0.0.1:1/",
        "ASSET_STORE_URL": f"file://{tmp_path}/assets",
        "CRON_SECRET": SECRET,
        "ADMIN_TOKEN": SECRET[1:] + "a",
        "SESSION_SECRET": SECRET[1:] + "b",
        "BACKSTOP_START_TIMEOUT_SECONDS": "1",
        **{f"BACKSTOP_{name}_PORT": "0" for name in ("SCHEDULER", "RECOVERY", "NOTIFIER")},
        "BACKSTOP_PORT": "0",
    }


async def _start(module: str, environment: Environment) -> Ended:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        env={name: value for name, value in environment.items() if value is not None},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), 30)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Ended(process.returncode, out.decode(), err.decode())


async def _refusal(module: str, environment: Environment) -> str:
    """The sentence of a service that did not start."""
    ended = await _start(module, environment)
    assert ended.code == 2, ended.stderr
    assert CANARY not in ended.stdout + ended.stderr
    assert SECRET[1:] not in ended.stdout + ended.stderr
    return ended.sentence


@pytest.mark.parametrize("module", MODULES)
async def test_without_a_database_every_service_says_how_to_name_one(module: str, environment: Environment) -> None:
    sentence = await _refusal(module, environment | {"DATABASE_URL": None})
    assert sentence.startswith("DATABASE_URL is not set; ")


@pytest.mark.parametrize("module", MODULES)
async def test_without_a_broker_every_service_says_how_to_name_one(module: str, environment: Environment) -> None:
    sentence = await _refusal(module, environment | {"AMQP_URL": None})
    assert sentence.startswith("AMQP_URL is not set; ")


@pytest.mark.parametrize("module", MODULES)
async def test_a_broker_that_does_not_answer_is_named_by_its_address(module: str, environment: Environment) -> None:
    sentence = await _refusal(module, environment)
    assert sentence.startswith("AMQP_URL: nothing answers at 127.0.0.1:1 ")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"mysql://u:{CANARY}@127.0.0.1/db", "DATABASE_URL names the system 'mysql'"),
        (f"postgresql://u:{CANARY}@127.0.0.1:99999/db", "DATABASE_URL "),
        (f"postgresql://u:{CANARY}@127.0.0.1/db?sslmodus=require", "DATABASE_URL has the parameter 'sslmodus'"),
        (f"postgresql://u:{CANARY}@127.0.0.1:1/db", "DATABASE_URL: nothing answers at 127.0.0.1:1 "),
        (f"postgresql://u:{CANARY}@no-such-host.invalid/db", "DATABASE_URL: nothing answers at no-such-host.invalid"),
    ],
)
async def test_a_wrong_database_url_is_one_sentence(url: str, expected: str, environment: Environment) -> None:
    assert (await _refusal("backstop_recovery", environment | {"DATABASE_URL": url})).startswith(expected)


async def test_a_database_that_does_not_exist_ends_the_start_at_once(
    environment: Environment, postgres_server: PostgresServer
) -> None:
    patient: Environment = {
        "DATABASE_URL": postgres_server.url_of("no_such_database"),
        "BACKSTOP_START_TIMEOUT_SECONDS": "600",
    }
    sentence = await _refusal("backstop_recovery", environment | patient)
    assert sentence.startswith("DATABASE_URL: ")
    assert "refuses us" in sentence


@pytest.fixture
def wrong_password(postgres_server: PostgresServer, database_url: str) -> Iterator[str]:
    """The address of the database for a user who has another password, on a server that asks this user for it."""
    assert postgres_server.own is not None, "TEST_DATABASE_URL is set: who has to give a password is not ours to say"
    rules = postgres_server.own.folder / "pg" / "pg_hba.conf"
    before = rules.read_text()
    postgres_server.execute("CREATE ROLE locked LOGIN PASSWORD 'another one'")
    rules.write_text(f"local all locked scram-sha-256\n{before}")
    postgres_server.execute("SELECT pg_reload_conf()")
    yield database_url.replace("postgres@", f"locked:{CANARY}@", 1)
    rules.write_text(before)
    postgres_server.execute("SELECT pg_reload_conf()")
    postgres_server.execute("DROP ROLE locked")


async def test_a_database_that_refuses_the_password_ends_the_start_at_once(
    environment: Environment, wrong_password: str
) -> None:
    patient: Environment = {"DATABASE_URL": wrong_password, "BACKSTOP_START_TIMEOUT_SECONDS": "600"}
    sentence = await _refusal("backstop_recovery", environment | patient)
    assert sentence.startswith("DATABASE_URL: ")
    assert "refuses us (InvalidPassword" in sentence


async def test_a_database_that_was_never_migrated_is_told_with_the_command(
    environment: Environment, postgres_server: PostgresServer
) -> None:
    empty = postgres_server.create_database("never_migrated")
    try:
        sentence = await _refusal("backstop_recovery", environment | {"DATABASE_URL": empty})
    finally:
        postgres_server.drop_database("never_migrated")
    assert "schema is empty" in sentence
    assert "`backstop migrate`" in sentence


@pytest.mark.parametrize("url", [f"http://u:{CANARY}@127.0.0.1/", f"amqp://u:{CANARY}@host:port/"])
async def test_a_wrong_amqp_url_is_one_sentence(url: str, environment: Environment) -> None:
    sentence = await _refusal("backstop_recovery", environment | {"AMQP_URL": url})
    assert sentence.startswith("AMQP_URL ")
    assert "write it as amqp://" in sentence


async def test_a_broker_that_refuses_the_password_ends_the_start_at_once(
    environment: Environment, amqp_url: str
) -> None:
    wrong = amqp_url.replace("guest:guest@", f"guest:{CANARY}@")
    assert wrong != amqp_url
    patient: Environment = {"AMQP_URL": wrong, "BACKSTOP_START_TIMEOUT_SECONDS": "600"}
    assert "refuses us" in await _refusal("backstop_recovery", environment | patient)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"ASSET_STORE_URL": None}, "ASSET_STORE_URL is not set; set it to s3://"),
        ({"ASSET_STORE_URL": "ftp://host/dir"}, "ASSET_STORE_URL"),
        ({"PROVIDERS_FILE": "/nonexistent/providers.yaml"}, "PROVIDERS_FILE"),
        ({"ALLOW_PRIVATE_HOSTS": "not a host"}, "ALLOW_PRIVATE_HOSTS"),
        ({"RECOVERY_CONCURRENCY": "many"}, "RECOVERY_CONCURRENCY is wrong: "),
        ({"BACKSTOP_HOST": "203.0.113.1"}, "BACKSTOP_RECOVERY_PORT: cannot listen on 203.0.113.1:0"),
    ],
    ids=lambda value: " ".join(f"{key}={word}" for key, word in value.items()) if isinstance(value, dict) else "",
)
async def test_a_wrong_setting_of_recovery_is_named(
    change: Environment, expected: str, environment: Environment
) -> None:
    assert (await _refusal("backstop_recovery", environment | change)).startswith(expected)


@pytest.mark.parametrize(
    "content",
    ["providers: [", "- a list", "providers: {x: {extends: nobody}}", "\x00\x01"],
    ids=["no yaml", "a list", "an unknown parent", "a binary file"],
)
async def test_a_wrong_providers_file_is_named(content: str, environment: Environment, tmp_path: Path) -> None:
    file = tmp_path / "providers.yaml"
    file.write_text(content)
    sentence = await _refusal("backstop_recovery", environment | {"PROVIDERS_FILE": str(file)})
    assert sentence.startswith("PROVIDERS_FILE")


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("CRON_SECRET", None, "is not set; "),
        ("ADMIN_TOKEN", CANARY, "is wrong: "),
        ("SESSION_SECRET", "", "is not set; "),
    ],
)
async def test_a_missing_or_short_secret_is_named_and_not_shown(
    setting: str, value: str | None, expected: str, environment: Environment
) -> None:
    sentence = await _refusal("backstop_admin_api", environment | {setting: value})
    assert sentence.startswith(f"{setting} {expected}")


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


@pytest.mark.parametrize(
    ("module", "setting"),
    [
        ("backstop_scheduler", "BACKSTOP_SCHEDULER_PORT"),
        ("backstop_recovery", "BACKSTOP_RECOVERY_PORT"),
        ("backstop_notifier", "BACKSTOP_NOTIFIER_PORT"),
        ("backstop_admin_api", "BACKSTOP_PORT"),
    ],
)
async def test_a_port_in_use_is_named_with_its_setting(
    module: str, setting: str, environment: Environment, taken_port: int
) -> None:
    sentence = await _refusal(module, environment | {setting: str(taken_port)})
    assert sentence.startswith(f"{setting}: 127.0.0.1:{taken_port} is already in use")


@pytest.fixture
async def mute_port() -> AsyncIterator[int]:
    """Somebody who takes connections and never says a word: a frozen node, a wrong port behind a load balancer."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.mark.parametrize(
    ("setting", "address"),
    [("AMQP_URL", "amqp://u:p@127.0.0.1:{port}/"), ("DATABASE_URL", "postgresql://u:p@127.0.0.1:{port}/db")],
)
async def test_a_server_that_never_speaks_ends_the_start_in_time(
    environment: Environment, mute_port: int, setting: str, address: str
) -> None:
    ended = await _start("backstop_recovery", environment | {setting: address.format(port=mute_port)})
    assert ended.code == 2
    assert ended.sentence.startswith(f"{setting}: nothing answers at 127.0.0.1:{mute_port}")
