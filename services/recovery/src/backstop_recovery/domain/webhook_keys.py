"""The keys that a provider publishes for its webhooks (a JSON Web Key Set, RFC 7517). Pure.

A key that we could not use, or that is easy to forge with, is left out. Of each key only the public parts are kept.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

_MOST_KEYS = 50
_LONGEST_KEY_ID = 200
_ED25519_BYTES = 32
_RSA_BYTES = range(256, 1025)
_PUBLIC_PARTS = ("kty", "crv", "x", "n", "e", "kid", "alg")


class KeyKind(StrEnum):
    """What a provider signs with."""

    ED25519 = "ed25519"
    RSA = "rsa"


@dataclass(frozen=True, slots=True)
class WebhookKey:
    """One usable key."""

    key_id: str
    jwk: Mapping[str, str]


def parse_keys(document: bytes, kind: KeyKind) -> tuple[WebhookKey, ...]:
    """The usable keys of a document, one per id; none when it is no key set."""
    try:
        key_set = json.loads(document)
    except (ValueError, RecursionError):
        return ()
    listed = key_set.get("keys") if isinstance(key_set, dict) else None
    if not isinstance(listed, list):
        return ()
    found = (_key(jwk, kind) for jwk in listed[:_MOST_KEYS] if isinstance(jwk, dict))
    return tuple({key.key_id: key for key in found if key is not None}.values())


def _key(jwk: dict[str, Any], kind: KeyKind) -> WebhookKey | None:
    public = {name: jwk[name] for name in _PUBLIC_PARTS if isinstance(jwk.get(name), str)}
    if jwk.get("use", "sig") != "sig" or not _is_usable(public, kind):
        return None
    material = public["x"] if kind is KeyKind.ED25519 else public["n"]
    key_id = public.get("kid") or hashlib.sha256(material.encode()).hexdigest()[:32]
    if len(key_id) > _LONGEST_KEY_ID or not key_id.isprintable():
        return None
    return WebhookKey(key_id, public)


def _is_usable(jwk: Mapping[str, str], kind: KeyKind) -> bool:
    if kind is KeyKind.ED25519:
        return (jwk.get("kty"), jwk.get("crv")) == ("OKP", "Ed25519") and len(_decoded(jwk.get("x"))) == _ED25519_BYTES
    modulus, exponent = _decoded(jwk.get("n")), int.from_bytes(_decoded(jwk.get("e"))[:8], "big")
    algorithm_fits = jwk.get("kty") == "RSA" and jwk.get("alg", "RS256") == "RS256"
    return algorithm_fits and len(modulus.lstrip(b"\0")) in _RSA_BYTES and exponent > 1 and exponent % 2 == 1


def _decoded(text: str | None) -> bytes:
    try:
        encoded = (text or "").encode("ascii")
        return base64.b64decode(encoded + b"=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except (UnicodeError, binascii.Error):
        return b""
