"""Every fault of the sandbox's provider APIs, met by the real adapter: no definitive verdict, no key given away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from backstop_common.providers.catalogue import load_catalogue
from backstop_recovery.adapters.addresses import parse_allowed_hosts
from backstop_recovery.adapters.declarative_providers import DeclarativeProviders
from backstop_recovery.adapters.guard import AddressGuard
from backstop_recovery.adapters.http_client import open_client
from backstop_recovery.application.ports import Reference
from backstop_recovery.domain.verdict import NotFound, Succeeded, Unknown, Verdict
from backstop_sandbox import Sandbox, SandboxSettings
from backstop_sandbox.faults.words import FAULTS_OF, Side
from backstop_sandbox.provider_file import providers_yaml

KEYS = {"REPLICATE_API_TOKEN": "canary-r", "FAL_KEY": "canary-f", "KIE_API_KEY": "canary-k"}
PROVIDERS = ("replicate", "fal", "kie")
REASONS = {
    "status_500": "server_error",
    "status_502": "server_error",
    "status_503": "server_error",
    "throttled_seconds": "rate_limited",
    "throttled_date": "rate_limited",
    "no_content": "unparsable",
    "reset_before": "unreachable",
    "reset_within": "unreachable",
    "slow_headers": "timed_out",
    "slow_body": "timed_out",
    "cut_short": "unreachable",
    "chunk_cut": "unreachable",
    "huge_length": "unreachable",
    "endless": "unparsable",
    "gzip_bomb": "unparsable",
    "gzip_cut": "unreachable",
    "brotli_bomb": "unparsable",
    "huge_header": "unreachable",
    "many_headers": "unreachable",
    "odd_header": "unparsable",
    "redirect_loopback": "unreachable",
    "redirect_metadata": "unreachable",
    "redirect_private": "unreachable",
    "redirect_mapped": "unreachable",
    "redirect_file": "unreachable",
    "redirect_userinfo": "unreachable",
    "redirect_loop": "unreachable",
    "redirect_elsewhere": "unreachable",
    "html": "unparsable",
    "xml": "unparsable",
    "text": "unparsable",
    "empty": "unparsable",
    "null": "unparsable",
    "invalid_json": "unparsable",
    "wrong_charset": "unparsable",
    "deep_json": "unparsable",
    "wide_json": "unparsable",
    "huge_numbers": "unparsable",
    "unknown_state": "unknown_state",
}
"""What we say we do not know, and why; `flapping` is the only fault that looks like an answer."""


class World:
    def __init__(self, sandbox: Sandbox, providers: DeclarativeProviders) -> None:
        self.sandbox, self.providers = sandbox, providers

    async def ask(self, provider: str, fault: str, *, times: int = 1) -> list[Verdict]:
        script = {"provider": provider, "id": f"g-{fault}", "api_fault": fault, "behaviour": "failed"}
        async with httpx.AsyncClient(base_url=self.sandbox.url) as client:
            (await client.post("/control/generations", json=script)).raise_for_status()
        reference = Reference(provider, f"g-{fault}", {"app": "fal-ai/sandbox"} if provider == "fal" else {})
        return [await self.providers.check(reference) for _ in range(times)]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with Sandbox(SandboxSettings(port=0, smtp_port=0)) as sandbox:
        file = tmp_path / "providers.yaml"
        file.write_text(providers_yaml(sandbox.url))
        host = sandbox.url.removeprefix("http://")
        client = open_client(AddressGuard(parse_allowed_hosts(f"{host},localhost:{host.split(':')[1]}")))
        catalogue = load_catalogue(providers_file=file, environ=KEYS)
        providers = DeclarativeProviders(catalogue=catalogue, client=client, timeout_seconds=3.0)
        yield World(sandbox, providers)
        await client.close()


def test_every_fault_of_an_api_has_its_reason() -> None:
    assert set(REASONS) | {"flapping"} == {str(fault) for fault in FAULTS_OF[Side.API]}


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_hostile_answer_is_our_ignorance_and_nothing_else(world: World, provider: str) -> None:
    answers = await asyncio.gather(*(world.ask(provider, fault) for fault in REASONS))
    verdicts = dict(zip(REASONS, (verdict for (verdict,) in answers), strict=True))
    assert {fault: reason_of(verdict) for fault, verdict in verdicts.items()} == REASONS
    assert "canary" not in str(verdicts)
    str(verdicts).encode()
    assert world.sandbox.world.visits.as_json() == []


def reason_of(verdict: Verdict) -> str:
    return verdict.reason.value if isinstance(verdict, Unknown) else f"not unknown but {verdict}"


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_id_that_comes_and_goes_is_denied_and_then_decided(world: World, provider: str) -> None:
    first, second = await world.ask(provider, "flapping", times=2)
    assert isinstance(first, NotFound)
    assert not isinstance(second, NotFound | Succeeded | Unknown)


@pytest.mark.parametrize("fault", ["throttled_seconds", "throttled_date"])
async def test_a_wish_to_wait_is_heard_in_both_forms(world: World, fault: str) -> None:
    (verdict,) = await world.ask("replicate", fault)
    assert isinstance(verdict, Unknown)
    assert verdict.retry_after_seconds is not None
    assert 0 <= verdict.retry_after_seconds <= 2
