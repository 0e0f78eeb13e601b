"""The outside world in a box: providers, a file host, a mailbox and chat, for Backstop's demo and tests.

It imports nothing of the product. `Sandbox(SandboxSettings())` runs it inside an event loop, `python -m
backstop_sandbox` on its own.
"""

from backstop_sandbox.provider_file import providers_yaml
from backstop_sandbox.server import Sandbox
from backstop_sandbox.settings import SandboxSettings, SettingError

__all__ = ["Sandbox", "SandboxSettings", "SettingError", "providers_yaml"]
