"""The RabbitMQ of the tests starts, keeps tests apart, survives its own kill, and leaves nothing behind."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import aio_pika
import pytest

from tests.support import rabbitmq
from tests.support.postgres import NotOurServerError


@pytest.fixture(scope="module")
def server() -> Iterator[rabbitmq.RabbitServer]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TEST_AMQP_URL", raising=False)
        server = rabbitmq.start()
    yield server
    server.close()


@pytest.fixture
def vhost(server: rabbitmq.RabbitServer) -> Iterator[str]:
    name = f"t-{uuid4().hex}"
    yield server.create_vhost(name)
    server.delete_vhost(name)


async def send(url: str, queue: str, body: bytes) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.declare_queue(queue, durable=True)
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, routing_key=queue, timeout=20)


async def receive(url: str, queue: str) -> bytes | None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        declared = await channel.declare_queue(queue, durable=True)
        message = await declared.get(no_ack=True, fail=False, timeout=20)
        return None if message is None else message.body


async def test_what_is_sent_in_one_virtual_host_is_not_seen_in_another(
    server: rabbitmq.RabbitServer, vhost: str
) -> None:
    other = server.create_vhost("other")
    await send(vhost, "letters", b"for one")
    assert await receive(other, "letters") is None
    assert await receive(vhost, "letters") == b"for one"
    server.delete_vhost("other")


async def test_a_confirmed_message_is_there_after_the_node_was_killed(
    server: rabbitmq.RabbitServer, vhost: str
) -> None:
    await send(vhost, "letters", b"kept")
    await asyncio.to_thread(server.write_definitions)
    server.kill()
    with pytest.raises(OSError):  # noqa: PT011  the kind depends on who notices first
        await aio_pika.connect(vhost, timeout=2)
    server.start()
    assert await receive(vhost, "letters") == b"kept"


async def test_closing_connections_is_noticed_by_their_clients(server: rabbitmq.RabbitServer, vhost: str) -> None:
    connection = await aio_pika.connect(vhost)
    closed = asyncio.Event()
    connection.close_callbacks.add(lambda *_: closed.set())
    await asyncio.to_thread(server.close_connections, unquote(urlsplit(vhost).path.removeprefix("/")))
    async with asyncio.timeout(20):
        await closed.wait()


async def test_a_memory_alarm_holds_publishers_until_it_is_over(server: rabbitmq.RabbitServer, vhost: str) -> None:
    await asyncio.to_thread(server.set_memory_limit, 0)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(send(vhost, "letters", b"held"), timeout=2)
    await asyncio.to_thread(server.set_memory_limit, 0.4)
    await send(vhost, "letters", b"let through")


async def test_a_paused_node_answers_nobody_until_it_is_resumed(server: rabbitmq.RabbitServer, vhost: str) -> None:
    server.pause()
    try:
        with pytest.raises(TimeoutError):
            await aio_pika.connect(vhost, timeout=1)
    finally:
        server.resume()
    await send(vhost, "letters", b"again")
    assert await receive(vhost, "letters") == b"again"


def test_a_closed_node_leaves_no_process_and_no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_AMQP_URL", raising=False)
    server = rabbitmq.start()
    assert server.node is not None
    processes = list(server.node.running)
    server.close()
    server.close()
    assert [process.poll() for process in processes] == [-9, -9]
    assert not server.node.folder.exists()


def test_a_given_broker_is_used_and_never_stopped(
    server: rabbitmq.RabbitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_AMQP_URL", server.url)
    monkeypatch.setenv("TEST_AMQP_MANAGEMENT_URL", server.management_url)
    given = rabbitmq.start()
    with pytest.raises(NotOurServerError, match="TEST_AMQP_URL"):
        given.kill()
    given.close()
    assert given.create_vhost("given").endswith("/given")
    given.delete_vhost("given")


def test_a_missing_broker_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TEST_AMQP_URL", raising=False)
    monkeypatch.setattr(rabbitmq, "_SERVER", tmp_path / "none")
    with pytest.raises(rabbitmq.RabbitNotInstalledError, match="apt-get install"):
        rabbitmq.start()
