"""What all tables share: the metadata with its naming convention, and the recurring kinds of columns."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, DateTime, Integer, MetaData, func, text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

EMPTY_OBJECT = text("'{}'::jsonb")


def moment(name: str, *, nullable: bool = True, default: bool = False) -> Column[object]:
    """A point in time; with `default` it is never null and is now unless something else is said."""
    server_default = func.now() if default else None
    return Column(name, DateTime(timezone=True), nullable=nullable and not default, server_default=server_default)


def count(name: str) -> Column[int]:
    """How often; from zero."""
    return Column(name, Integer, CheckConstraint(f"{name} >= 0", name=name), nullable=False, server_default="0")


def words(column: str, *allowed: str) -> CheckConstraint:
    """The words a text column may hold."""
    listed = ", ".join(f"'{word}'" for word in allowed)
    return CheckConstraint(f"{column} IN ({listed})", name=column)
