"""What docs/providers.md and .env.example say about providers is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from backstop_common.providers.catalogue import load_catalogue
from backstop_common.providers.inspection import inspect_file
from backstop_recovery.adapters.conformance import generic_cases, run_conformance
from tests.support.source_tree import ROOT

PAGE = (ROOT / "docs/providers.md").read_text()
CATALOGUE = load_catalogue(providers_file=None, environ={})
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("name", CATALOGUE.names)
def test_the_page_names_every_built_in_provider_with_its_variables(name: str) -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("|") and f"`{name}`" in line]
    assert len(rows) == 1
    assert [variable for variable in CATALOGUE.get(name).missing_secrets if f"`{variable}`" not in rows[0]] == []


@pytest.mark.parametrize("name", CATALOGUE.names)
def test_the_example_environment_names_every_variable(name: str) -> None:
    provider = CATALOGUE.get(name)
    webhook = provider.webhook.missing_secrets if provider.webhook else ()
    named = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert {*provider.missing_secrets, *webhook} <= named


def test_there_are_examples_to_check() -> None:
    assert len(EXAMPLES) == 4


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_of_the_page_passes_the_check(tmp_path: Path, text: str) -> None:
    file = tmp_path / "providers.yaml"
    file.write_text(text, encoding="utf-8")
    for entry in inspect_file(file, {}):
        assert entry.problems == ()
        assert entry.provider is not None
        assert [result for result in run_conformance(entry.provider, generic_cases()) if not result.passed] == []
