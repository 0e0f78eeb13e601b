"""What a webhook's signature is made with: the keys of a setting, and the message an HMAC covers.

A setting may hold several secrets, separated by commas or blanks, while one replaces the other. Secrets are told by no
`repr`. What is malformed raises `ValueError` with the remedy.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass

_SEPARATOR = re.compile(r"[,\s]+")
_PLACE = re.compile(r"\{(body|task_id|header:([A-Za-z0-9-]+))\}")
_STANDARD_PREFIX = "whsec_"
_SHORTEST_STANDARD_KEY = 16


@dataclass(frozen=True, slots=True)
class SignedMessage:
    """A template such as `{task_id}.{header:x-webhook-timestamp}`; texts and places alternate, a text first."""

    texts: tuple[bytes, ...]
    places: tuple[str, ...]

    def of(self, *, body: bytes, task_id: str | None, headers: Mapping[str, bytes]) -> bytes | None:
        """The bytes that were signed; None when a part of them is not there. Header names are lower case."""
        message = self.texts[0]
        for place, text in zip(self.places, self.texts[1:], strict=True):
            value = _value(place, body, task_id, headers)
            if value is None:
                return None
            message += value + text
        return message


def _value(place: str, body: bytes, task_id: str | None, headers: Mapping[str, bytes]) -> bytes | None:
    if place == "body":
        return body
    if place == "task_id":
        return None if task_id is None else task_id.encode("utf-8", "surrogatepass")
    return headers.get(place.removeprefix("header:"))


def compile_message(template: str) -> SignedMessage:
    """Compile one template.

    Raises:
        ValueError: a brace is left over, or nothing of the request is in it.
    """
    rest = _PLACE.sub("", template)
    places = tuple(match[1].lower() for match in _PLACE.finditer(template))
    if "{" in rest or "}" in rest or not places:
        raise ValueError(f"{template!r} is no message; make it of {{body}}, {{task_id}} and {{header:NAME}}")
    texts = tuple(text.encode() for text in _PLACE.split(template)[::3])
    return SignedMessage(texts, places)


def secrets_of(setting: str) -> tuple[str, ...]:
    """The secrets of a setting, in their order; none when it holds only separators."""
    return tuple(part for part in _SEPARATOR.split(setting) if part)


def standard_key(secret: str) -> bytes:
    """The key of a Standard Webhooks secret: base64, usually behind `whsec_` (standardwebhooks.com, "Secret").

    Raises:
        ValueError: it is not base64, or so short that it could be guessed.
    """
    encoded = secret.removeprefix(_STANDARD_PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) < _SHORTEST_STANDARD_KEY:
        raise ValueError("it is no webhook secret; copy it again: whsec_ and base64")
    return key
