"""Which of the keys in a published document are kept: usable ones, their public parts, nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop_recovery.domain.webhook_keys import KeyKind, parse_keys
from tests.support.signing import FalSigner, TokenSigner

FAL = FalSigner().jwk
GOOGLE = TokenSigner().jwk


def document(*keys: Any) -> bytes:
    return json.dumps({"keys": list(keys)}).encode()


def test_a_key_is_kept_by_its_id() -> None:
    (key,) = parse_keys(document({**FAL, "kid": "k-1"}), KeyKind.ED25519)
    assert (key.key_id, key.jwk["x"]) == ("k-1", FAL["x"])


def test_a_key_without_an_id_is_known_by_what_it_is() -> None:
    (one,) = parse_keys(document(FAL), KeyKind.ED25519)
    (same,) = parse_keys(document({**FAL, "alg": "EdDSA"}), KeyKind.ED25519)
    (other,) = parse_keys(document(FalSigner().jwk), KeyKind.ED25519)
    assert one.key_id == same.key_id != other.key_id


def test_private_parts_and_everything_else_are_left_out() -> None:
    (key,) = parse_keys(document({**FAL, "d": "private", "x5u": "https://a.example", "n": 1}), KeyKind.ED25519)
    assert key.jwk == FAL


def test_a_modulus_of_2048_bits_is_enough() -> None:
    (key,) = parse_keys(document(GOOGLE), KeyKind.RSA)
    assert key.key_id == GOOGLE["kid"]


@pytest.mark.parametrize(
    "jwk",
    [
        FAL,
        {**GOOGLE, "alg": "RS512"},
        {**GOOGLE, "use": "enc"},
        {**GOOGLE, "n": "AQAB"},
        {**GOOGLE, "n": "AAAA" * 100},
        {**GOOGLE, "n": "f" * 1400 + "8"},
        {**GOOGLE, "n": GOOGLE["n"] + "!"},
        {**GOOGLE, "e": ""},
        {**GOOGLE, "e": "AQ"},
        {**GOOGLE, "e": "AAAC"},
        {**GOOGLE, "kid": "k" * 201},
        {**GOOGLE, "kid": "k\x00"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "a"},
        "no key",
        None,
    ],
)
def test_what_is_no_rsa_key_to_trust_is_left_out(jwk: Any) -> None:
    assert parse_keys(document(jwk), KeyKind.RSA) == ()


@pytest.mark.parametrize(
    "jwk", [GOOGLE, {**FAL, "crv": "X25519"}, {**FAL, "x": "AAAA"}, {**FAL, "x": 7}, {**FAL, "x": "é" * 43}, {}]
)
def test_what_is_no_ed25519_key_is_left_out(jwk: Any) -> None:
    assert [key.jwk for key in parse_keys(document(jwk, FAL), KeyKind.ED25519)] == [FAL]


def test_a_long_list_has_an_end() -> None:
    keys = [{**FAL, "kid": f"k-{number}"} for number in range(1000)]
    assert len(parse_keys(document(*keys), KeyKind.ED25519)) == 50


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"keys": {}}', b'{"keys":' + b"[" * 100_000, b"\xff"])
def test_what_is_no_key_set_has_no_keys(body: bytes) -> None:
    assert parse_keys(body, KeyKind.ED25519) == ()


@given(body=st.binary(), kind=st.sampled_from(KeyKind))
def test_no_document_raises(body: bytes, kind: KeyKind) -> None:
    assert parse_keys(body, kind) == ()
