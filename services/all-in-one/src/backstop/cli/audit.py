"""`audit`: the questions whose answer must be none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import typer

from backstop.cli.database import command_transactions, database_address
from backstop.cli.output import as_written, console, print_json
from backstop.cli.runs import AsJson
from backstop_recovery.application.audit_invariants import AuditInvariants, Finding

EXIT_VIOLATED = 1


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("audit")(audit)


def audit(as_json: AsJson = False) -> None:
    """Ask the database what must never be true: money, labels, mails, runs. Exit code 1 when something is."""
    with database_address() as url:
        findings = asyncio.run(_audit(url))
    if as_json:
        print_json(
            [
                {"invariant": finding.invariant.name, "violations": finding.count, "subjects": finding.subjects}
                for finding in findings
            ]
        )
    else:
        for finding in findings:
            mark = "[red]VIOLATED[/]" if finding.count else "[green]holds   [/]"
            console.print(f"  {mark}  {finding.invariant.sentence}", soft_wrap=True)
            if finding.count:
                subjects = as_written(f"            {finding.count}: {', '.join(finding.subjects)}")
                console.print(subjects, soft_wrap=True)
    if any(finding.count for finding in findings):
        raise SystemExit(EXIT_VIOLATED)


async def _audit(url: str) -> Sequence[Finding]:
    async with command_transactions(url) as transactions:
        return await AuditInvariants(transactions)()
