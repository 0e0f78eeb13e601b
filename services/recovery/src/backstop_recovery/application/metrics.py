"""What recovery counts. Base units, no ids in labels."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from backstop_common.contracts import RunFinished
from backstop_recovery.application.settle_tasks import Settled
from backstop_recovery.domain.cause import cause_of
from backstop_recovery.domain.late import LateFinding
from backstop_recovery.domain.resolution import Completed, Withheld, outcome_of

_RUNS = Counter("backstop_runs_total", "Runs by how they ended.", ["job", "status", "trigger"])
_RUN_DURATION = Histogram(
    "backstop_run_duration_seconds",
    "Duration of a run.",
    ["job"],
    buckets=(0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600),
)
LAST_FINISHED = Gauge("backstop_last_run_finished_timestamp_seconds", "When a run of the job last ended.", ["job"])
_CHECKED = Counter("backstop_tasks_checked_total", "Checks by what the provider said.", ["provider", "verdict"])
_SETTLED = Counter("backstop_tasks_settled_total", "Settled claims by outcome.", ["provider", "kind", "outcome"])
_STUCK_CAUSES = Counter(
    "backstop_stuck_causes_total", "Stuck tasks by the cause their first check told.", ["provider", "cause"]
)
_TOLD = Counter(
    "backstop_tasks_told_total",
    "Finished generations by who told of their end, of providers with webhooks.",
    ["provider", "told"],
)
_WITHHELD = Counter(
    "backstop_failures_withheld_total",
    "Checks whose failure waits for a person instead of being settled.",
    ["provider"],
)
HOLD = Gauge("backstop_failure_hold", "1 while failures wait for a person to lift the hold.", ["job"])
_LATE_SUCCESSES = Counter(
    "backstop_late_successes_total", "Generations that succeeded after we gave them up.", ["provider", "kind"]
)
_CREDITS = Counter("backstop_credits_total", "Credits moved by settlements.", ["operation"])
_ASSET_BYTES = Counter("backstop_asset_bytes_total", "Bytes of outputs stored in the app's bucket.")
STUCK = Gauge("backstop_stuck_tasks", "Tasks that are processing and due for a check.", ["provider"])
OLDEST_STUCK = Gauge("backstop_oldest_stuck_task_seconds", "Age of the oldest stuck task.", ["provider"])
FROZEN = Gauge("backstop_frozen_credits", "Credits frozen over all accounts.")
VIOLATIONS = Gauge("backstop_invariant_violations", "What contradicts an invariant, at the last audit.", ["invariant"])
CIRCUIT_OPEN = Gauge(
    "backstop_provider_circuit_open", "1 while a provider is not asked because it is down.", ["provider"]
)
PROVIDER_REQUESTS = Histogram(
    "backstop_provider_request_seconds", "Requests to providers by status code.", ["provider", "code"]
)

_KEY_REFRESHES = Counter(
    "backstop_webhook_key_refreshes_total",
    "Fetches of the keys that providers sign webhooks with.",
    ["provider", "result"],
)


def observe_key_refresh(provider: str, result: str) -> None:
    """Count one fetch of a provider's published keys."""
    _KEY_REFRESHES.labels(provider=provider, result=result).inc()


def observe_run(message: RunFinished) -> None:
    """Count a run that ended; a dry run is none."""
    if message.dry_run:
        return
    _RUNS.labels(job=message.job_name, status=message.status, trigger=message.trigger).inc()
    _RUN_DURATION.labels(job=message.job_name).observe(message.duration_ms / 1000)


def observe_group(group: Settled) -> None:
    """Count a settled group, its lost leases included."""
    for resolution in group.settled:
        task = resolution.task
        _CHECKED.labels(provider=task.provider, verdict=resolution.verdict).inc()
        _SETTLED.labels(provider=task.provider, kind=task.kind, outcome=outcome_of(resolution)).inc()
        cause = cause_of(resolution)
        if cause is not None:
            _STUCK_CAUSES.labels(provider=task.provider, cause=cause.value).inc()
        if isinstance(resolution, Withheld):
            _WITHHELD.labels(provider=task.provider).inc()
        if isinstance(resolution, Completed):
            _ASSET_BYTES.inc(sum(asset.size_bytes for asset in resolution.assets))
    for provider, told in group.told:
        _TOLD.labels(provider=provider, told=told).inc()
    for resolution in group.lost:
        task = resolution.task
        _CHECKED.labels(provider=task.provider, verdict=resolution.verdict).inc()
        _SETTLED.labels(provider=task.provider, kind=task.kind, outcome="lease_lost").inc()
    for entry in group.entries:
        _CREDITS.labels(operation=entry.kind.value).inc(entry.amount)


def observe_late(finding: LateFinding) -> None:
    """Count a late success."""
    _LATE_SUCCESSES.labels(provider=finding.task.provider, kind=finding.task.kind).inc()
    _ASSET_BYTES.inc(sum(asset.size_bytes for asset in finding.assets))


def observe_request(provider: str, code: str, seconds: float) -> None:
    """Count one request to a provider; `code` is the HTTP status or the kind of failure."""
    PROVIDER_REQUESTS.labels(provider=provider, code=code).observe(seconds)
