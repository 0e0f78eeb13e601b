"""`backstop provider check FILE`: every mistake at once, and entries held to recorded answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from backstop.cli.app import app

GOOD = """
providers:
  replicate_eu:
    extends: replicate
    base_url: https://eu.example/v1
  fal:
    download: {ttl: 30m}
  acme:
    base_url: https://api.acme.example/v1
    auth: {kind: bearer, token: "${ACME_KEY}"}
    steps:
      - name: status
        get: "{base_url}/jobs/{id}"
        rules: [{http: [404], verdict: not_found}]
        state: status
        map: {BUSY: processing, DONE: succeeded, BROKEN: failed}
        outputs: [{each: "urls(files)", url: "@"}]
"""

BAD = """
providers:
  acme:
    base_url: api.acme.example
    auth: {kind: bearer, token: sk-plain}
    steps:
      - name: status
        get: "{base_url}/jobs/{job}"
        rules: [{when: "code != `200`", verdict: failed}]
        state: "a =="
        map: {DONE: succeeded}
        outputs: [{each: "urls(", url: "@"}]
  other:
    extends: replicat
  third:
    extends: fal
    dowload: {ttl: soon}
    poll: {min: often}
"""


def check(tmp_path: Path, text: str, *options: str) -> Result:
    file = tmp_path / "providers.yaml"
    file.write_text(text, encoding="utf-8")
    return CliRunner(env={"COLUMNS": "100"}).invoke(app, ["provider", "check", str(file), *options])


def as_json(result: Result) -> dict[str, dict[str, object]]:
    return {entry["name"]: entry for entry in json.loads(result.stdout)["providers"]}


def test_a_good_file_is_a_table_and_exit_code_0(tmp_path: Path) -> None:
    result = check(tmp_path, GOOD)
    assert result.exit_code == 0, result.output
    assert "replicate_eu" in result.stdout
    assert "set ACME_KEY before it is asked" in result.stdout


def test_an_entry_is_told_the_answers_of_the_provider_it_extends(tmp_path: Path) -> None:
    entries = as_json(check(tmp_path, GOOD, "--json"))
    assert entries["replicate_eu"]["recordedAs"] == "replicate"
    assert entries["fal"]["recordedAs"] == "fal"
    assert entries["acme"]["recordedAs"] is None
    assert all(entry["failed"] == [] and entry["passed"] for entry in entries.values())


def test_another_name_of_a_provider_is_told_that_ones_answers(tmp_path: Path) -> None:
    entries = as_json(check(tmp_path, "providers: {kie: {poll: {min: 9s}}, mine: {extends: kie}}", "--json"))
    assert entries["kie"]["recordedAs"] == entries["mine"]["recordedAs"] == "kie_market"


def test_an_entry_that_extends_itself_is_told_its_own_answers(tmp_path: Path) -> None:
    entries = as_json(check(tmp_path, "providers: {kling: {extends: kling, base_url: 'https://k.example'}}", "--json"))
    assert entries["kling"]["recordedAs"] == "kling"


def test_every_mistake_is_told_with_its_line_and_exit_code_2(tmp_path: Path) -> None:
    result = check(tmp_path, BAD)
    assert result.exit_code == 2
    for beginning in (
        "line 4: providers.acme.base_url: 'api.acme.example' is not an address",
        "line 5: providers.acme.auth.token: a key must not be in the file",
        "line 8: providers.acme.steps.0.get: {job} is not known here",
        "line 9: providers.acme.steps.0.rules.0.when: != is true of a missing code",
        "line 10: providers.acme.steps.0.state: 'a ==' is not a JMESPath expression",
        "line 12: providers.acme.steps.0.outputs.0.each: 'urls(' is not a JMESPath expression",
        "line 14: providers.other.extends: there is no provider 'replicat'",
        "line 17: providers.third.dowload: unknown field",
        "line 18: providers.third.poll.min: 'often' is not a duration",
    ):
        assert f"providers.yaml {beginning}" in result.stdout


def test_a_misread_answer_is_told_with_what_was_expected_and_exit_code_1(tmp_path: Path) -> None:
    text = GOOD.replace("        rules: [{http: [404], verdict: not_found}]\n", "")
    result = check(tmp_path, text)
    assert result.exit_code == 1
    assert "acme, HTTP 404:\n  expected not_found\n  got      unknown (acme refused the request" in result.stdout


def test_misreading_a_built_in_providers_words_is_found(tmp_path: Path) -> None:
    text = """
providers:
  runway:
    steps:
      - name: status
        get: "{base_url}/v1/tasks/{id}"
        rules: [{http: [404], verdict: not_found}]
        state: status
        map: {PENDING: pending, RUNNING: processing, SUCCEEDED: succeeded, FAILED: cancelled}
        outputs: [{each: output, url: "@"}]
"""
    result = check(tmp_path, text, "--json")
    assert result.exit_code == 1
    failed = as_json(result)["runway"]["failed"]
    assert isinstance(failed, list)
    assert [(one["case"], one["got"].split(",")[0].split(" (")[0]) for one in failed] == [
        ("throttled by the account's concurrency", "unknown"),
        ("failed", "cancelled"),
        ("cancelled", "unknown"),
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("providers: [", "not valid YAML"),
        ("provider: {}", "line 1: provider: unknown field; use version, defaults, providers"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    result = check(tmp_path, text)
    assert result.exit_code == 2
    assert sentence in result.stdout


def test_a_file_that_is_not_there_is_one_sentence_also_as_json(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["provider", "check", str(tmp_path / "none.yaml"), "--json"])
    assert result.exit_code == 2
    assert "does not exist" in json.loads(result.stdout)["problems"][0]


def test_no_entry_needs_no_words_but_one_sentence(tmp_path: Path) -> None:
    result = check(tmp_path, "providers: {}")
    assert result.exit_code == 0
    assert "no providers" in result.stdout


def test_a_mistake_in_the_defaults_is_told_where_it_is(tmp_path: Path) -> None:
    result = check(tmp_path, "defaults:\n  poll: {min: often}\nproviders: {kie: {}, mine: {extends: kie}}")
    assert result.exit_code == 2
    assert result.stdout.count("line 2: defaults.poll.min: 'often' is not a duration") == 1


def test_a_mistake_in_the_defaults_alone_is_told_too(tmp_path: Path) -> None:
    result = check(tmp_path, "defaults:\n  download: {ttl: soon}\nproviders: {}")
    assert result.exit_code == 2
    assert "line 2: defaults.download.ttl: 'soon' is not a duration" in result.stdout
