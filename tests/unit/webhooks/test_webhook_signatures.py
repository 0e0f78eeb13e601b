"""Every kind of signature: the right one is taken, and whatever differs from it is refused without an error."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop_admin_api.adapters.signatures import judge
from backstop_admin_api.application.webhook_outcomes import Evidence, Forged, Genuine, IncomingWebhook, PublicKey
from backstop_common.providers.catalogue import load_catalogue
from backstop_common.providers.compiled import CompiledWebhook
from tests.support.signing import (
    STANDARD_KEY,
    STANDARD_SECRET,
    FalSigner,
    TokenSigner,
    bfl_headers,
    kie_headers,
    standard_headers,
)

NOW = 1_800_000_000
BODY = b'{"id": "p-1", "status": "succeeded", "output": "\xc3\xa9"}'
OLD_KEY = b"the-key-that-goes-away-0"
FAL = FalSigner()
GOOGLE = TokenSigner()
KIE_KEY = "kie-webhook-key-of-the-tests"


def webhook_of(name: str, file: Path | None = None, **environ: str) -> CompiledWebhook:
    found = load_catalogue(providers_file=file, environ=environ).get(name).webhook
    assert found is not None
    return found


OLD_SECRET = "whsec_" + base64.b64encode(OLD_KEY).decode()
REPLICATE = webhook_of("replicate", REPLICATE_WEBHOOK_SECRET=STANDARD_SECRET)
ROTATING = webhook_of("replicate", REPLICATE_WEBHOOK_SECRET=f"{OLD_SECRET}, {STANDARD_SECRET}")
KIE = webhook_of("kie", KIE_WEBHOOK_KEY=KIE_KEY)
BFL = webhook_of("bfl", BFL_WEBHOOK_SECRET="bfl-secret")
OF_FAL = webhook_of("fal")
FAL_KEYS = (PublicKey("other", FalSigner().jwk), PublicKey("k", FAL.jwk))


def judged(
    webhook: CompiledWebhook,
    headers: Mapping[str, str | bytes],
    body: bytes = BODY,
    *,
    task_id: str | None = None,
    keys: tuple[PublicKey, ...] = (),
    now: float = NOW,
) -> Genuine | Forged:
    raw = {name: value.encode() if isinstance(value, str) else value for name, value in headers.items()}
    return judge(webhook, Evidence(IncomingWebhook(raw, body), task_id, keys, now))


def is_genuine(*given: Any, **more: Any) -> bool:
    return isinstance(judged(*given, **more), Genuine)


# --- Standard Webhooks ----------------------------------------------------------------------------------------------


def test_the_published_example_of_standard_webhooks_is_genuine() -> None:
    """The example of the specification and of Svix, who wrote it."""
    webhook = webhook_of("replicate", REPLICATE_WEBHOOK_SECRET="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    found = judged(webhook, headers, b'{"test": 2432232314}', now=1614265330)
    assert found == Genuine(delivery="msg_p5jXN8AQM9LWM0D4loKWxJek")


def test_a_signed_body_is_genuine_and_names_its_delivery() -> None:
    assert judged(REPLICATE, standard_headers(BODY, moment=NOW, identity="m-7")) == Genuine(delivery="m-7")


@pytest.mark.parametrize("key", [STANDARD_KEY, OLD_KEY])
def test_both_secrets_are_good_while_one_replaces_the_other(key: bytes) -> None:
    assert is_genuine(ROTATING, standard_headers(BODY, key=key, moment=NOW))


def test_one_right_signature_among_several_is_enough() -> None:
    headers = standard_headers(BODY, moment=NOW)
    wrong = standard_headers(BODY, key=b"x" * 24, moment=NOW)["webhook-signature"]
    several = f"v1a,AAAA {wrong} {headers['webhook-signature']}"
    assert is_genuine(REPLICATE, {**headers, "webhook-signature": several})


@pytest.mark.parametrize("away", [-300, 300])
def test_five_minutes_are_not_too_far(away: int) -> None:
    assert is_genuine(REPLICATE, standard_headers(BODY, moment=NOW + away))


@pytest.mark.parametrize("away", [-301, 301, -86_400, 10**9])
def test_an_old_or_a_future_one_is_refused_although_it_is_signed(away: int) -> None:
    assert judged(REPLICATE, standard_headers(BODY, moment=NOW + away)) == Forged(
        "the header webhook-timestamp is more than 300 s away from now"
    )


def test_another_secret_is_refused() -> None:
    assert not is_genuine(REPLICATE, standard_headers(BODY, key=OLD_KEY, moment=NOW))


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_refused(name: str) -> None:
    headers = standard_headers(BODY, moment=NOW)
    del headers[name]
    assert not is_genuine(REPLICATE, headers)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize(
    "value", [b"", b"\xff\xfe\x00", b"v1,", b"v1, v1,", b"1800000000.0", b"-1", b"9" * 40, b"\xd9\xa1"]
)
def test_a_header_of_any_bytes_is_refused_and_no_error(name: str, value: bytes) -> None:
    assert not is_genuine(REPLICATE, {**standard_headers(BODY, moment=NOW), name: value})


def test_an_empty_id_is_refused_although_it_is_signed() -> None:
    assert not is_genuine(REPLICATE, standard_headers(BODY, moment=NOW, identity=""))


# --- HMAC -----------------------------------------------------------------------------------------------------------


def test_kie_signs_the_task_and_the_moment() -> None:
    assert judged(KIE, kie_headers("t-1", key=KIE_KEY, moment=NOW), task_id="t-1") == Genuine()


def test_kie_signature_is_for_one_task() -> None:
    assert not is_genuine(KIE, kie_headers("t-1", key=KIE_KEY, moment=NOW), task_id="t-2")


@pytest.mark.parametrize("away", [-301, 301])
def test_kie_signature_is_for_one_moment(away: int) -> None:
    assert not is_genuine(KIE, kie_headers("t-1", key=KIE_KEY, moment=NOW + away), task_id="t-1")


def test_kie_without_a_task_is_refused() -> None:
    assert not is_genuine(KIE, kie_headers("t-1", key=KIE_KEY, moment=NOW), task_id=None)


@pytest.mark.parametrize("task_id", ["é", "\ud800", "a.b"])
def test_a_task_id_of_any_text_is_no_error(task_id: str) -> None:
    assert not is_genuine(KIE, kie_headers("t-1", key=KIE_KEY, moment=NOW), task_id=task_id)


def test_bfl_signs_the_body() -> None:
    assert is_genuine(BFL, bfl_headers(BODY, key="bfl-secret"))
    assert not is_genuine(BFL, bfl_headers(BODY, key="bfl-secret"), BODY + b" ")


@pytest.mark.parametrize("value", [b"", b"sha256=", b"\xff", b"md5=00", b"sha256=\xc3\xa9"])
def test_a_hash_of_any_bytes_is_refused(value: bytes) -> None:
    assert not is_genuine(BFL, {"x-bfl-signature": value})


def test_without_its_header_a_hash_is_refused() -> None:
    assert judged(BFL, {}) == Forged("the header x-bfl-signature is missing")


# --- fal ------------------------------------------------------------------------------------------------------------


def test_fal_is_genuine_with_any_of_its_published_keys() -> None:
    assert judged(OF_FAL, FAL.headers(BODY, moment=NOW), keys=FAL_KEYS) == Genuine()


def test_fal_is_refused_without_the_key_that_signed() -> None:
    assert not is_genuine(OF_FAL, FAL.headers(BODY, moment=NOW), keys=FAL_KEYS[:1])
    assert not is_genuine(OF_FAL, FAL.headers(BODY, moment=NOW))


@pytest.mark.parametrize("away", [-301, 301])
def test_fal_is_refused_at_another_moment(away: int) -> None:
    assert not is_genuine(OF_FAL, FAL.headers(BODY, moment=NOW + away), keys=FAL_KEYS)


@pytest.mark.parametrize("jwk", [{}, {"x": ""}, {"x": "é"}, {"x": "AAAA"}, {"x": "A" * 43}])
def test_a_published_key_that_is_none_is_passed_over(jwk: dict[str, str]) -> None:
    keys = (PublicKey("broken", jwk), *FAL_KEYS)
    assert is_genuine(OF_FAL, FAL.headers(BODY, moment=NOW), keys=keys)


@pytest.mark.parametrize("name", ["request-id", "user-id", "timestamp", "signature"])
@pytest.mark.parametrize("value", [None, b"", b"\xff\x00", b"zz" * 64, b"0" * 128, b" " * 128])
def test_a_header_of_fal_of_any_bytes_is_refused(name: str, value: bytes | None) -> None:
    headers: dict[str, Any] = {**FAL.headers(BODY, moment=NOW), f"x-fal-webhook-{name}": value}
    assert not is_genuine(OF_FAL, {key: text for key, text in headers.items() if text is not None}, keys=FAL_KEYS)


# --- RS256 ----------------------------------------------------------------------------------------------------------

CLAIMS = {"iat": NOW, "exp": NOW + 600, "aud": "backstop", "data": {"id": "v-1"}}
GOOGLE_KEYS = (PublicKey("k-1", GOOGLE.jwk),)


@pytest.fixture
def dynamic(tmp_path: Path) -> CompiledWebhook:
    file = tmp_path / "providers.yaml"
    verify = "{kind: jwt_rs256_jwks, jwks: 'https://keys.example/jwks.json', audience: backstop}"
    file.write_text(f"providers: {{g: {{extends: gemini_veo, webhook: {{verify: {verify}}}}}}}", encoding="utf-8")
    return webhook_of("g", file)


def test_a_token_is_genuine_and_hands_its_claims_on(dynamic: CompiledWebhook) -> None:
    found = judged(dynamic, {"webhook-signature": GOOGLE.token({**CLAIMS, "jti": "j-1"})}, keys=GOOGLE_KEYS)
    assert isinstance(found, Genuine)
    assert found.delivery == "j-1"
    assert found.claims is not None
    assert found.claims["data"] == {"id": "v-1"}


@pytest.mark.parametrize(
    "change",
    [
        {"exp": NOW - 1},
        {"exp": float("nan")},
        {"iat": NOW - 301},
        {"iat": NOW + 301},
        {"iat": 10**400},
        {"iat": float("nan")},
        {"iat": None, "exp": None},
        {"iat": "now", "exp": True},
        {"aud": "somebody"},
        {"aud": ["a", "b"]},
        {"aud": None},
    ],
)
def test_a_token_for_another_moment_or_reader_is_refused(dynamic: CompiledWebhook, change: dict[str, Any]) -> None:
    token = GOOGLE.token({**CLAIMS, **change})
    assert not is_genuine(dynamic, {"webhook-signature": token}, keys=GOOGLE_KEYS)


@pytest.mark.parametrize(
    "token",
    [
        TokenSigner().token(CLAIMS),
        GOOGLE.token(CLAIMS, kid="k-2"),
        GOOGLE.token(CLAIMS, kid=["k-1"]),
        GOOGLE.token(CLAIMS, alg="RS512"),
        GOOGLE.token(CLAIMS, b64=False, crit=["b64"]),
        GOOGLE.token(["no", "object"]),
        TokenSigner.unsigned(CLAIMS),
        GOOGLE.confused(CLAIMS),
        "",
        "a.b.c",
        "..",
        "a.b",
        "ImFsZyI.e30.AA",
        "WzFd.e30.AA",
        "\xff",
        "v1,AAAA",
        "A" * 200_000,
    ],
)
def test_what_is_no_token_of_theirs_is_refused_and_no_error(dynamic: CompiledWebhook, token: str) -> None:
    assert not is_genuine(dynamic, {"webhook-signature": token.encode("latin-1")}, keys=GOOGLE_KEYS)


def test_without_a_token_it_is_refused(dynamic: CompiledWebhook) -> None:
    assert judged(dynamic, {}, keys=GOOGLE_KEYS) == Forged("the header webhook-signature is missing")


def test_a_provider_that_signs_nothing_is_never_genuine() -> None:
    assert not is_genuine(webhook_of("ark"), standard_headers(BODY, moment=NOW))


# --- Any changed byte -----------------------------------------------------------------------------------------------

SIGNED_KINDS: dict[str, tuple[CompiledWebhook, dict[str, str], dict[str, Any]]] = {
    "standard": (REPLICATE, standard_headers(BODY, moment=NOW), {}),
    "bfl": (BFL, bfl_headers(BODY, key="bfl-secret"), {}),
    "fal": (OF_FAL, FAL.headers(BODY, moment=NOW), {"keys": FAL_KEYS}),
}


@pytest.mark.parametrize("kind", SIGNED_KINDS)
@given(data=st.data())
def test_any_changed_byte_is_refused(kind: str, data: st.DataObject) -> None:
    webhook, headers, more = SIGNED_KINDS[kind]
    parts = {**{name: value.encode() for name, value in headers.items()}, "body": BODY}
    assert is_genuine(webhook, headers, **more)
    name = data.draw(st.sampled_from(sorted(parts)))
    place = data.draw(st.integers(0, len(parts[name]) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda b: bytes([b]).lower() != parts[name][place : place + 1].lower()))
    parts[name] = parts[name][:place] + bytes([byte]) + parts[name][place + 1 :]
    body = parts.pop("body")
    assert not is_genuine(webhook, parts, body, **more)


@given(body=st.binary(max_size=200))
def test_any_body_that_is_signed_is_genuine(body: bytes) -> None:
    assert is_genuine(REPLICATE, standard_headers(body, moment=NOW), body)


@given(
    headers=st.dictionaries(st.sampled_from(sorted(standard_headers(b""))), st.binary(max_size=80)), body=st.binary()
)
def test_no_headers_and_no_body_raise(headers: dict[str, bytes], body: bytes) -> None:
    assert isinstance(judged(REPLICATE, headers, body), Forged)
