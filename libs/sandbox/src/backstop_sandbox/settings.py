"""Where the sandbox listens and what it keeps.

Every default runs. A wrong value raises `SettingError`, whose text is one sentence naming the setting and the remedy.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HIGHEST_PORT = 65535


class SettingError(Exception):
    """A setting cannot be used; the text names it and says what to do."""


@dataclass(frozen=True)
class SandboxSettings:
    """Port 0 means any free port; without `state_dir` everything is forgotten on exit."""

    host: str = "127.0.0.1"
    port: int = 8090
    smtp_port: int = 8025
    state_dir: Path | None = None
    assets_dir: Path | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "SandboxSettings":
        """Read the `SANDBOX_*` variables; an empty one counts as absent.

        Raises:
            SettingError: a port is not a number between 0 and 65535.
        """
        return cls(
            host=environment.get("SANDBOX_HOST") or cls.host,
            port=_port(environment, "SANDBOX_PORT", cls.port),
            smtp_port=_port(environment, "SANDBOX_SMTP_PORT", cls.smtp_port),
            state_dir=_folder(environment, "SANDBOX_STATE_DIR"),
            assets_dir=_folder(environment, "SANDBOX_ASSETS_DIR"),
        )


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or int(text) > HIGHEST_PORT:
        raise SettingError(f"{name} is {text!r}: set it to a port number from 0 (any free port) to {HIGHEST_PORT}.")
    return int(text)


def _folder(environment: Mapping[str, str], name: str) -> Path | None:
    text = environment.get(name)
    return Path(text) if text else None
