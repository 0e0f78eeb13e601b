"""`create-key`: a key for an app."""

from __future__ import annotations

import asyncio
import getpass
from typing import Annotated

import typer

from backstop.cli.database import command_transactions, database_address
from backstop.cli.output import console, print_json
from backstop.cli.runs import AsJson
from backstop_admin_api.application.create_key import SCOPES, CreateKey, NewKey, UnknownScopeError

EXIT_WRONG_SCOPE = 2


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("create-key")(create_key)


def create_key(
    name: Annotated[str, typer.Argument(help="Whose key it is, for example the name of your app.")],
    scope: Annotated[
        list[str] | None, typer.Option(help=f"{' or '.join(SCOPES)}; may be given twice. All when left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key and print it, this once."""
    try:
        with database_address() as url:
            new = asyncio.run(_create(url, name, scope or []))
    except UnknownScopeError as error:
        typer.echo(f"backstop: --scope is wrong: {error}", err=True)
        raise SystemExit(EXIT_WRONG_SCOPE) from None
    if as_json:
        print_json({"id": str(new.id), "name": new.name, "scopes": list(new.scopes), "key": new.key})
    else:
        console.print(f"The key of {new.name} ({', '.join(new.scopes)}). It is not shown again:", markup=False)
        # As it is, also on a narrow terminal.
        typer.echo(new.key)


async def _create(url: str, name: str, scopes: list[str]) -> NewKey:
    async with command_transactions(url) as transactions:
        return await CreateKey(transactions)(name, scopes, actor=f"cli:{getpass.getuser()}")
