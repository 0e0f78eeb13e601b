"""Run the sandbox alone. A wrong setting is one sentence and exit code 2; SIGTERM and Ctrl+C stop it with 0."""

import asyncio
import logging
import os
import signal
import sys

from backstop_sandbox import Sandbox, SandboxSettings, SettingError


async def run(settings: SandboxSettings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for wanted in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(wanted, stop.set)
    async with Sandbox(settings) as sandbox:
        sys.stdout.write(f"Sandbox: {sandbox.url} (what arrived)  SMTP: {settings.host}:{sandbox.smtp_port}\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> int:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(run(SandboxSettings.from_environment(os.environ)))
    except SettingError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
