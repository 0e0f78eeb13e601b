"""The reason of a dead letter is for operators: it says what refused, and quotes nothing of the row."""

from __future__ import annotations

from uuid import uuid4

import pytest

from backstop_common.contracts import RunSweep
from backstop_common.database import Transactions
from backstop_common.messaging import Delivery, subscription
from backstop_common.messaging.processing import Dead, Incoming, process

CANARY = "canary@example.com"


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("INSERT INTO users (id) SELECT CAST(:value AS text) FROM generate_series(1, 2)", "pk_users"),
        ("SELECT CAST(CAST(:value AS text) AS uuid)", "InvalidTextRepresentation"),
        ("SELECT id FROM users WHERE created_at = :value", "DataError"),
    ],
    ids=["a unique key", "a value the database cannot read", "a value the driver cannot send"],
)
async def test_a_refusal_of_the_database_is_named_without_its_values(
    transactions: Transactions, statement: str, kind: str
) -> None:
    async def handler(_: RunSweep, __: Delivery) -> None:
        async with transactions.begin() as tx:
            await tx.execute(statement, value=CANARY)

    incoming = Incoming(RunSweep(run_id=uuid4(), bell=0).model_dump_json().encode(), str(uuid4()), None, None)
    result = await process(subscription("recovery", RunSweep, handler), incoming, patience_seconds=0)

    assert isinstance(result, Dead)
    assert kind in result.reason
    assert CANARY not in result.reason
