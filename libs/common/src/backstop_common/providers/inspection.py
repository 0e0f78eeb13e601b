"""Everything that is wrong with a `PROVIDERS_FILE`, not only the first thing.

The catalogue stops at the first problem, because a start must not go on; a person who mends a file wants all of them.
Both use the same checks: what passes here loads there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from backstop_common.errors import ConfigurationError
from backstop_common.providers import compilation
from backstop_common.providers import specification as spec
from backstop_common.providers.cases import load_cases
from backstop_common.providers.catalogue import (
    Defaults,
    FieldPath,
    Resolver,
    builtin_layers,
    defaults_of,
    layers_of,
    load_catalogue,
    merge,
    problems_in,
)
from backstop_common.providers.compilation import FieldError, compile_provider
from backstop_common.providers.compiled import CompiledProvider
from backstop_common.providers.documents import read_document


@dataclass(frozen=True, slots=True)
class InspectedEntry:
    """One entry of the file: its problems as sentences, or the provider it makes.

    `recorded_as` is the built-in provider whose recorded answers it must understand, because it extends it.
    """

    name: str
    problems: tuple[str, ...]
    provider: CompiledProvider | None
    recorded_as: str | None


def inspect_file(providers_file: Path, environ: Mapping[str, str]) -> tuple[InspectedEntry, ...]:
    """Every entry of the file with all its problems.

    Raises:
        ConfigurationError: the file cannot be read at all, or what is wrong is in none of its entries.
    """
    document = read_document(providers_file, label=f"PROVIDERS_FILE {providers_file}")
    resolver = Resolver(builtin_layers(), layers_of(document))
    defaults = defaults_of(document)
    entries = tuple(_inspect(resolver, name, defaults, environ) for name in resolver.own)
    if not any(entry.problems for entry in entries):
        load_catalogue(providers_file=providers_file, environ=environ)
    return entries


def _inspect(resolver: Resolver, name: str, defaults: Defaults, environ: Mapping[str, str]) -> InspectedEntry:
    layer = resolver.top(name)
    try:
        entry = resolver.resolve(name)
    except ConfigurationError as error:
        return InspectedEntry(name, (str(error),), None, None)
    recorded = next((ancestor for ancestor in resolver.ancestors(name) if load_cases(ancestor)), None)
    complete = merge(defaults.values, entry)
    try:
        source = spec.ProviderSpec.model_validate(complete)
    except ValidationError as error:
        found = problems_in(error, complete)
        sentences = (str(defaults.error(layer, entry, path, problem)) for path, problem in found)
        return InspectedEntry(name, tuple(dict.fromkeys(sentences)), None, recorded)
    errors = _field_errors(name, source, environ)
    if errors:
        sentences = (str(defaults.error(layer, entry, error.path, str(error))) for error in errors)
        return InspectedEntry(name, tuple(dict.fromkeys(sentences)), None, recorded)
    return InspectedEntry(name, (), compile_provider(name, source, environ), recorded)


def _field_errors(name: str, source: spec.ProviderSpec, environ: Mapping[str, str]) -> list[FieldError]:
    """What each check finds by itself, in the order of the file; the whole is compiled last, so that none is missed."""
    found: list[FieldError] = []
    whole: Callable[[], object] = partial(compile_provider, name, source, environ)
    for check in (*_checks(source, environ), whole):
        try:
            check()
        except FieldError as error:
            if all(error.path != known.path for known in found):
                found.append(error)
    return found


def _checks(source: spec.ProviderSpec, environ: Mapping[str, str]) -> Iterator[Callable[[], object]]:
    yield partial(compilation.compile_auth, source.auth, environ)
    yield partial(compilation.base_url_of, source, environ)
    yield partial(compilation.check_hosts, source)
    for index, rule in enumerate(source.transport_rules):
        yield partial(compilation.compile_rule, ("transport_rules", index), rule)
    known = {"base_url", *source.ref}
    for index, step in enumerate(source.steps):
        yield from _step_checks(("steps", index), step, set(known), source)
        known |= set(step.vars)
    yield partial(compilation.compile_webhook, source.webhook, environ)


def _step_checks(
    path: FieldPath, step: spec.Step, known: set[str], source: spec.ProviderSpec
) -> Iterator[Callable[[], object]]:
    for text in step.get:
        yield partial(compilation.template_at, (*path, "get"), text, known, source)
    for index, rule in enumerate(step.rules):
        yield partial(compilation.compile_rule, (*path, "rules", index), rule)
    yield partial(compilation.check_next, path, step, last=step is source.steps[-1])
    expressions: dict[str, str | None] = {"state": step.state, "partial": step.partial}
    expressions |= {"error.message": step.error.message, "error.code": step.error.code}
    expressions |= {f"vars.{name}": text for name, text in step.vars.items()}
    for field, expression in expressions.items():
        yield partial(compilation.optional_at, (*path, *field.split(".", 1)), expression)
    for index, output in enumerate(step.outputs):
        yield partial(compilation.compile_output, (*path, "outputs", index), output, known, source)
