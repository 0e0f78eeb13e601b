"""What providers do before they send a webhook: signatures computed here, with no code of the product."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

STANDARD_KEY = b"standard-webhooks-key-00"
STANDARD_SECRET = "whsec_" + base64.b64encode(STANDARD_KEY).decode()


def standard_headers(
    body: bytes, *, key: bytes = STANDARD_KEY, identity: str = "msg_1", moment: int | None = None
) -> dict[str, str]:
    """The three headers of Standard Webhooks."""
    at = str(int(time.time()) if moment is None else moment)
    signed = hmac.new(key, f"{identity}.{at}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(signed).decode()}"
    return {"webhook-id": identity, "webhook-timestamp": at, "webhook-signature": signature}


def kie_headers(task_id: str, *, key: str, moment: int | None = None) -> dict[str, str]:
    """KIE signs the task's id and the moment."""
    at = str(int(time.time()) if moment is None else moment)
    signed = hmac.new(key.encode(), f"{task_id}.{at}".encode(), hashlib.sha256).digest()
    return {"x-webhook-timestamp": at, "x-webhook-signature": base64.b64encode(signed).decode()}


def bfl_headers(body: bytes, *, key: str) -> dict[str, str]:
    """BFL signs the body."""
    return {"x-bfl-signature": "sha256=" + hmac.new(key.encode(), body, hashlib.sha256).hexdigest()}


def _url_safe(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class FalSigner:
    """fal with a key of its own."""

    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def jwk(self) -> dict[str, str]:
        return {"kty": "OKP", "crv": "Ed25519", "x": _url_safe(self.key.public_key().public_bytes_raw())}

    def headers(self, body: bytes, *, request: str = "req-1", moment: int | None = None) -> dict[str, str]:
        at = str(int(time.time()) if moment is None else moment)
        message = "\n".join((request, "user-1", at, hashlib.sha256(body).hexdigest())).encode()
        return {
            "x-fal-webhook-request-id": request,
            "x-fal-webhook-user-id": "user-1",
            "x-fal-webhook-timestamp": at,
            "x-fal-webhook-signature": self.key.sign(message).hex(),
        }


@dataclass(frozen=True, slots=True)
class TokenSigner:
    """Whoever signs tokens with RS256, the token put together by hand."""

    key_id: str = "k-1"
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    @property
    def jwk(self) -> dict[str, str]:
        numbers = self.key.public_key().public_numbers()
        modulus = numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")
        exponent = numbers.e.to_bytes(3, "big")
        return {"kty": "RSA", "alg": "RS256", "kid": self.key_id, "n": _url_safe(modulus), "e": _url_safe(exponent)}

    def token(self, claims: object, **header: Any) -> str:
        parts = [{"alg": "RS256", "kid": self.key_id, "typ": "JWT", **header}, claims]
        signed = ".".join(_url_safe(json.dumps(part).encode()) for part in parts)
        signature = self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_url_safe(signature)}"

    @staticmethod
    def unsigned(claims: object) -> str:
        """A token that claims to need no signature."""
        return ".".join((_url_safe(b'{"alg":"none"}'), _url_safe(json.dumps(claims).encode()), ""))

    def confused(self, claims: object) -> str:
        """A token signed with HS256 and the public key as its secret."""
        header = {"alg": "HS256", "kid": self.key_id}
        signed = ".".join(_url_safe(json.dumps(part).encode()) for part in (header, claims))
        secret = json.dumps(self.jwk).encode()
        return f"{signed}.{_url_safe(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"
