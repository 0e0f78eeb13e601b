"""What a provider must be told beyond the id: each way to complete it, the shortest first."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstop_admin_api.application.references import missing_references
from backstop_common.providers.catalogue import load_catalogue

BUILT_IN = load_catalogue(providers_file=None, environ={})
_BOTH = {"status_url": "https://queue.fal.run/s", "response_url": "https://queue.fal.run/r"}


@pytest.mark.parametrize(
    ("metadata", "ways"),
    [
        ({}, [("app",), ("response_url", "status_url")]),
        ({"app": "fal-ai/flux"}, []),
        (_BOTH, []),
        ({"status_url": "https://queue.fal.run/s"}, [("app",), ("response_url",)]),
        ({"app": 1, "status_url": None}, [("app",), ("response_url", "status_url")]),
    ],
)
def test_fal_needs_its_app_or_both_addresses(metadata: dict[str, object], ways: list[tuple[str, ...]]) -> None:
    assert missing_references(BUILT_IN.get("fal"), metadata) == ways


@pytest.mark.parametrize("name", ["replicate", "kie_market", "kie_veo"])
def test_providers_that_are_asked_by_the_id_need_nothing_else(name: str) -> None:
    assert missing_references(BUILT_IN.get(name), {}) == []


def test_a_reference_that_a_specification_requires_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "providers.yaml"
    file.write_text(
        "providers: {ours: {extends: replicate, ref: {id: required, region: required},"
        " base_url: 'https://ours.example'}}"
    )
    ours = load_catalogue(providers_file=file, environ={}).get("ours")
    assert missing_references(ours, {}) == [("region",)]
    assert missing_references(ours, {"region": "eu"}) == []
