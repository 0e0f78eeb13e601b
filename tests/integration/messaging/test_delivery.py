"""What commits is delivered, on RabbitMQ and in the embedded queue alike; what cannot be handled keeps its reason."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import aio_pika
import pytest

from backstop_common.contracts import DEAD_EXCHANGE, EXCHANGE, QUEUES, RunStarted, RunSweep, TickDue
from backstop_common.database import Transactions
from backstop_common.errors import PermanentError, TransientError
from backstop_common.messaging import Delivery, subscription
from backstop_common.observability.tracing import current_traceparent
from backstop_common.outbox.writing import Envelope
from backstop_common.running import Runtime
from tests.integration.messaging.conftest import Running
from tests.support.polling import eventually


class Recorder:
    """A handler that remembers, and fails as often as it is told."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.calls = 0
        self.handled: list[UUID] = []
        self.traces: list[str] = []

    async def __call__(self, message: RunSweep, _: Delivery) -> None:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        self.handled.append(message.run_id)
        self.traces.append(current_traceparent())


async def _send(transactions: Transactions, count: int = 1) -> list[UUID]:
    runs = [uuid4() for _ in range(count)]
    async with transactions.begin() as tx:
        for run in runs:
            await tx.publish(RunSweep(run_id=run, bell=0), event_id=uuid4(), correlation_id=run)
    return runs


async def _outbox(transactions: Transactions) -> int:
    async with transactions.read() as reading:
        return int(await reading.value("SELECT count(*) FROM outbox"))


async def _insert_raw(transactions: Transactions, body: str) -> None:
    async with transactions.begin() as tx:
        await tx.publish_all([Envelope(uuid4(), RunSweep.type, body, None, None)])


async def test_what_commits_is_handled_and_leaves_the_outbox(on_either: Running) -> None:
    recorder = Recorder()
    async with on_either([subscription("recovery", RunSweep, recorder)]) as runtime:
        runs = await _send(runtime.transactions, 250)
        await eventually(lambda: len(recorder.handled) == 250)
        assert set(recorder.handled) == set(runs)
        await eventually(lambda: _is_zero(_outbox(runtime.transactions)))


async def _is_zero(count: Any) -> bool:
    return await count == 0


async def _publish_and_fail(transactions: Transactions) -> None:
    async with transactions.begin() as tx:
        await tx.publish(RunSweep(run_id=uuid4(), bell=0), event_id=uuid4())
        raise RuntimeError("changed my mind")


async def test_what_rolls_back_is_never_sent(on_either: Running) -> None:
    recorder = Recorder()
    async with on_either([subscription("recovery", RunSweep, recorder)]) as runtime:
        with pytest.raises(RuntimeError, match="changed my mind"):
            await _publish_and_fail(runtime.transactions)
        (run,) = await _send(runtime.transactions)
        await eventually(lambda: recorder.handled)
        assert recorder.handled == [run]


async def test_a_transient_failure_is_tried_again_until_it_works(on_either: Running) -> None:
    recorder = Recorder(TransientError("database away"), TransientError("still away"))
    async with on_either([subscription("recovery", RunSweep, recorder)]) as runtime:
        (run,) = await _send(runtime.transactions)
        await eventually(lambda: recorder.handled == [run])
        assert recorder.calls == 3


async def test_the_trace_travels_with_the_message(on_either: Running) -> None:
    recorder = Recorder()
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    async with on_either([subscription("recovery", RunSweep, recorder)]) as runtime:
        body = RunSweep(run_id=uuid4(), bell=0).model_dump_json()
        async with runtime.transactions.begin() as tx:
            await tx.publish_all([Envelope(uuid4(), RunSweep.type, body, None, trace)])
        await eventually(lambda: recorder.traces == [trace])


async def test_a_message_without_listeners_leaves_the_outbox(on_either: Running) -> None:
    now = datetime.now(UTC)
    async with on_either([]) as runtime:
        async with runtime.transactions.begin() as tx:
            started = RunStarted(run_id=uuid4(), job_name="j", trigger="manual", scheduled_for=now, started_at=now)
            await tx.publish(started, event_id=uuid4())
        await eventually(lambda: _is_zero(_outbox(runtime.transactions)))


BAD_BODIES = ["not json", "null", '{"run_id": "not a uuid", "bell": 0}', '{"bell": 1}', "[]", ""]


@pytest.mark.parametrize("body", BAD_BODIES)
async def test_a_malformed_message_goes_to_the_dead_letters_and_the_consumer_goes_on(
    on_either: Running, body: str, request: pytest.FixtureRequest
) -> None:
    recorder = Recorder()
    async with on_either([subscription("recovery", RunSweep, recorder)]) as runtime:
        await _insert_raw(runtime.transactions, body)
        (run,) = await _send(runtime.transactions)
        await eventually(lambda: recorder.handled == [run])
        reason, dead_body = await eventually(lambda: _dead_letter(runtime))
    assert reason.startswith("malformed: ")
    assert dead_body == body
    assert recorder.calls == 1


async def test_a_handler_that_fails_for_good_leaves_a_dead_letter_with_the_reason(on_either: Running) -> None:
    recorder = Recorder(PermanentError("this can never work"))
    async with on_either([subscription("recovery", RunSweep, recorder)]) as runtime:
        await _send(runtime.transactions)
        reason, _ = await eventually(lambda: _dead_letter(runtime))
        assert "this can never work" in reason
        (run,) = await _send(runtime.transactions)
        await eventually(lambda: recorder.handled == [run])


async def _dead_letter(runtime: Runtime) -> tuple[str, str] | None:
    """Reason and body of the first dead letter of `recovery.run.sweep`."""
    if runtime.amqp_url is None:
        async with runtime.transactions.read() as reading:
            row = await reading.row("SELECT reason, body FROM dead_letters WHERE queue = 'recovery.run.sweep'")
        return None if row is None else (row["reason"], row["body"])
    connection = await aio_pika.connect(runtime.amqp_url)
    async with connection:
        queue = await (await connection.channel()).get_queue("recovery.run.sweep.dead")
        message = await queue.get(fail=False, no_ack=True)
        return None if message is None else (str(message.headers["x-backstop-reason"]), message.body.decode())


async def test_every_queue_is_a_quorum_queue_with_a_limit_and_a_dead_letter_queue(
    on_rabbit: Running, rabbit_server: Any
) -> None:
    async with on_rabbit([]) as runtime:
        vhost = str(runtime.amqp_url).rsplit("/", 1)[1]
        queues = {queue["name"]: queue for queue in rabbit_server.management("GET", f"/api/queues/{vhost}")}
        bindings = rabbit_server.management("GET", f"/api/bindings/{vhost}")
    bound = {(binding["source"], binding["destination"], binding["routing_key"]) for binding in bindings}
    for spec in QUEUES:
        arguments = queues[spec.name]["arguments"]
        assert arguments["x-queue-type"] == "quorum"
        assert arguments["x-delivery-limit"] == 20
        assert arguments["x-dead-letter-exchange"] == DEAD_EXCHANGE
        assert queues[spec.dead_name]["durable"]
        assert (EXCHANGE, spec.name, spec.message_type) in bound
        assert (DEAD_EXCHANGE, spec.dead_name, spec.name) in bound


async def test_messages_wait_for_a_service_that_has_not_started_yet(on_rabbit: Running) -> None:
    async with on_rabbit([]) as runtime:
        (run,) = await _send(runtime.transactions)
        await eventually(lambda: _is_zero(_outbox(runtime.transactions)))
    recorder = Recorder()
    async with on_rabbit([subscription("recovery", RunSweep, recorder)]):
        await eventually(lambda: recorder.handled == [run])


async def test_messages_carry_the_properties_others_rely_on(on_rabbit: Running, database_url: str) -> None:
    async with on_rabbit([]) as runtime:
        (run,) = await _send(runtime.transactions)
        connection = await aio_pika.connect(str(runtime.amqp_url))
        async with connection:
            queue = await (await connection.channel()).get_queue("recovery.run.sweep")
            message = await eventually(lambda: queue.get(fail=False, no_ack=True))
    assert message.type == "run.sweep"
    assert message.correlation_id == str(run)
    assert UUID(message.message_id or "")
    assert message.content_type == "application/json"
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert message.timestamp is not None
    assert str(message.headers["traceparent"]).startswith("00-")


async def test_the_same_event_delivered_twice_works_once(on_either: Running) -> None:
    handled: list[UUID] = []
    runtime_of: dict[str, Runtime] = {}

    async def on_tick(tick: TickDue, delivery: Delivery) -> None:
        async with runtime_of["it"].transactions.begin() as tx:
            if await tx.first_time(delivery.consumer, delivery.event_id):
                handled.append(tick.tick_id)

    async with on_either([subscription("recovery", TickDue, on_tick)]) as runtime:
        runtime_of["it"] = runtime
        now = datetime.now(UTC)
        tick = TickDue(tick_id=uuid4(), job_name="j", slot="s", trigger="manual", scheduled_for=now)
        event = uuid4()
        for _ in range(3):
            async with runtime.transactions.begin() as tx:
                await tx.publish(tick, event_id=event)
        await eventually(lambda: _is_zero(_outbox(runtime.transactions)))
        last = TickDue(tick_id=uuid4(), job_name="j", slot="t", trigger="manual", scheduled_for=now)
        async with runtime.transactions.begin() as tx:
            await tx.publish(last, event_id=uuid4())
        await eventually(lambda: last.tick_id in handled)
    assert handled.count(tick.tick_id) == 1


async def test_a_handler_in_flight_ends_before_the_consumer_stops(on_rabbit: Running) -> None:
    started, release = asyncio.Event(), asyncio.Event()
    finished: list[UUID] = []

    async def slow(message: RunSweep, _: Delivery) -> None:
        started.set()
        await release.wait()
        finished.append(message.run_id)

    async with on_rabbit([subscription("recovery", RunSweep, slow)]) as runtime:
        (run,) = await _send(runtime.transactions)
        await asyncio.wait_for(started.wait(), 10)
        stopping = asyncio.create_task(runtime.stop_consuming())
        await asyncio.sleep(0)
        release.set()
        await stopping
        assert finished == [run]
