"""The `webhook` block of a specification: secrets, messages and addresses are judged when they are read."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from backstop_common.errors import ConfigurationError
from backstop_common.providers.catalogue import load_catalogue
from backstop_common.providers.compiled import CompiledWebhook
from backstop_common.providers.webhook_signing import compile_message, secrets_of, standard_key

KEY = b"0123456789abcdefghijklmn"
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
SIGNED = ("replicate", "openai_videos", "gemini_veo", "gemini_interactions", "fal", "kie", "kie_veo", "kie_suno", "bfl")
UNSIGNED = ("luma_dream_machine", "ark", "kling", "minimax_v1", "minimax_v2")


def webhook(name: str, file: Path | None = None, **environ: str) -> CompiledWebhook:
    found = load_catalogue(providers_file=file, environ=environ).get(name).webhook
    assert found is not None
    return found


def written(tmp_path: Path, block: str) -> Path:
    file = tmp_path / "providers.yaml"
    file.write_text(f"providers: {{mine: {{extends: replicate, webhook: {block}}}}}", encoding="utf-8")
    return file


@pytest.mark.parametrize("name", SIGNED)
def test_those_who_sign_are_known(name: str) -> None:
    assert webhook(name).verify.kind != "none"


@pytest.mark.parametrize("name", UNSIGNED)
def test_those_who_do_not_sign_are_known(name: str) -> None:
    assert webhook(name).verify.kind == "none"
    assert not webhook(name).is_signed


def test_a_secret_becomes_the_key_it_encodes() -> None:
    assert webhook("replicate", REPLICATE_WEBHOOK_SECRET=SECRET).keys == (KEY,)


@pytest.mark.parametrize("between", [",", " ", ", "])
def test_two_secrets_are_two_keys_while_one_replaces_the_other(between: str) -> None:
    other = base64.b64encode(b"another-key-of-24-bytes!").decode()
    found = webhook("openai_videos", OPENAI_WEBHOOK_SECRET=f"{SECRET}{between}{other}")
    assert found.keys == (KEY, b"another-key-of-24-bytes!")


def test_no_repr_tells_a_key() -> None:
    told = repr(webhook("replicate", REPLICATE_WEBHOOK_SECRET=SECRET)) + repr(webhook("kie", KIE_WEBHOOK_KEY="k" * 20))
    assert "0123456789abcdef" not in told
    assert "kkkk" not in told


@pytest.mark.parametrize("secret", ["whsec_", "whsec_!!!!", "whsec_c2hvcnQ=", "not base64 at all, really", ","])
def test_what_is_no_secret_stops_the_start_without_telling_it(secret: str) -> None:
    with pytest.raises(ConfigurationError, match="REPLICATE_WEBHOOK_SECRET") as caught:
        webhook("replicate", REPLICATE_WEBHOOK_SECRET=secret)
    assert "c2hvcnQ" not in str(caught.value)


def test_without_its_secret_a_signed_webhook_cannot_be_verified() -> None:
    assert webhook("replicate").missing_secrets == ("REPLICATE_WEBHOOK_SECRET",)
    assert not webhook("replicate").is_signed


def test_published_keys_need_no_secret() -> None:
    assert webhook("fal").is_signed
    assert webhook("fal").key_address == "https://rest.fal.ai/.well-known/jwks.json"
    assert webhook("kie").key_address is None


@pytest.mark.parametrize(
    ("block", "field"),
    [
        ("{task_id: 'id ||', verify: {kind: none}}", "webhook.task_id"),
        ("{task_id: id, event: 'a b', verify: {kind: none}}", "webhook.event"),
        ("{task_id: id, challenge: '(', verify: {kind: none}}", "webhook.challenge"),
        ("{task_id: id, verify: {kind: hmac, header: x, message: nothing, secret: '${A}'}}", "webhook.verify.message"),
        ("{task_id: id, verify: {kind: hmac, header: x, message: '{boby}', secret: '${A}'}}", "webhook.verify.message"),
        ("{task_id: id, verify: {kind: hmac, header: x, timestamp: t, secret: '${A}'}}", "webhook.verify.timestamp"),
        ("{task_id: id, verify: {kind: hmac, header: x, secret: in-the-file}}", "webhook.verify.secret"),
        ("{task_id: id, verify: {kind: fal_ed25519_jwks, jwks: 'ftp://keys.example'}}", "webhook.verify.jwks"),
        ("{task_id: id, verify: {kind: jwt_rs256_jwks, jwks: 'https://a@keys.example'}}", "webhook.verify.jwks"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, block: str, field: str) -> None:
    with pytest.raises(ConfigurationError, match=field):
        webhook("mine", written(tmp_path, block), A="secret")


def test_a_message_is_put_together_from_its_places() -> None:
    message = compile_message("v0:{header:X-Moment}:{task_id}:{body}.")
    made = message.of(body=b"\xff{}", task_id="é", headers={"x-moment": b"17"})
    assert made == b"v0:17:\xc3\xa9:\xff{}."


@pytest.mark.parametrize(("task_id", "headers"), [(None, {"h": b"1"}), ("t", {})])
def test_a_message_with_a_part_missing_is_none(task_id: str | None, headers: dict[str, bytes]) -> None:
    assert compile_message("{task_id}.{header:h}").of(body=b"", task_id=task_id, headers=headers) is None


def test_a_secret_without_padding_or_prefix_is_understood() -> None:
    assert standard_key(base64.b64encode(b"x" * 17).decode().rstrip("=")) == b"x" * 17


def test_separators_alone_are_no_secret() -> None:
    assert secrets_of(" , ,") == ()
