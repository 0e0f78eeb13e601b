"""From messages to use cases. Each handler translates, delegates, and wakes the loops that send."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from backstop_common.contracts import IncidentOpened, IncidentResolved, RunFinished, TaskCompleted, TaskFailed
from backstop_common.messaging import Delivery, Subscription, subscription
from backstop_notifier.application.alert_operators import AlertOperators
from backstop_notifier.application.judge_run import JudgeRun
from backstop_notifier.application.mail_user import MailUser, Notice
from backstop_notifier.domain.delivery import Kind
from backstop_notifier.domain.facts import AssetFact, CompletedFacts, FailedFacts
from backstop_notifier.domain.wording import clean, one_line

SERVICE = "notifier"


@dataclass(frozen=True, slots=True)
class Handlers:
    """What the notifier does with each message. `wake` makes the sending loops look at once."""

    mail_user: MailUser
    judge_run: JudgeRun
    alert_operators: AlertOperators
    wake: Callable[[], None]

    async def on_task_completed(self, message: TaskCompleted, incoming: Delivery) -> None:
        """A mail to the user."""
        await self.mail_user(completed_notice(message), incoming)
        self.wake()

    async def on_task_failed(self, message: TaskFailed, incoming: Delivery) -> None:
        """A mail to the user."""
        await self.mail_user(failed_notice(message), incoming)
        self.wake()

    async def on_run_finished(self, message: RunFinished, incoming: Delivery) -> None:
        """An incident opens, resolves, or nothing."""
        await self.judge_run(message, incoming)

    async def on_incident(self, message: IncidentOpened | IncidentResolved, incoming: Delivery) -> None:
        """A message to each chat."""
        await self.alert_operators(message, incoming)
        self.wake()

    def subscriptions(self) -> Sequence[Subscription]:
        """All queues of the notifier."""
        return (
            subscription(SERVICE, TaskCompleted, self.on_task_completed),
            subscription(SERVICE, TaskFailed, self.on_task_failed),
            subscription(SERVICE, RunFinished, self.on_run_finished),
            subscription(SERVICE, IncidentOpened, self.on_incident),
            subscription(SERVICE, IncidentResolved, self.on_incident),
        )


def completed_notice(message: TaskCompleted) -> Notice:
    """What a `task.completed` tells the user."""
    assets = tuple(AssetFact(one.role, one.content_type, one.url) for one in message.assets)
    return Notice(
        Kind.TASK_COMPLETED,
        message.task_id,
        message.user_id,
        message.run_id,
        lambda name: CompletedFacts(_name(name), message.kind, assets, message.credits_charged).as_payload(),
    )


def failed_notice(message: TaskFailed) -> Notice:
    """What a `task.failed` tells the user."""
    words = clean(message.message)
    return Notice(
        Kind.TASK_FAILED,
        message.task_id,
        message.user_id,
        message.run_id,
        lambda name: FailedFacts(
            _name(name), message.kind, message.outcome, words, message.credits_returned
        ).as_payload(),
    )


def _name(name: str | None) -> str | None:
    return one_line(name) or None if name else None
