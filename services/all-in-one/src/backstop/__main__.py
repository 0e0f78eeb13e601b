"""`backstop`, and `python -m backstop`."""

from __future__ import annotations

import sys

from backstop.cli.app import app
from backstop_common.errors import ConfigurationError
from backstop_common.observability.logging import configure_logging
from backstop_common.running import exit_with_sentence


def main() -> None:
    """Run the command line; a wrong configuration is one sentence and exit code 2."""
    configure_logging(service="cli", level="warning", stream=sys.stderr)
    try:
        app()
    except ConfigurationError as error:
        exit_with_sentence(error)


if __name__ == "__main__":
    main()
