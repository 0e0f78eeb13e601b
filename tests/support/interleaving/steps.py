"""What one statement of an actor touches, and which two statements may change places without anybody noticing.

A statement that only reads neither waits for a lock nor sees what is not committed; so two statements of open
transactions matter to each other only when both change or lock in one table, and the end of a transaction matters to
statements that touch a table it wrote. Tables are taken from the words of a statement: too many are found rather than
too few. What is known to be harmless:

- An INSERT locks what its foreign keys name, but only against deletion and FOR UPDATE; and two INSERTs into a table
  whose only unique key is a counter never meet.
- The same statement with other ids changes other rows, unless it looks for its rows by itself (SKIP LOCKED).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID

_CHANGES = re.compile(r"\b(?:UPDATE|DELETE|TRUNCATE|MERGE)\b|\bFOR (?:NO KEY )?(?:SHARE|KEY SHARE)\b")
_INSERTS = re.compile(r"\bINSERT INTO (\w+)")
_WORD = re.compile(r"[a-z_]+")


@dataclass(frozen=True, slots=True)
class Step:
    """One statement, or the end of a transaction (`ends`), whose `written` are all tables it wrote.

    `changed` are the tables in which it may change or lock any row, `inserted` those it only adds rows to where a
    unique key may clash, `shared` those whose rows it only holds on to. `ids` are the ids it names.
    """

    words: str
    touched: frozenset[str] = frozenset()
    written: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()
    inserted: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()
    ids: frozenset[UUID] = frozenset()
    ends: bool = False

    def __str__(self) -> str:
        return self.words[:90]

    def may_change_places_with(self, other: Step) -> bool:
        """Whether doing one right before the other, or right after it, is the same to everybody."""
        if self.ends and other.ends:
            return True
        if self.ends or other.ends:
            end, statement = (self, other) if self.ends else (other, self)
            return not end.written & statement.touched
        return self._names_other_rows_than(other) or not (self._meets(other) or other._meets(self))

    def _meets(self, other: Step) -> bool:
        in_the_way = other.changed | other.inserted | other.shared
        return bool(self.changed & in_the_way or self.inserted & other.inserted)

    def _names_other_rows_than(self, other: Step) -> bool:
        if self.words != other.words or "SKIP LOCKED" in self.words:
            return False
        return bool(self.ids) and bool(other.ids) and not self.ids & other.ids


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of a database: the tables that the foreign keys of each name, and those with a counter alone."""

    parents: Mapping[str, frozenset[str]] = field(default_factory=dict)
    counted: frozenset[str] = frozenset()

    def step(self, sql: str, parameters: object = (), *, sees_one_snapshot: bool = False) -> Step:
        """The step of a statement. One that fixes the snapshot of its transaction touches everything."""
        words = " ".join(sql.split())
        names = frozenset(self.parents)
        targets = frozenset(_INSERTS.findall(words)) & names
        shared = frozenset().union(*(self.parents[table] for table in targets))
        touched = (names & set(_WORD.findall(words))) | shared
        changed = touched if _CHANGES.search(words) else frozenset()
        return Step(
            words,
            touched=names if sees_one_snapshot else touched,
            written=changed | targets,
            changed=changed,
            inserted=targets - self.counted,
            shared=shared,
            ids=frozenset(_ids(parameters)),
        )


def _ids(value: object) -> Iterator[UUID]:
    if isinstance(value, UUID):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _ids(item)
    elif isinstance(value, Mapping):
        yield from _ids(list(value.values()))
