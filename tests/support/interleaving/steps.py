"""What one statement of an actor touches, and which two statements may change places without anybody noticing.

A statement that only reads neither waits for a lock nor sees what is not committed; so two statements of open
transactions matter to each other only when both write (or lock) in one table, and the end of a transaction matters to
statements that touch a table it wrote. Tables are taken from the words of a statement, and an INSERT also touches
the tables its foreign keys name: too many are found rather than too few.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_WRITES = re.compile(r"\b(?:INSERT|UPDATE|DELETE|TRUNCATE|MERGE)\b|\bFOR (?:NO KEY )?(?:UPDATE|SHARE|KEY SHARE)\b")
_INSERTS = re.compile(r"\bINSERT INTO (\w+)")
_WORD = re.compile(r"[a-z_]+")


@dataclass(frozen=True, slots=True)
class Step:
    """One statement, or the end of a transaction (`ends`), whose `written` are all tables it wrote."""

    words: str
    touched: frozenset[str] = frozenset()
    written: frozenset[str] = frozenset()
    ends: bool = False

    def __str__(self) -> str:
        return self.words

    def may_change_places_with(self, other: Step) -> bool:
        """Whether doing one right before the other, or right after it, is the same to everybody."""
        if self.ends and other.ends:
            return True
        if self.ends or other.ends:
            end, statement = (self, other) if self.ends else (other, self)
            return not end.written & statement.touched
        return not self.written & other.written


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of a database, and for each the tables its foreign keys name."""

    parents: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def step(self, sql: str, *, sees_one_snapshot: bool = False) -> Step:
        """The step of a statement. One that fixes the snapshot of its transaction touches everything."""
        names = frozenset(self.parents)
        touched = names & set(_WORD.findall(sql))
        for table in _INSERTS.findall(sql):
            touched |= self.parents.get(table, frozenset())
        writes = _WRITES.search(sql) is not None
        return Step(_short(sql), names if sees_one_snapshot else touched, touched if writes else frozenset())


def _short(sql: str) -> str:
    return " ".join(sql.split())[:90]
