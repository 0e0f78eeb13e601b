"""The messages of Backstop and their topology, as plain data. Imports pydantic only.

Bodies are JSON with snake_case names; consumers ignore fields they do not know, so fields may be added and never
removed or renamed. `tests/contract/messages` keeps a golden sample of each that must parse for ever.
"""

from backstop_common.contracts.message import Message
from backstop_common.contracts.messages import (
    MESSAGES,
    ActOnTask,
    Asset,
    IncidentOpened,
    IncidentResolved,
    LiftHold,
    RunFinished,
    RunResults,
    RunStarted,
    RunSweep,
    TaskCheck,
    TaskCompleted,
    TaskFailed,
    TaskNeedsAttention,
    TickDue,
)
from backstop_common.contracts.topology import (
    DEAD_EXCHANGE,
    DELIVERY_LIMIT,
    EXCHANGE,
    QUEUES,
    QueueSpec,
    queue_name,
    queues_of,
)

__all__ = [
    "DEAD_EXCHANGE",
    "DELIVERY_LIMIT",
    "EXCHANGE",
    "MESSAGES",
    "QUEUES",
    "ActOnTask",
    "Asset",
    "IncidentOpened",
    "IncidentResolved",
    "LiftHold",
    "Message",
    "QueueSpec",
    "RunFinished",
    "RunResults",
    "RunStarted",
    "RunSweep",
    "TaskCheck",
    "TaskCompleted",
    "TaskFailed",
    "TaskNeedsAttention",
    "TickDue",
    "queue_name",
    "queues_of",
]
