"""What recovery can be told. Every default runs against the built-in providers and a local folder."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from backstop_common.settings import HttpUrlText, PortNumber, SharedSettings
from backstop_recovery.domain.late import LateSuccess


class RecoverySettings(SharedSettings):
    """Read once, in `main`."""

    port: PortNumber = Field(default=9102, alias="BACKSTOP_RECOVERY_PORT")
    providers_file: Path | None = Field(default=None, alias="PROVIDERS_FILE")
    allow_private_hosts: str = Field(default="", alias="ALLOW_PRIVATE_HOSTS")
    asset_store_url: str = Field(
        alias="ASSET_STORE_URL", description="set it to s3://bucket/prefix, gs://, az:// or file:///directory"
    )
    asset_store_endpoint: HttpUrlText | None = Field(default=None, alias="ASSET_STORE_ENDPOINT")
    assets_public_base_url: HttpUrlText | None = Field(default=None, alias="ASSETS_PUBLIC_BASE_URL")
    stuck_after_seconds: float = Field(default=600, alias="STUCK_AFTER_SECONDS", gt=0)
    give_up_after_seconds: float = Field(default=86_400, alias="GIVE_UP_AFTER_SECONDS", gt=0)
    without_id_fails_after_seconds: float = Field(default=1_800, alias="BACKSTOP_WITHOUT_ID_FAILS_AFTER_SECONDS", gt=0)
    concurrency: int = Field(default=64, alias="RECOVERY_CONCURRENCY", ge=1, le=1024)
    provider_concurrency: int = Field(default=64, alias="BACKSTOP_PROVIDER_CONCURRENCY", ge=1, le=1024)
    batch_size: int = Field(default=100, alias="RECOVERY_BATCH_SIZE", ge=1, le=1000)
    run_parallelism: int = Field(default=2, alias="RUN_PARALLELISM", ge=1, le=64)
    lease_seconds: float = Field(default=60, alias="BACKSTOP_LEASE_SECONDS", ge=5, le=3600)
    run_deadline_seconds: float = Field(default=3600, alias="BACKSTOP_RUN_DEADLINE_SECONDS", ge=10)
    run_silent_after_seconds: float = Field(default=120, alias="BACKSTOP_RUN_SILENT_AFTER_SECONDS", ge=10)
    own_failures_until_attention: int = Field(default=10, alias="BACKSTOP_OWN_FAILURES_UNTIL_ATTENTION", ge=1)
    shortest_recheck_seconds: float = Field(default=15, alias="BACKSTOP_SHORTEST_RECHECK_SECONDS", gt=0)
    longest_recheck_seconds: float = Field(default=300, alias="BACKSTOP_LONGEST_RECHECK_SECONDS", gt=0)
    blast_radius_percent: int = Field(default=50, alias="BACKSTOP_BLAST_RADIUS_PERCENT", ge=0, le=100)
    blast_radius_min_failed: int = Field(default=20, alias="BACKSTOP_BLAST_RADIUS_MIN_FAILED", ge=1)
    late_success: LateSuccess = Field(default=LateSuccess.RECORD, alias="BACKSTOP_LATE_SUCCESS")
    late_success_window_seconds: float = Field(default=86_400, alias="BACKSTOP_LATE_SUCCESS_WINDOW_SECONDS", ge=0)
    audit_seconds: float = Field(default=3600, alias="BACKSTOP_AUDIT_SECONDS", ge=60)
    max_asset_bytes: int = Field(default=5 * 1024**3, alias="BACKSTOP_MAX_ASSET_BYTES", ge=1)
