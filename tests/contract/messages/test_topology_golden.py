"""Queues are declared by whoever starts first; a changed argument is refused by RabbitMQ, so none may change unseen."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from aio_pika.abc import AbstractChannel

from backstop_common.contracts import MESSAGES, QUEUES, queue_name, queues_of
from backstop_common.messaging.rabbit import declare_topology

GOLDEN = Path(__file__).with_name("topology.json")


@dataclass
class _Recorded:
    """Stands for an exchange or a queue; a queue remembers what it was bound to."""

    name: str
    bindings: list[dict[str, str]] = field(default_factory=list)

    async def bind(self, exchange: _Recorded, *, routing_key: str) -> None:
        self.bindings.append({"exchange": exchange.name, "routing_key": routing_key})


@dataclass
class _RecordingChannel:
    """What a broker would be told."""

    exchanges: dict[str, dict[str, Any]] = field(default_factory=dict)
    queues: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def declare_exchange(self, name: str, kind: str, *, durable: bool) -> _Recorded:
        self.exchanges[name] = {"type": str(kind.value if hasattr(kind, "value") else kind), "durable": durable}
        return _Recorded(name)

    async def declare_queue(self, name: str, *, durable: bool, arguments: dict[str, Any]) -> _Recorded:
        queue = _Recorded(name)
        self.queues[name] = {"durable": durable, "arguments": arguments, "bindings": queue.bindings}
        return queue


async def test_what_is_declared_is_what_was_always_declared() -> None:
    channel = _RecordingChannel()
    await declare_topology(cast("AbstractChannel", channel))
    declared = {"exchanges": channel.exchanges, "queues": channel.queues}
    assert json.loads(GOLDEN.read_text()) == json.loads(json.dumps(declared))


def test_every_queue_is_for_a_message_that_exists() -> None:
    assert {spec.message_type for spec in QUEUES} <= set(MESSAGES)


def test_queue_names_are_unique_and_built_one_way() -> None:
    assert len({spec.name for spec in QUEUES}) == len(QUEUES)
    assert all(spec.name == queue_name(spec.service, spec.message_type) for spec in QUEUES)


def test_commands_have_a_reader() -> None:
    assert all(queues_of(command) for command in ("tick.due", "run.sweep", "task.check"))
