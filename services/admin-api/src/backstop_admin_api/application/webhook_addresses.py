"""Where a provider shall send the webhook of a task.

A provider whose signature can be verified gets one address for all tasks. For the others each task has an address that
cannot be guessed: nothing is stored, the token is the task's id and a MAC over it, so only we can make it. Whoever sees
such an address can do no more than ring the bell of this one task; therefore it is proof enough for every provider, and
no signature is looked at there. Another secret makes all old addresses invalid, and the next run finds their tasks.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field
from urllib.parse import quote
from uuid import UUID

from pydantic import SecretStr

from backstop_common.providers.catalogue import Catalogue

_PURPOSE = b"backstop: address of a task's webhook, 1"
_ID_BYTES = 16
_MAC_BYTES = 16


@dataclass(frozen=True, slots=True)
class WebhookAddresses:
    """`base_url` is where admin-api is reached from outside; `key` is None when no secret is set."""

    catalogue: Catalogue
    base_url: str
    key: bytes | None = field(repr=False)

    @classmethod
    def of(cls, catalogue: Catalogue, base_url: str, secret: SecretStr | None) -> WebhookAddresses:
        """The addresses that this secret makes."""
        key = None
        if secret is not None:
            key = hmac.digest(secret.get_secret_value().encode(), _PURPOSE, hashlib.sha256)
        return cls(catalogue, base_url, key)

    def address(self, provider: str, task_id: UUID) -> str | None:
        """The address of a task's webhook; None when its provider signs nothing that we could verify and no secret is
        set, or when the provider is not known any more.
        """
        compiled = self.catalogue.providers.get(provider)
        if compiled is None:
            return None
        shared = f"{self.base_url}/webhooks/{quote(provider, safe='')}"
        if compiled.webhook is not None and compiled.webhook.is_signed:
            return shared
        return None if self.key is None else f"{shared}/{self._token(self.key, provider, task_id)}"

    def task_of(self, provider: str, token: str) -> UUID | None:
        """The task whose address at this provider ends with the token; None when it is none of ours."""
        if self.key is None:
            return None
        try:
            decoded = base64.urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        except (UnicodeError, binascii.Error):
            return None
        if len(decoded) != _ID_BYTES + _MAC_BYTES:
            return None
        task_id = UUID(bytes=decoded[:_ID_BYTES])
        expected = self._token(self.key, provider, task_id)
        return task_id if hmac.compare_digest(expected.encode(), token.encode("ascii")) else None

    @staticmethod
    def _token(key: bytes, provider: str, task_id: UUID) -> str:
        mac = hmac.digest(key, task_id.bytes + provider.encode(), hashlib.sha256)[:_MAC_BYTES]
        return base64.urlsafe_b64encode(task_id.bytes + mac).decode().rstrip("=")
