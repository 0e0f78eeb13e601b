"""A malformed message on any queue ends in its dead queue with a reason, and the consumer goes on."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from backstop_common.contracts import QUEUES, QueueSpec
from backstop_common.database import Transactions
from tests.support.factories import Factory
from tests.support.polling import eventually
from tests.support.system import running_system


async def test_malformed_messages_on_every_queue_are_kept_with_their_reason(
    tmp_path: Path, database_url: str, amqp_url: str, transactions: Transactions
) -> None:
    async with running_system(tmp_path, database_url, amqp_url) as system:
        connection = await aio_pika.connect(amqp_url)
        async with connection:
            channel = await connection.channel()
            for spec in QUEUES:
                await _send(channel, spec, b"{ this is no JSON", message_id=str(uuid4()))
                await _send(channel, spec, b'{"unexpected": true}', message_id=str(uuid4()))
                await _send(channel, spec, b"{}", message_id="no uuid")
            for spec in QUEUES:
                reasons = [await _dead(channel, spec) for _ in range(3)]
                assert all(reason.startswith("malformed: ") for reason in reasons), (spec.name, reasons)
                assert sum("message_id" in reason for reason in reasons) == 1

        # All consumers go on: one task makes its way through every service.
        await system.script({"provider": "kie", "id": "after", "kind": "video", "behaviour": "succeeded"})
        await Factory(transactions).task(provider="kie", provider_task_id="after")
        async with system.admin() as admin:
            answer = await admin.post("/api/admin/trigger-cron?wait=25")
        assert answer.json()["results"]["completed"] == 1
        await eventually(lambda: _has_mail(system.get), within=20, what="the mail")


async def _has_mail(get) -> bool:  # type: ignore[no-untyped-def]
    return (await get("/control/mails"))["total"] == 1


async def _send(channel: AbstractChannel, spec: QueueSpec, body: bytes, *, message_id: str) -> None:
    message = aio_pika.Message(body, message_id=message_id, type=spec.message_type)
    await channel.default_exchange.publish(message, routing_key=spec.name)


async def _dead(channel: AbstractChannel, spec: QueueSpec) -> str:
    queue = await channel.get_queue(spec.dead_name)
    message: AbstractIncomingMessage = await eventually(lambda: queue.get(fail=False, no_ack=True), within=20)
    return str(message.headers["x-backstop-reason"])
