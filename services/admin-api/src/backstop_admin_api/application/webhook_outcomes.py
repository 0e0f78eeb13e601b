"""A provider's webhook as it arrived, what its signature is worth, and what can become of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backstop_common.providers.compiled import CompiledWebhook


@dataclass(frozen=True, slots=True)
class IncomingWebhook:
    """Header names are lower case; values and body are the bytes that were sent: signatures cover those."""

    headers: Mapping[str, bytes]
    body: bytes


@dataclass(frozen=True, slots=True)
class Genuine:
    """The provider signed it. `delivery` is its own id of this webhook, `claims` what the signature itself carries."""

    delivery: str | None = None
    claims: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Forged:
    """Nobody who knows the secret signed this, or not for this moment. The reason tells nothing that is secret."""

    reason: str


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key that a provider publishes; `jwk` as in RFC 7517."""

    key_id: str
    jwk: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a signature is judged by: the webhook, the task it names, the published keys, and the moment in seconds."""

    webhook: IncomingWebhook
    task_id: str | None
    public_keys: Sequence[PublicKey]
    now: float


JudgeSignature = Callable[[CompiledWebhook, Evidence], Genuine | Forged]
ReadPublicKeys = Callable[[str], Awaitable[Sequence[PublicKey]]]
"""The keys of a provider by its name; none while they have not been fetched."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The task is open and will be checked, or it is final and nothing has to happen."""


@dataclass(frozen=True, slots=True)
class StillRunning:
    """Genuine, and only says that the task goes on: nothing has to happen."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """This delivery was accepted before."""


@dataclass(frozen=True, slots=True)
class UnknownTask:
    """Genuine, and about no task we know (yet)."""


@dataclass(frozen=True, slots=True)
class Unverified:
    """Refused; nothing was read from it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """Genuine, and no JSON object."""


@dataclass(frozen=True, slots=True)
class NotReady:
    """It cannot be verified yet: a secret is not set, or the provider's keys have not been fetched."""

    reason: str


@dataclass(frozen=True, slots=True)
class Challenged:
    """The provider asks whether anybody is there; it wants this value back."""

    value: str


@dataclass(frozen=True, slots=True)
class NoSuchAddress:
    """Nobody takes webhooks there; the reason names the remedy."""

    reason: str


Outcome = (
    Accepted | StillRunning | Duplicate | UnknownTask | Unverified | Malformed | NotReady | Challenged | NoSuchAddress
)
