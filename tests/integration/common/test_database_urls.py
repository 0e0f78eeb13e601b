"""An address that works with libpq's tools works here too."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from backstop_common.database import create_engine


@pytest.mark.parametrize(
    "parameters",
    [
        "connect_timeout=10",
        "application_name=theirs",
        "sslmode=prefer&channel_binding=prefer",
        "sslmode=disable&sslrootcert=system",
        "sslmode=disable&channel_binding=disable&connect_timeout=10&application_name=theirs",
    ],
)
async def test_parameters_that_hosted_databases_hand_out_do_not_stop_the_connection(
    database_url: str, parameters: str
) -> None:
    separator = "&" if "?" in database_url else "?"
    engine = create_engine(f"{database_url}{separator}{parameters}", application_name="tests")
    try:
        async with engine.connect() as connection:
            assert (await connection.execute(text("SELECT 1"))).scalar() == 1
    finally:
        await engine.dispose()
