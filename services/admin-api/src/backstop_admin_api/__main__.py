"""`python -m backstop_admin_api`: the admin-api as a process of its own."""

from __future__ import annotations

from backstop_admin_api.main import compose
from backstop_admin_api.settings import AdminApiSettings
from backstop_common.running import run_process

if __name__ == "__main__":
    run_process("admin-api", AdminApiSettings, compose)
