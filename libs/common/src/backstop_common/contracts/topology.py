"""Who listens to what: exchanges, queues and bindings as plain data.

A queue is named `<service>.<type>` and bound to the topic exchange by the type; its dead-letter queue is
`<queue>.dead`, bound to the dead-letter exchange by the queue's name. Every service declares the whole topology when
it starts, so a message is never unroutable because its reader has not started yet. Queue arguments are part of a
declaration: whoever changes them has to change the queue's name too.
"""

from __future__ import annotations

from dataclasses import dataclass

from backstop_common.contracts.messages import (
    ActOnTask,
    IncidentOpened,
    IncidentResolved,
    LiftHold,
    RunFinished,
    RunSweep,
    TaskCheck,
    TaskCompleted,
    TaskFailed,
    TickDue,
)

EXCHANGE = "backstop"
DEAD_EXCHANGE = "backstop.dead"

DELIVERY_LIMIT = 20
"""How often RabbitMQ delivers a message before it moves it to the dead-letter queue.

With a prefetch above one, all outstanding deliveries of a crashed consumer count one, so the limit leaves room for
innocents (RabbitMQ documentation, quorum queues, "Poison message handling").
"""


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """One queue: whose it is and which message type it holds."""

    service: str
    message_type: str

    @property
    def name(self) -> str:
        """The queue's name on the broker."""
        return queue_name(self.service, self.message_type)

    @property
    def dead_name(self) -> str:
        """The name of its dead-letter queue."""
        return f"{self.name}.dead"


def queue_name(service: str, message_type: str) -> str:
    """`recovery.tick.due` for the service `recovery` and the type `tick.due`."""
    return f"{service}.{message_type}"


QUEUES: tuple[QueueSpec, ...] = (
    QueueSpec("recovery", TickDue.type),
    QueueSpec("recovery", RunSweep.type),
    QueueSpec("recovery", TaskCheck.type),
    QueueSpec("recovery", ActOnTask.type),
    QueueSpec("recovery", LiftHold.type),
    QueueSpec("notifier", RunFinished.type),
    QueueSpec("notifier", TaskCompleted.type),
    QueueSpec("notifier", TaskFailed.type),
    QueueSpec("notifier", IncidentOpened.type),
    QueueSpec("notifier", IncidentResolved.type),
)


def queues_of(message_type: str) -> tuple[QueueSpec, ...]:
    """The queues a message of this type reaches; none for types that only outsiders may bind to."""
    return tuple(queue for queue in QUEUES if queue.message_type == message_type)
