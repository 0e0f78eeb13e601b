"""What a database error is, in words that quote nothing of the row it is about."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError


def sqlstate(error: DBAPIError) -> str:
    """The five characters of PostgreSQL's error code (documentation, appendix A), or nothing when there is none."""
    return str(getattr(error.orig, "sqlstate", None) or "")


def cause_of(error: DBAPIError) -> BaseException | None:
    """What asyncpg raised, below SQLAlchemy's wrapping."""
    return getattr(error.orig, "__cause__", None) or error.orig


def refusal(error: DBAPIError) -> str:
    """The kind of the error and the constraint it names; PostgreSQL's own text and DETAIL may carry personal data."""
    return f"the database refused it: {broken_constraint(error) or type(cause_of(error)).__name__}"


def broken_constraint(error: DBAPIError) -> str | None:
    """The constraint or unique index that refused a row, or None when it was something else."""
    name: str | None = getattr(cause_of(error), "constraint_name", None)
    return name
