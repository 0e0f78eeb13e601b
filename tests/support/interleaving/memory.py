"""The state before an experiment, kept in the database itself, so that going back to it is one round trip.

Beside it a diary is kept by triggers: every change of a task and of a run, as JSON before and after, in the order of
the changes. It says what the final state cannot: what was final before, and under which claim it was changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from tests.support.interleaving.steps import Schema

_FOREIGN_KEYS = """
    SELECT t.relname AS name, array_remove(array_agg(DISTINCT p.relname::text), NULL) AS parents,
        (SELECT count(*) FROM pg_index i WHERE i.indrelid = t.oid AND i.indisunique) = 1
        AND EXISTS (SELECT 1 FROM pg_attrdef d WHERE d.adrelid = t.oid
            AND pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%') AS is_counted
    FROM pg_class t LEFT JOIN pg_constraint c ON c.conrelid = t.oid AND c.contype = 'f'
    LEFT JOIN pg_class p ON p.oid = c.confrelid AND p.oid <> t.oid
    WHERE t.relkind = 'r' AND t.relnamespace = 'public'::regnamespace AND t.relname NOT LIKE 'alembic%'
    GROUP BY t.oid, t.relname ORDER BY t.relname
"""
_DIARY = """
    CREATE SCHEMA diary;
    CREATE TABLE diary.changes (id bigserial, name text, before jsonb, after jsonb);
    CREATE FUNCTION diary.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO diary.changes (name, before, after) VALUES (TG_TABLE_NAME, to_jsonb(OLD), to_jsonb(NEW));
        RETURN NULL;
    END $$;
    CREATE TRIGGER noted AFTER UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION diary.note();
    CREATE TRIGGER noted AFTER UPDATE ON cron_job_executions FOR EACH ROW EXECUTE FUNCTION diary.note();
    CREATE FUNCTION diary.is_final(status text) RETURNS boolean IMMUTABLE LANGUAGE sql AS $$
        SELECT status NOT IN ('processing', 'needs_attention') $$;
    CREATE SCHEMA before;
"""


@dataclass(frozen=True, slots=True)
class Memory:
    """The tables in an order in which rows can be put back, and a connection to do it on."""

    connection: asyncpg.Connection
    schema: Schema
    tables: Sequence[str]

    @classmethod
    async def of(cls, connection: asyncpg.Connection) -> Memory:
        """For a database of a test's own: it gets a diary."""
        rows = await connection.fetch(_FOREIGN_KEYS)
        schema = Schema(
            {row["name"]: frozenset(row["parents"]) for row in rows},
            frozenset(row["name"] for row in rows if row["is_counted"]),
        )
        await connection.execute(_DIARY)
        return cls(connection, schema, _parents_first(schema))

    async def keep(self) -> None:
        """Remember the rows as they are now."""
        await self.connection.execute(
            ";".join(f"CREATE TABLE before.{table} AS TABLE public.{table}" for table in self.tables)
        )

    async def go_back(self) -> None:
        """Have the remembered rows again, with running runs that have just been heard of, and an empty diary."""
        deletes = [f"DELETE FROM public.{table}" for table in reversed(self.tables)]  # noqa: S608 - our own names
        inserts = [
            f"INSERT INTO public.{table} SELECT * FROM before.{table}"  # noqa: S608
            for table in self.tables
        ]
        beat = "UPDATE cron_job_executions SET heartbeat_at = clock_timestamp() WHERE status = 'running'"
        await self.connection.execute(";".join([*deletes, *inserts, beat, "DELETE FROM diary.changes"]))


def _parents_first(schema: Schema) -> list[str]:
    ordered: list[str] = []
    while len(ordered) < len(schema.parents):
        ready = [name for name, parents in schema.parents.items() if name not in ordered and parents <= set(ordered)]
        assert ready, "the foreign keys go round in a circle"
        ordered += ready
    return ordered
