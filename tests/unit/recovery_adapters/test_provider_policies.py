"""A specification decides how patient we are with its provider, kind by kind; the settings fill what it leaves open."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstop_common.errors import ConfigurationError
from backstop_common.providers.catalogue import load_catalogue
from backstop_recovery.adapters.provider_policies import policies_of
from backstop_recovery.domain.decision import Policy
from backstop_recovery.domain.policies import Policies

SETTINGS = Policy(
    give_up_after_seconds=50_000,
    not_found_grace_seconds=500,
    not_found_confirmations=5,
    shortest_recheck_seconds=20,
    longest_recheck_seconds=200,
)


def _policies(tmp_path: Path, acme: str) -> Policies:
    file = tmp_path / "providers.yaml"
    file.write_text(f"providers: {{acme: {{extends: replicate, {acme}}}}}")
    return policies_of(load_catalogue(providers_file=file, environ={}), SETTINGS)


def test_an_unknown_provider_and_one_that_says_nothing_have_the_settings(tmp_path: Path) -> None:
    policies = _policies(tmp_path, "")
    assert policies.for_("nobody", "video") == SETTINGS
    assert policies.for_("acme", "video") == SETTINGS
    assert policies.for_("acme", "audio") == SETTINGS


@pytest.mark.parametrize(
    ("entry", "image", "video"),
    [
        ("give_up_after: 3h", 10_800, 10_800),
        ("give_up_after: {image: 2h, video: 24h}", 7200, 86_400),
        ("give_up_after: {image: 2h}", 7200, 50_000),
        ("poll: {give_up: 1h}", 3600, 3600),
        ("give_up_after: {image: 2h}, poll: {give_up: 1h}", 7200, 3600),
    ],
)
def test_the_give_up_age_is_one_or_one_per_kind(tmp_path: Path, entry: str, image: float, video: float) -> None:
    policies = _policies(tmp_path, entry)
    assert policies.for_("acme", "image").give_up_after_seconds == image
    assert policies.for_("acme", "video").give_up_after_seconds == video
    assert policies.for_("replicate", "video").give_up_after_seconds == 50_000


@pytest.mark.parametrize(
    ("entry", "grace", "confirmations"),
    [("not_found: {grace: 0s}", 0, 5), ("not_found: {confirmations: 1}", 500, 1), ("not_found: {}", 500, 5)],
)
def test_denials_are_believed_as_the_provider_says(
    tmp_path: Path, entry: str, grace: float, confirmations: int
) -> None:
    policy = _policies(tmp_path, entry).for_("acme", "video")
    assert (policy.not_found_grace_seconds, policy.not_found_confirmations) == (grace, confirmations)


@pytest.mark.parametrize(
    ("entry", "shortest", "longest"),
    [
        ("poll: {min: 60s, max: 2m}", 60, 120),
        ("poll: {min: 60s}", 60, 200),
        ("poll: {min: 10m}", 600, 600),
        ("poll: {max: 60s}", 20, 60),
        ("poll: {max: 5s}", 5, 5),
    ],
)
def test_where_one_bound_is_the_providers_own_the_other_gives_way(
    tmp_path: Path, entry: str, shortest: float, longest: float
) -> None:
    policy = _policies(tmp_path, entry).for_("acme", "video")
    assert (policy.shortest_recheck_seconds, policy.longest_recheck_seconds) == (shortest, longest)


@pytest.mark.parametrize(("refresh", "confirmations"), [("requery", 5), ("never", 2)])
def test_a_file_that_is_gone_is_believed_sooner_where_asking_brings_no_fresh_address(
    tmp_path: Path, refresh: str, confirmations: int
) -> None:
    policy = _policies(tmp_path, f"download: {{refresh: {refresh}}}").for_("acme", "video")
    assert policy.gone_confirmations == confirmations


def test_one_confirmation_is_never_made_two() -> None:
    assert Policy(not_found_confirmations=1, fresh_addresses=False).gone_confirmations == 1


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("give_up_after: {vidoe: 2h}", "give_up_after"),
        ("give_up_after: 0s", "give_up_after"),
        ("poll: {min: 2m, max: 1m}", "min is longer than max"),
        ("not_found: {confirmations: 0}", "confirmations"),
    ],
)
def test_a_specification_that_makes_no_sense_stops_the_start(tmp_path: Path, entry: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        _policies(tmp_path, entry)
