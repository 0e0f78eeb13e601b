"""What a provider has to be told about a task beyond its id, so that recovery can ask it later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product

from backstop_common.providers.compiled import CompiledProvider, CompiledStep

_ALWAYS_THERE = frozenset({"base_url", "id"})


def missing_references(provider: CompiledProvider, metadata: Mapping[str, object]) -> list[tuple[str, ...]]:
    """The ways to complete the metadata, the shortest first; none when nothing is missing.

    Every step needs one of its addresses made of references alone: what an earlier answer may say is not relied on.
    """
    if provider.ref.keys() <= _ALWAYS_THERE:
        return []
    given = {name for name, value in metadata.items() if isinstance(value, str) and value}
    required = {name for name, need in provider.ref.items() if need == "required"} - _ALWAYS_THERE - given
    per_step = [ways for step in provider.steps if (ways := _ways(step, set(provider.ref), given))]
    complete = {frozenset(required).union(*choice) for choice in product(*per_step)}
    least = [way for way in complete if not any(other < way for other in complete)]
    return sorted((tuple(sorted(way)) for way in least if way), key=lambda way: (len(way), way))


def _ways(step: CompiledStep, references: set[str], given: Iterable[str]) -> list[frozenset[str]]:
    addresses = [frozenset(template.variables) - _ALWAYS_THERE for template in step.get]
    return [address.difference(given) for address in addresses if address <= references]
