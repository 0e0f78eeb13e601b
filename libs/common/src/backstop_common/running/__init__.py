"""Running a service: its parts, its start, its end, and what a wrong start says."""

from backstop_common.running.process import exit_with_sentence, run_process
from backstop_common.running.runtime import Runtime, open_runtime
from backstop_common.running.service import Service, start_services

__all__ = ["Runtime", "Service", "exit_with_sentence", "open_runtime", "run_process", "start_services"]
