"""`provider check`: what is wrong with a PROVIDERS_FILE, and whether its entries understand recorded answers.

Nothing is asked and no key is needed. Exit codes: 0 all is well, 1 an entry misunderstands an answer, 2 the file is
wrong.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from backstop.cli.output import console, plain_table, print_json
from backstop.cli.runs import AsJson
from backstop_common.errors import ConfigurationError
from backstop_common.providers.cases import load_cases
from backstop_common.providers.inspection import InspectedEntry, inspect_file
from backstop_recovery.adapters.conformance import ConformanceResult, generic_cases, run_conformance

EXIT_MISUNDERSTOOD = 1
EXIT_WRONG_FILE = 2


@dataclass(frozen=True, slots=True)
class _Checked:
    """An entry and what became of its cases."""

    entry: InspectedEntry
    results: tuple[ConformanceResult, ...]

    @property
    def failed(self) -> tuple[ConformanceResult, ...]:
        return tuple(result for result in self.results if not result.passed)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(no_args_is_help=True, help="Work on provider specifications.")
    commands.callback()(_group)
    commands.command("check")(check)
    app.add_typer(commands, name="provider")


def _group() -> None:
    """Keeps `check` a command of its own although it is the only one."""


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The YAML file that PROVIDERS_FILE would name.")],
    as_json: AsJson = False,
) -> None:
    """Check a provider file: every mistake with its line, then recorded answers and the verdicts they must give.

    Every entry is told the troubles that any provider can have; one that extends a built-in provider also that
    provider's answers. Exit codes: 0 all is well, 1 an entry misunderstands an answer, 2 the file is wrong.
    """
    try:
        checked = [_check(entry) for entry in inspect_file(file, os.environ)]
        problems = list(dict.fromkeys(problem for one in checked for problem in one.entry.problems))
    except ConfigurationError as error:
        checked, problems = [], [str(error)]
    if as_json:
        print_json({"problems": problems, "providers": [_as_json(one) for one in checked]})
    else:
        _print(checked, problems)
    if problems:
        raise SystemExit(EXIT_WRONG_FILE)
    if any(one.failed for one in checked):
        raise SystemExit(EXIT_MISUNDERSTOOD)


def _check(entry: InspectedEntry) -> _Checked:
    if entry.provider is None:
        return _Checked(entry, ())
    own = load_cases(entry.recorded_as) if entry.recorded_as else ()
    return _Checked(entry, run_conformance(entry.provider, (*own, *generic_cases())))


def _print(checked: list[_Checked], problems: list[str]) -> None:
    for problem in problems:
        console.print(escape(problem), soft_wrap=True)
    told = [one for one in checked if one.entry.provider is not None]
    if told:
        console.print(plain_table(["provider", "answers of", "cases", "passed", "failed"], [_row(one) for one in told]))
    for one in told:
        for result in one.failed:
            console.print(
                f"\n[bold]{escape(one.entry.name)}[/], {escape(result.case)}:\n"
                f"  expected {escape(result.expected)}\n  got      {escape(result.got)}",
                soft_wrap=True,
            )
        _print_missing(one)
    if not checked and not problems:
        console.print("The file has no providers; the built-in ones work without it.")


def _print_missing(one: _Checked) -> None:
    missing = one.entry.provider.missing_secrets if one.entry.provider else ()
    if missing:
        console.print(f"\n{escape(one.entry.name)}: set {' and '.join(missing)} before it is asked.", soft_wrap=True)


def _row(one: _Checked) -> dict[str, object]:
    return {
        "provider": one.entry.name,
        "answers of": one.entry.recorded_as,
        "cases": len(one.results),
        "passed": len(one.results) - len(one.failed),
        "failed": len(one.failed),
    }


def _as_json(one: _Checked) -> dict[str, object]:
    return {
        "name": one.entry.name,
        "recordedAs": one.entry.recorded_as,
        "problems": list(one.entry.problems),
        "missingVariables": list(one.entry.provider.missing_secrets) if one.entry.provider else [],
        "cases": len(one.results),
        "passed": len(one.results) - len(one.failed),
        "failed": [{"case": result.case, "expected": result.expected, "got": result.got} for result in one.failed],
    }
