"""Recovery's composition root: the only module that knows all others."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import uuid4

from backstop_common.errors import TransientError
from backstop_common.loop import Loop
from backstop_common.observability.probes import rarely
from backstop_common.providers.catalogue import Catalogue, load_catalogue
from backstop_common.running import Runtime, Service
from backstop_recovery.adapters.addresses import parse_allowed_hosts
from backstop_recovery.adapters.asset_stores import open_asset_store
from backstop_recovery.adapters.declarative_providers import DeclarativeProviders
from backstop_recovery.adapters.guard import AddressGuard
from backstop_recovery.adapters.guarded_providers import GuardedProviders
from backstop_recovery.adapters.http_client import open_client
from backstop_recovery.adapters.http_key_documents import HttpKeyDocuments, key_sources
from backstop_recovery.adapters.modest_providers import ModestProviders
from backstop_recovery.adapters.obstore_assets import ObstoreAssets
from backstop_recovery.adapters.provider_policies import policies_of
from backstop_recovery.adapters.unfetched_assets import UnfetchedAssets
from backstop_recovery.application.audit_invariants import AuditInvariants
from backstop_recovery.application.beat_active_runs import BeatActiveRuns
from backstop_recovery.application.carry_dry_runs import CarryDryRuns
from backstop_recovery.application.carry_out_action import CarryOutAction
from backstop_recovery.application.check_late import CheckLate
from backstop_recovery.application.claim_late import ClaimLate
from backstop_recovery.application.claim_tasks import ClaimTasks
from backstop_recovery.application.finish_run import FinishRun
from backstop_recovery.application.lift_hold import LiftFailureHold
from backstop_recovery.application.list_due_tasks import ListDueTasks
from backstop_recovery.application.measure_backlog import MeasureBacklog
from backstop_recovery.application.metrics import observe_key_refresh, observe_request
from backstop_recovery.application.preview_run import PreviewRun
from backstop_recovery.application.refresh_webhook_keys import RefreshWebhookKeys
from backstop_recovery.application.renew_leases import RenewLeases
from backstop_recovery.application.request_check import RequestCheck
from backstop_recovery.application.resolve_task import ResolveTask
from backstop_recovery.application.schedule_first_checks import Patience, ScheduleFirstChecks
from backstop_recovery.application.settle_in_groups import SettleInGroups
from backstop_recovery.application.settle_late import SettleLate
from backstop_recovery.application.settle_tasks import SettleTasks
from backstop_recovery.application.settle_within_limit import SettleWithinLimit
from backstop_recovery.application.start_run import StartRun
from backstop_recovery.application.sweep import Sweep
from backstop_recovery.application.watch_runs import WatchRuns
from backstop_recovery.domain.blast_radius import BlastRadius
from backstop_recovery.domain.decision import Policy
from backstop_recovery.domain.late import LatePolicy
from backstop_recovery.domain.pace import Limit, pace_of
from backstop_recovery.domain.places import Places
from backstop_recovery.domain.provider_health import HealthPolicy
from backstop_recovery.entrypoints.handlers import SERVICE, Handlers
from backstop_recovery.settings import RecoverySettings

_POLL_SECONDS = 1.0
_WATCH_SECONDS = 10.0
_MEASURE_SECONDS = 15.0
_LATE_SECONDS = 30.0
_KEYS_SECONDS = 60.0
_DRY_RUN_SHARE = 4


def compose(settings: RecoverySettings, runtime: Runtime, environ: Mapping[str, str] = os.environ) -> Service:
    """Recovery for these settings. Call it inside the running loop; provider keys come from `environ`.

    Raises:
        ConfigurationError: the providers file, the asset store or the allow-list is wrong.
    """
    catalogue = load_catalogue(providers_file=settings.providers_file, environ=environ)
    guard = AddressGuard(parse_allowed_hosts(settings.allow_private_hosts))
    store = open_asset_store(settings.asset_store_url, settings.asset_store_endpoint, environ)
    client = open_client(guard)
    providers = GuardedProviders(
        DeclarativeProviders(catalogue=catalogue, client=client, observe=observe_request),
        settings.provider_concurrency,
        HealthPolicy(),
        time.monotonic,
        _limits(catalogue, settings),
    )
    modest = ModestProviders(providers)
    assets = ObstoreAssets(store=store, client=client, catalogue=catalogue, max_bytes=settings.max_asset_bytes)

    transactions = runtime.transactions
    policy = _policy(settings)
    policies = policies_of(catalogue, policy)
    finish_run = FinishRun(transactions)
    settle_tasks = SettleTasks(
        transactions, settings.assets_public_base_url, _with_webhooks(catalogue), _blast_radius(settings)
    )
    sweep = Sweep(
        claim_tasks=ClaimTasks(transactions, _holder(), settings.lease_seconds),
        resolve_task=ResolveTask(providers, assets, policies, lambda: datetime.now(UTC), random.random),
        settle=SettleInGroups(
            SettleWithinLimit(transactions, settle_tasks, finish_run),
            policy,
            patience_seconds=settings.lease_seconds / 2,
        ),
        finish_run=finish_run,
        beat_active_runs=BeatActiveRuns(transactions, settings.run_silent_after_seconds),
        renew=RenewLeases(transactions, settings.lease_seconds),
        concurrency=settings.concurrency,
        batch_size=settings.batch_size,
        places=Places(providers.room),
    )
    check_late = CheckLate(
        claim_late=ClaimLate(transactions, _holder(), settings.lease_seconds),
        settle_late=SettleLate(transactions),
        providers=modest,
        assets=assets,
        renew=RenewLeases(transactions, settings.lease_seconds),
        policy=policy.late,
    )
    late = Loop("late-successes", check_late.run_once, interval_seconds=_LATE_SECONDS)
    refresh_keys = RefreshWebhookKeys(
        transactions, HttpKeyDocuments(client), key_sources(catalogue), time.monotonic, observe_key_refresh
    )
    watch_runs = WatchRuns(transactions, finish_run, settings.run_silent_after_seconds)
    pool = Loop("sweep", sweep.run_once, interval_seconds=_POLL_SECONDS)
    patience = _patience(catalogue, settings)
    preview_run = PreviewRun(
        transactions=transactions,
        list_due_tasks=ListDueTasks(transactions, patience, settings.stuck_after_seconds),
        resolve_task=ResolveTask(modest, UnfetchedAssets(), policies, lambda: datetime.now(UTC), random.random),
        policy=policy,
        limit=_blast_radius(settings),
        finish_run=finish_run,
        places=asyncio.Semaphore(max(1, settings.concurrency // _DRY_RUN_SHARE)),
    )
    dry_runs = CarryDryRuns(transactions, preview_run, finish_run, settings.run_silent_after_seconds)
    dry_run_loop = Loop("dry-runs", dry_runs.run_once, interval_seconds=_POLL_SECONDS)

    def wake() -> None:
        pool.wake()
        dry_run_loop.wake()
        late.wake()

    handlers = Handlers(
        ScheduleFirstChecks(transactions, patience, settings.stuck_after_seconds),
        StartRun(transactions, settings.run_parallelism, settings.run_deadline_seconds),
        RequestCheck(transactions, policy.late),
        CarryOutAction(transactions, sweep.claim_tasks, SettleTasks(transactions, settings.assets_public_base_url)),
        LiftFailureHold(transactions),
        sweep,
        wake,
    )

    async def check_store() -> str | None:
        try:
            await assets.check()
        except TransientError as error:
            return str(error)
        return None

    async def stop() -> None:
        await asyncio.gather(sweep.drain(), dry_runs.drain(), check_late.drain())
        await client.close()

    return Service(
        name=SERVICE,
        host=settings.host,
        port=settings.port,
        port_setting="BACKSTOP_RECOVERY_PORT",
        subscriptions=handlers.subscriptions(),
        loops=[
            pool,
            dry_run_loop,
            Loop("leases", sweep.renew_leases, interval_seconds=settings.lease_seconds / 3),
            late,
            Loop("late-leases", check_late.renew_leases, interval_seconds=settings.lease_seconds / 3),
            Loop("watchdog", watch_runs, interval_seconds=_WATCH_SECONDS),
            Loop("audit", AuditInvariants(transactions).run_once, interval_seconds=settings.audit_seconds),
            Loop("backlog-gauges", MeasureBacklog(transactions), interval_seconds=_MEASURE_SECONDS),
            Loop("webhook-keys", refresh_keys, interval_seconds=_KEYS_SECONDS),
        ],
        checks={"assets": rarely(check_store, seconds=300)},
        stop=stop,
    )


def _limits(catalogue: Catalogue, settings: RecoverySettings) -> dict[str, Limit]:
    """A provider counts the requests of the whole account: each process that a run wakes takes an equal share."""
    limits = {}
    for name in catalogue.names:
        provider = catalogue.get(name)
        wish, pace = provider.limits, None
        if wish.requests is not None:
            pace = pace_of(wish.requests, wish.per, processes=settings.run_parallelism)
        limits[name] = Limit(wish.concurrency or settings.provider_concurrency, pace, len(provider.steps))
    return limits


def _patience(catalogue: Catalogue, settings: RecoverySettings) -> list[Patience]:
    """The thresholds and output lives of the provider specifications; where they say nothing, the settings do."""
    return [
        Patience(
            name,
            kind,
            catalogue.get(name).stuck_after_seconds(kind) or settings.stuck_after_seconds,
            catalogue.get(name).output_ttl_seconds,
        )
        for name in catalogue.names
        for kind in ("image", "video")
    ]


def _with_webhooks(catalogue: Catalogue) -> frozenset[str]:
    return frozenset(name for name in catalogue.names if catalogue.get(name).webhook is not None)


def _policy(settings: RecoverySettings) -> Policy:
    return Policy(
        give_up_after_seconds=settings.give_up_after_seconds,
        without_id_fails_after_seconds=settings.without_id_fails_after_seconds,
        own_failures_until_attention=settings.own_failures_until_attention,
        shortest_recheck_seconds=settings.shortest_recheck_seconds,
        longest_recheck_seconds=settings.longest_recheck_seconds,
        late=LatePolicy(settings.late_success, settings.late_success_window_seconds),
    )


def _blast_radius(settings: RecoverySettings) -> BlastRadius:
    return BlastRadius(
        settings.blast_radius_percent, settings.blast_radius_min_failed, settings.longest_recheck_seconds
    )


def _holder() -> str:
    """Who holds a lease, for a person who reads the table; the fence is what guards it."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
