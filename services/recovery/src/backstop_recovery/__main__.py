"""`python -m backstop_recovery`."""

from backstop_common.running import run_process
from backstop_recovery.entrypoints.handlers import SERVICE
from backstop_recovery.main import compose
from backstop_recovery.settings import RecoverySettings

if __name__ == "__main__":
    run_process(SERVICE, RecoverySettings, compose)
