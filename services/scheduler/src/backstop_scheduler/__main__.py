"""`python -m backstop_scheduler`: the scheduler as a process of its own."""

from __future__ import annotations

from backstop_common.running import run_process
from backstop_scheduler.main import compose
from backstop_scheduler.settings import SchedulerSettings

if __name__ == "__main__":
    run_process("scheduler", SchedulerSettings, compose)
