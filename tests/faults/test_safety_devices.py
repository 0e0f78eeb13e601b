"""Each safety device, switched off in a copy of the source, turns a named test red: none of them is decoration.

The copy stands in front of the installed packages on the import path; the working tree is never touched. Part of the
long suite (`make faults`), because each device costs a run of tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.source_tree import ROOT

_RECOVERY = "services/recovery/src"
_COMMON = "libs/common/src"
_ADMIN_API = "services/admin-api/src"
_SETTLING = "tests/integration/recovery/test_settling.py"
_RUNS = "tests/integration/recovery/test_runs.py"
_ANOMALIES = "tests/integration/recovery/test_anomalies.py"
_TOGETHER = "tests/integration/recovery/test_simultaneous_work.py"
_BLAST_RADIUS = "tests/integration/recovery/test_blast_radius_limit.py"


@dataclass(frozen=True, slots=True)
class Device:
    """What protects us, the text that switches it off, and the tests that must notice."""

    name: str
    source: str
    file: str
    on: str
    off: str
    noticed_by: tuple[str, ...]


DEVICES = (
    Device(
        "the fence of the claim on finishing",
        _RECOVERY,
        "backstop_recovery/application/settle_tasks.py",
        "JOIN locked ON locked.id = g.id AND locked.fence = g.fence",
        "JOIN locked ON locked.id = g.id",
        (_SETTLING, "tests/integration/recovery/test_stale_claims.py"),
    ),
    Device(
        "the guard on state and lease",
        _RECOVERY,
        "backstop_recovery/application/settle_tasks.py",
        "WHERE t.status = 'processing' AND t.lease_holder IS NOT NULL ORDER BY",
        "WHERE true ORDER BY",
        (_SETTLING,),
    ),
    Device(
        "the lock on the accounts",
        _RECOVERY,
        "backstop_recovery/application/post_entries.py",
        '" ORDER BY user_id FOR UPDATE"',
        '" ORDER BY user_id"',
        (f"{_RUNS}::test_groups_of_one_user_that_settle_at_once_leave_balances_that_follow_each_other",),
    ),
    Device(
        "the lock on the run",
        _RECOVERY,
        "backstop_recovery/application/finish_run.py",
        "AND status = 'running' FOR UPDATE",
        "AND status = 'running'",
        (f"{_RUNS}::test_a_run_ends_once_although_ten_workers_find_it_done_at_once",),
    ),
    Device(
        "the lease on claims",
        _RECOVERY,
        "backstop_recovery/application/claim_tasks.py",
        '_FREE = "(lease_expires_at IS NULL OR lease_expires_at < clock_timestamp())"',
        '_FREE = "true"',
        (_RUNS,),
    ),
    Device(
        "the fence of a late claim",
        _RECOVERY,
        "backstop_recovery/application/settle_late.py",
        "WHERE id = :id AND fence = :fence AND status",
        "WHERE id = :id AND status",
        ("tests/integration/recovery/test_late_success.py",),
    ),
    Device(
        "the guard on state and lease of a late claim",
        _RECOVERY,
        "backstop_recovery/application/settle_late.py",
        "AND status = 'timed_out' AND lease_holder IS NOT NULL",
        "AND true",
        ("tests/integration/recovery/test_late_success.py",),
    ),
    Device(
        "the event in the transaction",
        _RECOVERY,
        "backstop_recovery/application/settle_tasks.py",
        "await tx.publish_all(events_of(settled, entries, moments, self.assets_public_base_url))",
        "events_of(settled, entries, moments, self.assets_public_base_url)",
        (_SETTLING,),
    ),
    Device(
        "the fence in the asset's key",
        _RECOVERY,
        "backstop_recovery/adapters/obstore_assets.py",
        'stem = f"{self.prefix}{task_id}/{fence}-{output.index}"',
        'stem = f"{self.prefix}{task_id}/{output.index}"',
        ("tests/integration/assets",),
    ),
    Device(
        "the blast-radius limit",
        _RECOVERY,
        "backstop_recovery/application/withhold_failures.py",
        "if run_id in runs and limit.is_exceeded_by(tally):",
        "if run_id is None:",
        (f"{_BLAST_RADIUS}::test_two_workers_at_once_fail_no_more_than_allowed_before_the_stop",),
    ),
    Device(
        "the hold on failures",
        _RECOVERY,
        "backstop_recovery/application/settle_tasks.py",
        "withheld(group, self.limit) if is_held else group",
        "group",
        (f"{_BLAST_RADIUS}::test_the_next_run_completes_successes_and_withholds_failures",),
    ),
    Device(
        "the database's clock for ages",
        _RECOVERY,
        "backstop_recovery/application/resolve_task.py",
        "return now if task.claimed_at is None else task.claimed_at + (now - begun_at)",
        "return now",
        (f"{_ANOMALIES}::test_a_wrong_clock_of_a_worker_ends_no_task_early",),
    ),
    Device(
        "the end of a claim without an id when the id comes",
        _ADMIN_API,
        "backstop_admin_api/application/intake.py",
        "        fence = tasks.fence + 1, lease_holder = NULL, lease_expires_at = NULL\n",
        "        fence = tasks.fence\n",
        (f"{_TOGETHER}::test_a_task_whose_provider_id_comes_while_it_is_failed_for_having_none_stays_open",),
    ),
    Device(
        "the inbox",
        _COMMON,
        "backstop_common/database/transactions.py",
        "return inserted == 1",
        "return inserted >= 0",
        ("tests/integration/messaging/test_delivery.py::test_the_same_event_delivered_twice_works_once",),
    ),
    Device(
        "the unique tick",
        _COMMON,
        "backstop_common/ids.py",
        'return _derive("tick", job_name, slot)',
        "import uuid\n\n    return uuid.uuid4()",
        ("tests/integration/admin_api/test_cron_endpoint.py::test_the_same_idempotency_key_is_the_same_run",),
    ),
)


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.name)
def test_switching_a_safety_device_off_turns_a_test_red(
    device: Device, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if not request.config.getoption("--faults-full"):
        pytest.skip("part of the long suite: make faults")
    copy = tmp_path / "source"
    shutil.copytree(ROOT / device.source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    mutated = copy / device.file
    text = mutated.read_text()
    assert text.count(device.on) == 1, f"{device.file} no longer has the text of {device.name}"
    mutated.write_text(text.replace(device.on, device.off))

    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *device.noticed_by],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 1, finished.stdout[-3000:] + finished.stderr[-1000:]
