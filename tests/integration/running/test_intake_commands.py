"""`backstop import` and `backstop create-key`, as a person or a script calls them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

from backstop_common.database import Transactions
from tests.support.admin_api import admin_app, client_of
from tests.support.intake import App, balances, count, task_body


async def _backstop(database_url: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "backstop", *arguments],
        env={"PATH": os.environ["PATH"], "DATABASE_URL": database_url, "COLUMNS": "100", **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _file(folder: Path, *lines: object) -> str:
    file = folder / "records.ndjson"
    file.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return str(file)


async def test_a_created_key_opens_the_intake_and_is_shown_alone_on_its_line(
    database_url: str, transactions: Transactions
) -> None:
    made = await _backstop(database_url, "create-key", "my app", COLUMNS="20")
    assert made.returncode == 0, made.stderr
    key = made.stdout.splitlines()[-1]
    assert key.startswith("bsk_")
    async with client_of(admin_app(transactions)) as client:
        answer = await App(client, {"Authorization": f"Bearer {key}"}).put_user("ada", name="Ada")
    assert answer.status_code == 200


async def test_a_key_as_json_has_the_scopes_that_were_asked_for(database_url: str) -> None:
    made = await _backstop(database_url, "create-key", "reader", "--scope", "tasks:read", "--json")
    told = json.loads(made.stdout)
    assert (told["name"], told["scopes"], told["key"][:4]) == ("reader", ["tasks:read"], "bsk_")


async def test_a_wrong_scope_is_one_sentence(database_url: str, transactions: Transactions) -> None:
    made = await _backstop(database_url, "create-key", "reader", "--scope", "all")
    assert (made.returncode, made.stdout) == (2, "")
    assert "tasks:write or tasks:read" in made.stderr
    assert await count(transactions, "api_keys") == 0


async def test_a_good_file_is_imported_and_again_changes_nothing(
    database_url: str, transactions: Transactions, tmp_path: Path
) -> None:
    file = _file(tmp_path, {"type": "user", "id": "ada", "balance": 50}, {"type": "task", **task_body()})
    rehearsed = await _backstop(database_url, "import", file, "--dry-run", "--json")
    assert (rehearsed.returncode, await count(transactions, "users")) == (0, 0)
    first = await _backstop(database_url, "import", file)
    assert first.returncode == 0, first.stderr
    assert "Imported 1 users and 1 tasks; 0 were known." in first.stdout
    second = json.loads((await _backstop(database_url, "import", file, "--json")).stdout)
    assert second == {"dryRun": False, "users": 1, "tasks": 0, "tasksKnown": 1, "failed": 0, "errors": []}
    assert await balances(transactions) == (50, 10)


async def test_broken_lines_are_named_and_the_exit_code_tells(
    database_url: str, transactions: Transactions, tmp_path: Path
) -> None:
    file = _file(
        tmp_path,
        {"type": "user", "id": "ada", "balance": 50},
        "{",
        {"type": "task", **task_body(provider="[red]nobody")},
        {"type": "task", **task_body(id=str(uuid4()))},
    )
    finished = await _backstop(database_url, "import", file)
    assert finished.returncode == 1
    assert "records.ndjson:2: the line is not JSON" in finished.stderr
    assert "records.ndjson:3: provider: there is no provider '[red]nobody'" in finished.stderr
    assert await count(transactions, "tasks") == 1
    told = json.loads((await _backstop(database_url, "import", file, "--json")).stdout)
    assert [(error["line"], error["field"]) for error in told["errors"]] == [(2, None), (3, "provider")]


async def test_providers_of_the_providers_file_are_known(database_url: str, tmp_path: Path) -> None:
    providers = tmp_path / "providers.yaml"
    providers.write_text("providers: {our_own: {extends: replicate, base_url: 'https://ours.example/v1'}}")
    file = _file(
        tmp_path, {"type": "task", **task_body(provider="our_own", billing="none", user={"email": "ada@example.com"})}
    )
    finished = await _backstop(database_url, "import", file, PROVIDERS_FILE=str(providers))
    assert finished.returncode == 0, finished.stderr


async def test_a_file_that_is_not_there_is_a_usage_error(database_url: str) -> None:
    assert (await _backstop(database_url, "import", "/nowhere.ndjson")).returncode == 2
