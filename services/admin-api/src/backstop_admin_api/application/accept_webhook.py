"""Take a provider's webhook: proof that a task is worth a look now, and of nothing else."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import structlog

from backstop_admin_api.application.webhook_addresses import WebhookAddresses
from backstop_admin_api.application.webhook_doorbell import ring
from backstop_admin_api.application.webhook_outcomes import (
    Accepted,
    Challenged,
    Duplicate,
    Evidence,
    Forged,
    Genuine,
    IncomingWebhook,
    JudgeSignature,
    Malformed,
    NoSuchAddress,
    NotReady,
    Outcome,
    ReadPublicKeys,
    StillRunning,
    UnknownTask,
    Unverified,
)
from backstop_common.database import Transaction, Transactions
from backstop_common.ids import webhook_id
from backstop_common.providers.catalogue import Catalogue
from backstop_common.providers.compiled import CompiledProvider, CompiledWebhook
from backstop_common.providers.specification import NoVerify, Word

_log = structlog.get_logger(__name__)

_CONSUMER = "admin-api.webhooks"
_TASK_ID = re.compile(r"[^\s\x00-\x1f\x7f\ud800-\udfff]{1,500}")
_EVENT = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_LONGEST_CHALLENGE = 512
_WORTH_A_LOOK = frozenset({"processing", "timed_out"})
_PROGRESS = frozenset({Word.PENDING, Word.PROCESSING})

_BY_PROVIDER_ID = "SELECT id, status FROM tasks WHERE provider = :provider AND provider_task_id = :id"
_BY_ID = "SELECT id, status FROM tasks WHERE provider = :provider AND id = :id"
_FIRST = """
    UPDATE tasks SET webhook_at = clock_timestamp(), updated_at = clock_timestamp()
    WHERE id = :id AND webhook_at IS NULL
"""
_TELL = "INSERT INTO task_events (task_id, kind, detail) VALUES (:id, 'webhook', CAST(:detail AS jsonb))"


@dataclass(frozen=True, slots=True)
class _Note:
    """What is kept of a webhook; `delivery` tells it from others, None when nothing does."""

    provider: str
    delivery: str | None
    event: str | None
    proof: Literal["signature", "address"]


@dataclass(frozen=True, slots=True)
class AcceptWebhook:
    """Verify a webhook and have its task checked; what it claims about the task is not believed.

    1. The signature is judged over the raw bytes; at a task's own address the address is the proof.
    2. Only then the body is read: for the task's id at the provider, and the provider's word for what happened. A word
       that the specification knows as pending or processing ends it here: a generation that goes on needs no check,
       and is not one whose end we were told.
    3. In one transaction: the inbox (a repeat changes nothing), the task's first webhook and its line in the timeline,
       `task.check` in the outbox.

    A webhook about a task that has not been registered yet is not kept: the task is due for its first check like any
    other, and the run that finds it asks the provider. A final task is left alone, unless it was given up: what becomes
    of a late success is recovery's to decide.

    Raises:
        TransientError: the database is away; nothing was changed.
    """

    transactions: Transactions
    catalogue: Catalogue
    addresses: WebhookAddresses
    judge: JudgeSignature
    public_keys: ReadPublicKeys
    now: Callable[[], float]

    def knows(self, provider: str) -> bool:
        """Whether the catalogue has this provider."""
        return provider in self.catalogue.providers

    async def signed(self, provider: str, webhook: IncomingWebhook) -> Outcome:
        """At the address that all tasks of a provider share; the provider is in the catalogue."""
        block = self._verifiable(self.catalogue.get(provider))
        if not isinstance(block, CompiledWebhook):
            return block
        verdict = await self._judged(provider, block, webhook)
        if not isinstance(verdict, Genuine):
            return verdict
        documents = [document for document in (verdict.claims, _object(webhook.body)) if document is not None]
        if not documents:
            return Malformed()
        task_id = next(filter(None, (_task_id(block, document) for document in documents)), None)
        if task_id is None:
            return UnknownTask()
        event = next(filter(None, (_event(block, document) for document in documents)), None)
        note = _Note(provider, verdict.delivery or _digest(webhook.body), event, "signature")
        return await self._accept(_BY_PROVIDER_ID, task_id, note)

    async def at_own_address(self, provider: str, token: str, webhook: IncomingWebhook) -> Outcome:
        """At the address of one task; the provider is in the catalogue. A body that is no JSON rings the bell too."""
        if self.addresses.key is None:
            return NoSuchAddress("BACKSTOP_WEBHOOK_SECRET is not set: tasks have no addresses of their own")
        task_id = self.addresses.task_of(provider, token)
        if task_id is None:
            return Unverified("this is no task's address")
        block, document = self.catalogue.get(provider).webhook, _object(webhook.body) or {}
        challenge = block.challenge(document) if block is not None and block.challenge is not None else None
        if isinstance(challenge, str) and 0 < len(challenge) <= _LONGEST_CHALLENGE:
            return Challenged(challenge)
        event = None if block is None else _event(block, document)
        return await self._accept(_BY_ID, task_id, _Note(provider, _digest(webhook.body), event, "address"))

    async def _judged(
        self, provider: str, block: CompiledWebhook, webhook: IncomingWebhook
    ) -> Genuine | NotReady | Unverified:
        keys = await self.public_keys(provider) if block.key_address is not None else ()
        if block.key_address is not None and not keys:
            return NotReady(f"the keys of {provider} have not been fetched yet")
        verdict = self.judge(block, Evidence(webhook, _claimed_task(block, webhook.body), keys, self.now()))
        return Unverified(verdict.reason) if isinstance(verdict, Forged) else verdict

    async def _accept(self, find: str, task_id: str | UUID, note: _Note) -> Outcome:
        """Locks in this order: the delivery, the task, the slots of its bell."""
        if _is_progress(self.catalogue.get(note.provider), note.event):
            return StillRunning()
        async with self.transactions.begin() as tx:
            task = await tx.row(find, provider=note.provider, id=task_id)
            if task is None:
                return UnknownTask()
            if note.delivery is not None:
                seen = webhook_id(note.provider, task["id"], note.delivery)
                if not await tx.first_time(_CONSUMER, seen):
                    return Duplicate()
            if task["status"] in _WORTH_A_LOOK:
                await _tell_and_ring(tx, task["id"], note)
        return Accepted()

    @staticmethod
    def _verifiable(provider: CompiledProvider) -> CompiledWebhook | NotReady | NoSuchAddress:
        webhook = provider.webhook
        if webhook is None or isinstance(webhook.verify, NoVerify):
            return NoSuchAddress(
                f"{provider.name} signs no webhooks: use the webhookUrl that POST /api/tasks answers with"
            )
        if webhook.missing_secrets:
            _log.warning("webhook_secret_missing", provider=provider.name, variables=list(webhook.missing_secrets))
            return NotReady(f"{' and '.join(webhook.missing_secrets)} is not set")
        return webhook


async def _tell_and_ring(tx: Transaction, task_id: UUID, note: _Note) -> None:
    if await tx.execute(_FIRST, id=task_id):
        detail = {"proof": note.proof} | ({} if note.event is None else {"event": note.event})
        await tx.execute(_TELL, id=task_id, detail=json.dumps(detail))
    await ring(tx, task_id, provider=note.provider)
    _log.info("webhook_accepted", provider=note.provider, task_id=str(task_id), webhook_event=note.event)


def _object(body: bytes) -> dict[str, Any] | None:
    """The JSON object of a body; None for anything else, however hostile."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _claimed_task(webhook: CompiledWebhook, body: bytes) -> str | None:
    """The task that a body names, where the signature covers its id; the body is not read for other signatures."""
    if webhook.message is None or "task_id" not in webhook.message.places:
        return None
    document = _object(body)
    return None if document is None else _task_id(webhook, document)


def _task_id(webhook: CompiledWebhook, document: Mapping[str, Any]) -> str | None:
    value = webhook.task_id(document)
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    return text if isinstance(text, str) and _TASK_ID.fullmatch(text) else None


def _event(webhook: CompiledWebhook, document: Mapping[str, Any]) -> str | None:
    word = None if webhook.event is None else webhook.event(document)
    return word if isinstance(word, str) and _EVENT.fullmatch(word) else None


def _is_progress(provider: CompiledProvider, event: str | None) -> bool:
    return event is not None and any(step.map.get(event) in _PROGRESS for step in provider.steps)


def _digest(body: bytes) -> str | None:
    """What tells webhooks without an id apart; an empty body says nothing, so it repeats nothing."""
    return hashlib.sha256(body).hexdigest() if body else None
