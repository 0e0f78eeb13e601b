"""Every built-in provider gives the recorded verdict to every recorded answer, and every word it maps is recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backstop_common.providers.cases import Case, Expectation, RecordedAnswer, load_cases
from backstop_common.providers.catalogue import load_catalogue
from backstop_recovery.adapters.conformance import generic_cases, run_conformance

CATALOGUE = load_catalogue(providers_file=None, environ={})
# `kie` is another name of `kie_market`.
BUILT_IN = [name for name in CATALOGUE.names if name != "kie"]
PAIRS = [(name, case) for name in BUILT_IN for case in (*load_cases(name), *generic_cases())]


@pytest.mark.parametrize(("name", "case"), PAIRS, ids=[f"{name}: {case.name}" for name, case in PAIRS])
def test_a_built_in_provider_gives_the_recorded_verdict(name: str, case: Case) -> None:
    results = run_conformance(CATALOGUE.get(name), [case])
    assert results
    assert [f"expected {result.expected}; got {result.got}" for result in results if not result.passed] == []


@pytest.mark.parametrize("name", BUILT_IN)
def test_an_entry_of_another_name_and_address_gives_the_same_verdicts(name: str, tmp_path: Path) -> None:
    file = tmp_path / "providers.yaml"
    file.write_text(json.dumps({"providers": {"mine": {"extends": name, "base_url": "http://127.0.0.1:8090/x"}}}))
    mine = load_catalogue(providers_file=file, environ={}).get("mine")
    results = run_conformance(mine, (*load_cases(name), *generic_cases()))
    assert [result for result in results if not result.passed] == []


def _recorded_words(name: str) -> set[tuple[str, str]]:
    spec, words = CATALOGUE.get(name), set()
    for case in load_cases(name):
        for step, answer in zip(spec.steps, case.answers, strict=False):
            document = json.loads(answer.content) if answer.content[:1] == b"{" else None
            word = step.state(document) if step.state is not None else None
            words.add((step.name, str(word)))
    return words


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_status_word_of_a_map_is_recorded(name: str) -> None:
    mapped = {(step.name, word) for step in CATALOGUE.get(name).steps for word in step.map}
    assert mapped - _recorded_words(name) == set()


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_provider_is_recorded_succeeding_failing_running_and_not_knowing_the_id(name: str) -> None:
    recorded = {case.expect.verdict for case in load_cases(name) if case.expect}
    assert {"succeeded", "failed", "processing", "not_found"} <= recorded


@pytest.mark.parametrize("name", [name for name in BUILT_IN if any(step.map for step in CATALOGUE.get(name).steps)])
def test_every_provider_with_state_words_is_recorded_with_a_new_one(name: str) -> None:
    assert any(case.expect and case.expect.reason == "unknown_state" for case in load_cases(name))


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_names_of_the_cases_differ(name: str) -> None:
    names = [case.name for case in load_cases(name)]
    assert len(set(names)) == len(names)


def test_a_specification_that_reads_a_word_wrongly_fails_with_what_came_instead(tmp_path: Path) -> None:
    file = tmp_path / "providers.yaml"
    steps = [{"name": "s", "get": "{base_url}/{id}", "state": "status", "map": {"starting": "failed"}}]
    file.write_text(json.dumps({"providers": {"replicate": {"steps": steps}}}))
    spec = load_catalogue(providers_file=file, environ={}).get("replicate")
    results = {result.case: result for result in run_conformance(spec, load_cases("replicate"))}
    assert not results["starting"].passed
    assert (results["starting"].expected, results["starting"].got) == ("queued", "failed")
    assert results["a new word"].passed
    assert results["unknown id"].got.startswith("unknown (replicate refused the request (HTTP 404)")


def test_an_id_that_leaves_its_place_fails(tmp_path: Path) -> None:
    file = tmp_path / "providers.yaml"
    steps = [{"name": "s", "get": "{id}", "state": "status", "map": {"x": "failed"}}]
    entry = {"base_url": "https://api.example", "steps": steps, "allow_hosts": ["*.example"]}
    file.write_text(json.dumps({"providers": {"replicate": entry}}))
    spec = load_catalogue(providers_file=file, environ={}).get("replicate")
    reference = Case(name="an address of somebody", hostile="https://evil.example/x")
    assert not run_conformance(spec, [reference])[0].passed


def test_a_case_beyond_the_recorded_answers_is_unparsable_and_no_exception() -> None:
    case = Case(name="x", answers=(RecordedAnswer(body={"status": "COMPLETED"}),), ref={"app": "a"},
                expect=Expectation(verdict="succeeded"))  # fmt: skip
    assert not run_conformance(CATALOGUE.get("fal"), [case])[0].passed


def test_nobody_recorded_anything_for_a_name_without_a_file() -> None:
    assert load_cases("nobody") == ()
