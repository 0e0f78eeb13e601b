"""The commands and their help."""

from __future__ import annotations

import typer

from backstop.cli import audit, hold, importing, jobs, keys, provider, runs, system, tasks

app = typer.Typer(
    name="backstop",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Backstop finds generation tasks whose webhook was lost, asks the provider what became of them, and finishes"
    " each one exactly once.",
)
for module in (system, runs, tasks, jobs, hold, audit, importing, keys, provider):
    module.register(app)
