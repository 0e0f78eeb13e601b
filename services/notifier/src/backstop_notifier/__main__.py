"""`python -m backstop_notifier`: this service as one process."""

from backstop_common.running import run_process
from backstop_notifier.main import compose
from backstop_notifier.settings import NotifierSettings

if __name__ == "__main__":
    run_process("notifier", NotifierSettings, compose)
