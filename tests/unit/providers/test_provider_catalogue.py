"""What people write into PROVIDERS_FILE, and what they are told when it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstop_common.errors import ConfigurationError
from backstop_common.providers.catalogue import Catalogue, UnknownProviderError, load_catalogue
from backstop_common.providers.specification import JwtJwksVerify, Limits, StandardWebhooksVerify

KEYS = {"REPLICATE_API_TOKEN": "r8_secret", "FAL_KEY": "fal_secret", "KIE_API_KEY": "kie_secret"}

FULL_SPEC = """
providers:
  acme:
    base_url: https://api.acme.example/v1
    auth: {kind: bearer, token: "${ACME_KEY}"}
    steps:
      - name: status
        get: "{base_url}/jobs/{id}"
        state: status
        map:
          BUSY: processing
          DONE: succeeded
        outputs: [{each: "urls(files)", url: "@"}]
"""


def load(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> Catalogue:
    file = tmp_path / "providers.yaml"
    file.write_text(text, encoding="utf-8")
    return load_catalogue(providers_file=file, environ=KEYS if environ is None else environ)


def complaint(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        load(tmp_path, text)
    return str(raised.value)


def test_the_built_in_providers_are_there_without_any_file() -> None:
    catalogue = load_catalogue(providers_file=None, environ={})
    assert catalogue.names == (
        "ark", "bfl", "dashscope", "fal", "gemini_interactions", "gemini_veo", "kie", "kie_flux_kontext", "kie_market",
        "kie_runway", "kie_suno", "kie_veo", "kling", "luma_agents", "luma_dream_machine", "minimax_v1", "minimax_v2",
        "openai_videos", "replicate", "runway", "stability",
    )  # fmt: skip


def test_a_missing_key_is_named_and_does_not_stop_the_start() -> None:
    catalogue = load_catalogue(providers_file=None, environ={"FAL_KEY": "x"})
    assert catalogue.get("replicate").missing_secrets == ("REPLICATE_API_TOKEN",)
    assert catalogue.get("fal").missing_secrets == ()


def test_a_blank_key_counts_as_missing() -> None:
    catalogue = load_catalogue(providers_file=None, environ={"FAL_KEY": "  "})
    assert catalogue.get("fal").missing_secrets == ("FAL_KEY",)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    catalogue = load_catalogue(providers_file=None, environ={})
    with pytest.raises(
        UnknownProviderError, match=r"no provider 'nobody'; add it to PROVIDERS_FILE or use one of ark, bfl, "
    ):
        catalogue.get("nobody")


def test_secrets_do_not_show_in_the_text_of_a_provider() -> None:
    catalogue = load_catalogue(providers_file=None, environ=KEYS)
    assert "r8_secret" not in repr(catalogue)
    assert catalogue.get("fal").auth.secrets["value"].get_secret_value() == "Key fal_secret"


def test_a_built_in_provider_is_re_based_with_one_line(tmp_path: Path) -> None:
    catalogue = load(tmp_path, "providers: {replicate: {base_url: 'http://127.0.0.1:8090/replicate/v1/'}}")
    provider = catalogue.get("replicate")
    assert provider.base_url == "http://127.0.0.1:8090/replicate/v1"
    assert provider.output_ttl_seconds == 3600


def test_kie_follows_a_re_based_kie_market(tmp_path: Path) -> None:
    catalogue = load(tmp_path, "providers: {kie_market: {base_url: 'http://127.0.0.1:1'}}")
    assert catalogue.get("kie").base_url == "http://127.0.0.1:1"


def test_a_new_name_extends_another_and_keeps_what_it_does_not_change(tmp_path: Path) -> None:
    catalogue = load(
        tmp_path, "providers: {eu: {extends: replicate, base_url: 'https://eu.example', download: {ttl: 2h}}}"
    )
    provider = catalogue.get("eu")
    assert provider.output_ttl_seconds == 7200
    assert provider.download.auth_hosts == ("api.replicate.com",)
    assert catalogue.get("replicate").base_url == "https://api.replicate.com/v1"


def test_an_entry_may_extend_the_built_in_provider_of_its_own_name(tmp_path: Path) -> None:
    catalogue = load(tmp_path, "providers: {fal: {extends: fal, base_url: 'https://queue.example'}}")
    assert catalogue.get("fal").base_url == "https://queue.example"


def test_another_kind_of_auth_replaces_the_old_one_whole(tmp_path: Path) -> None:
    text = "providers: {replicate: {auth: {kind: header, name: x-key, value: '${GATE}'}}}"
    provider = load(tmp_path, text, {"GATE": "g"}).get("replicate")
    assert (provider.auth.kind, provider.auth.name, provider.missing_secrets) == ("header", "x-key", ())


def test_another_kind_of_verification_replaces_the_old_one_whole(tmp_path: Path) -> None:
    text = "providers: {replicate: {webhook: {verify: {kind: jwt_rs256_jwks, jwks: 'https://k.example'}}}}"
    webhook = load(tmp_path, text).get("replicate").webhook
    assert webhook is not None
    assert isinstance(webhook.verify, JwtJwksVerify)


def test_a_missing_webhook_secret_is_named_apart_from_the_polling_key() -> None:
    provider = load_catalogue(providers_file=None, environ=KEYS).get("replicate")
    assert provider.missing_secrets == ()
    assert provider.webhook is not None
    assert isinstance(provider.webhook.verify, StandardWebhooksVerify)
    assert provider.webhook.missing_secrets == ("REPLICATE_WEBHOOK_SECRET",)


def test_stuck_after_is_one_duration_or_one_per_kind(tmp_path: Path) -> None:
    text = "providers: {fal: {stuck_after: 15m}, replicate: {stuck_after: {video: 20m, image: 300}}}"
    catalogue = load(tmp_path, text)
    assert catalogue.get("fal").stuck_after_seconds("video") == 900
    assert catalogue.get("replicate").stuck_after_seconds("video") == 1200
    assert catalogue.get("replicate").stuck_after_seconds("image") == 300
    assert catalogue.get("replicate").stuck_after_seconds("audio") is None
    assert catalogue.get("kie").stuck_after_seconds("video") is None


def test_limits_are_the_documented_ones_or_those_of_the_file(tmp_path: Path) -> None:
    text = "providers: {fal: {limits: {concurrency: 8, requests: 10, per: 1m}}, stability: {limits: {per: 20s}}}"
    catalogue = load(tmp_path, text)
    assert catalogue.get("fal").limits == Limits(concurrency=8, requests=10, per=60)
    assert catalogue.get("stability").limits == Limits(requests=150, per=20)
    assert catalogue.get("dashscope").limits == Limits(requests=20, per=1)
    assert catalogue.get("kie").limits == Limits()


def test_a_limit_is_lifted_with_null(tmp_path: Path) -> None:
    assert load(tmp_path, "providers: {replicate: {limits: {requests: null}}}").get("replicate").limits.requests is None


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        ("{requests: 0}", "limits.requests: input should be greater than or equal to 1"),
        ("{requests: 5, per: 0s}", "limits.per: input should be greater than 0"),
        ("{requests: 5, per: soon}", "limits.per: 'soon' is not a duration"),
        ("{concurrency: 0}", "limits.concurrency: input should be greater than or equal to 1"),
        ("{rate: 5}", "limits.rate: unknown field"),
    ],
)
def test_a_limit_that_is_none_is_refused_with_its_field(tmp_path: Path, limits: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(tmp_path, f"providers: {{fal: {{limits: {limits}}}}}")
    assert problem in str(refused.value)


def test_defaults_lie_under_every_provider(tmp_path: Path) -> None:
    catalogue = load(tmp_path, "defaults: {download: {max_bytes: 8MiB, ttl: 5m}}\nproviders: {}")
    assert catalogue.get("replicate").download.max_bytes == 8 * 2**20
    assert catalogue.get("replicate").output_ttl_seconds == 3600


def test_a_full_specification_of_a_new_provider_is_accepted(tmp_path: Path) -> None:
    assert load(tmp_path, FULL_SPEC).get("acme").missing_secrets == ("ACME_KEY",)


def test_an_empty_file_is_the_built_in_catalogue(tmp_path: Path) -> None:
    assert "kie" in load(tmp_path, "").names


def test_yaml_numbers_as_state_words_are_compared_as_text(tmp_path: Path) -> None:
    catalogue = load(tmp_path, FULL_SPEC.replace("DONE: succeeded", "7: failed"))
    assert set(catalogue.get("acme").steps[0].map) == {"BUSY", "7"}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(
            "DONE: succeeded",
            "DONE: finished",
            "line 12: providers.acme.steps.0.map.DONE: 'finished' is not a verdict; use one of pending, processing, ",
            id="a word that is no verdict",
        ),
        pytest.param(
            "state: status",
            "state: 'a =='",
            "line 9: providers.acme.steps.0.state: 'a ==' is not a JMESPath expression (Incomplete expression)",
            id="an expression that does not parse",
        ),
        pytest.param(
            "state: status",
            "state: first(status)",
            "line 9: providers.acme.steps.0.state: there is no function first(); use one of abs, avg, ",
            id="a function that does not exist",
        ),
        pytest.param(
            "state: status",
            "state: join(status)",
            "line 9: providers.acme.steps.0.state: join() takes 2 arguments, not 1",
            id="a call with too few arguments",
        ),
        pytest.param(
            "{base_url}/jobs/{id}",
            "{base_url}/jobs/{job}",
            "line 8: providers.acme.steps.0.get: {job} is not known here; add it to ref or vars",
            id="an unknown template variable",
        ),
        pytest.param(
            '    steps:\n      - name: status\n        get: "{base_url}/jobs/{id}"',
            '    ref: {id: required, poll_url: required}\n    steps:\n      - name: status\n        get: "{poll_url}"',
            "providers.acme.steps.0.get: {poll_url} is a whole address; list the hosts it may name in allow_hosts",
            id="an address from the reference without allow_hosts",
        ),
        pytest.param(
            "state: status",
            "statE: status",
            "line 9: providers.acme.steps.0.statE: unknown field; remove it or correct its spelling",
            id="a misspelt field",
        ),
        pytest.param(
            'token: "${ACME_KEY}"',
            "token: sk-plain",
            "line 5: providers.acme.auth.token: a key must not be in the file; write ${NAME} and set NAME",
            id="a key in the file",
        ),
        pytest.param(
            "kind: bearer,",
            "kind: barer,",
            "line 5: providers.acme.auth.kind: must be one of 'bearer', 'header', 'query', 'jwt_hs256', 'none'",
            id="an unknown kind of auth",
        ),
        pytest.param(
            "https://api.acme.example/v1",
            "api.acme.example",
            "line 4: providers.acme.base_url: 'api.acme.example' is not an address; write for example https://",
            id="a base address without a scheme",
        ),
        pytest.param(
            "BUSY: processing",
            "BUSY: next",
            "line 11: providers.acme.steps.0.map.BUSY: next in the last step leads nowhere",
            id="next in the last step",
        ),
        pytest.param(
            "- name: status",
            "- name: status\n        rules: [{when: 'code != `200`', verdict: failed}]",
            "line 8: providers.acme.steps.0.rules.0.when: != is true of a missing code, so an empty answer would be",
            id="a terminal rule that an empty answer satisfies",
        ),
        pytest.param(
            "- name: status",
            "- name: status\n        rules: [{verdict: failed}]",
            "line 8: providers.acme.steps.0.rules.0: a rule without http, header or when would fire on every answer",
            id="a rule without a condition",
        ),
        pytest.param(
            "    steps:",
            "    download: {auth: same}\n    steps:",
            "line 6: providers.acme.download.auth_hosts: required with auth: same; list the hosts that may see the key",
            id="auth on downloads without hosts",
        ),
        pytest.param(
            "    steps:",
            "    download: {ttl: soon}\n    steps:",
            "line 6: providers.acme.download.ttl: 'soon' is not a duration; write for example 30s, 10m, 24h or 30d",
            id="a duration that is none",
        ),
        pytest.param(
            "    steps:",
            "    allow_hosts: ['https://x.example']\n    steps:",
            "line 6: providers.acme.allow_hosts.0: 'https://x.example' is not a host; write for example api",
            id="an address where a host belongs",
        ),
        pytest.param(
            "    base_url: https://api.acme.example/v1\n",
            "",
            "line 3: providers.acme.base_url: is missing; write it, or extends:",
            id="a missing field",
        ),
        pytest.param(
            "    base_url: https://api.acme.example/v1\n",
            "    extends: acne\n",
            "line 4: providers.acme.extends: there is no provider 'acne'; use one of acme, ark, bfl, ",
            id="extends a name nobody has",
        ),
        pytest.param(
            "    base_url: https://api.acme.example/v1\n",
            "    extends: acme\n",
            "line 4: providers.acme.extends: acme extends acme; break the circle",
            id="extends itself",
        ),
        pytest.param(
            "DONE: succeeded", "BUSY: succeeded", "line 12: BUSY is there twice; keep one of them", id="twice"
        ),
        pytest.param("map:", "map: [", "not valid YAML", id="no YAML"),
        pytest.param(
            "providers:", "provider:", "line 2: provider: unknown field; use version, defaults, providers", id="top"
        ),
        pytest.param("providers:", "version: 2\nproviders:", "line 2: version: only version 1 is known", id="version"),
    ],
)
def test_a_mistake_is_one_sentence_with_file_line_field_and_remedy(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    assert old in FULL_SPEC
    sentence = complaint(tmp_path, FULL_SPEC.replace(old, new))
    assert expected in sentence
    assert sentence.startswith(f"PROVIDERS_FILE {tmp_path / 'providers.yaml'}")
    assert "\n" not in sentence


def test_a_missing_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nothing\.yaml does not exist; create it or unset PROVIDERS_FILE"):
        load_catalogue(providers_file=tmp_path / "nothing.yaml", environ={})


def test_a_key_with_a_line_break_is_refused_without_being_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="REPLICATE_API_TOKEN holds characters") as raised:
        load_catalogue(providers_file=None, environ={"REPLICATE_API_TOKEN": "r8_se\ncret"})
    assert "r8_se" not in str(raised.value)
