"""All providers by name: the built-in ones, re-based or extended by `PROVIDERS_FILE`.

`load_catalogue` compiles everything at start and raises `ConfigurationError` with one sentence (file, line, field,
remedy) for the first thing that is wrong. A key that is missing from the environment does not stop the start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from backstop_common.errors import ConfigurationError, PermanentError
from backstop_common.providers.compilation import FieldError, compile_provider
from backstop_common.providers.compiled import CompiledProvider
from backstop_common.providers.documents import Document, parse_document, read_document
from backstop_common.providers.specification import ProviderSpec

FieldPath = tuple[str | int, ...]
_TOP_LEVEL = ("version", "defaults", "providers")
_DEFAULTABLE = ("poll", "limits", "not_found", "transport_rules", "download", "stuck_after", "give_up_after")
# These are one choice, not a collection of fields: another kind replaces the whole.
_CHOICES = ("auth", "verify")


class UnknownProviderError(PermanentError):
    """No provider has this name."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every provider that can be asked."""

    providers: Mapping[str, CompiledProvider]

    @property
    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted(self.providers))

    def get(self, name: str) -> CompiledProvider:
        """The provider of a name.

        Raises:
            UnknownProviderError: nobody has it; the sentence lists the names.
        """
        provider = self.providers.get(name)
        if provider is None:
            raise UnknownProviderError(
                f"there is no provider {name[:64]!r}; add it to PROVIDERS_FILE or use one of {', '.join(self.names)}"
            )
        return provider


@dataclass(frozen=True, slots=True)
class Layer:
    """One entry of one file, with where to look for its lines."""

    document: Document
    name: str
    entry: dict[str, Any]

    def error(self, path: FieldPath, problem: str) -> ConfigurationError:
        """One sentence about a field of the entry."""
        return self.document.error(("providers", self.name, *path), problem)


def load_catalogue(*, providers_file: Path | None, environ: Mapping[str, str]) -> Catalogue:
    """Load the built-in providers and those of the file.

    Args:
        providers_file: YAML as described in `specification`; None for the built-in providers alone.
        environ: where `${NAME}` comes from, usually `os.environ`.

    Raises:
        ConfigurationError: see the module.
    """
    builtin = builtin_layers()
    own: dict[str, Layer] = {}
    defaults = Defaults({}, None)
    if providers_file is not None:
        document = read_document(providers_file, label=f"PROVIDERS_FILE {providers_file}")
        own, defaults = layers_of(document), defaults_of(document)
    resolver = Resolver(builtin, own)
    return Catalogue(
        {name: _compile(resolver.resolve(name), defaults, resolver.top(name), environ) for name in {**builtin, **own}}
    )


def builtin_layers() -> dict[str, Layer]:
    """Every built-in entry by name."""
    layers: dict[str, Layer] = {}
    folder = resources.files(__package__) / "builtin"
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".yaml"):
            layers |= layers_of(parse_document(file.read_text(encoding="utf-8"), label=f"built-in {file.name}"))
    return layers


def layers_of(document: Document) -> dict[str, Layer]:
    """Every entry of a file by name."""
    for key in document.data:
        if key not in _TOP_LEVEL:
            raise document.error((key,), f"unknown field; use {', '.join(_TOP_LEVEL)}")
    if document.data.get("version", 1) != 1:
        raise document.error(("version",), "only version 1 is known; write version: 1")
    providers = document.data.get("providers") or {}
    if not isinstance(providers, dict):
        raise document.error(("providers",), "must be a mapping of names; write providers: {name: {extends: ...}}")
    layers = {}
    for name, entry in providers.items():
        if not isinstance(name, str) or not isinstance(entry, dict):
            raise document.error(("providers", str(name)), "must be a mapping; write for example {extends: replicate}")
        layers[name] = Layer(document, name, entry)
    return layers


@dataclass(frozen=True, slots=True)
class Defaults:
    """What lies under every entry, and where it is written."""

    values: dict[str, Any]
    document: Document | None

    def error(self, layer: Layer, entry: Mapping[str, Any], path: FieldPath, problem: str) -> ConfigurationError:
        """One sentence about a field, at the default that gave it when the entry does not have it itself."""
        if self.document is not None and _reaches(self.values, path) and not _reaches(entry, path):
            return self.document.error(("defaults", *path), problem)
        return layer.error(path, problem)


def _reaches(values: Any, path: FieldPath) -> bool:
    for part in path:
        if isinstance(values, list):
            values = dict(enumerate(values))
        if not isinstance(values, dict) or part not in values:
            return False
        values = values[part]
    return True


def defaults_of(document: Document) -> Defaults:
    """The defaults of a file."""
    defaults = document.data.get("defaults") or {}
    if not isinstance(defaults, dict):
        raise document.error(("defaults",), f"must be a mapping of {', '.join(_DEFAULTABLE)}")
    for key in defaults:
        if key not in _DEFAULTABLE:
            raise document.error(("defaults", key), f"has no default; use {', '.join(_DEFAULTABLE)}")
    return Defaults(defaults, document)


@dataclass(frozen=True, slots=True)
class Resolver:
    """Follows `extends`: a file's entry lies over the built-in one of its name, or over what it extends."""

    builtin: Mapping[str, Layer]
    own: Mapping[str, Layer]

    def ancestors(self, name: str) -> tuple[str, ...]:
        """The built-in providers an entry stands on, nearest first; its own name among them when it changes one."""
        found: list[str] = []
        here, following = name, True
        while following:
            if here in self.builtin:
                found.append(here)
            parent = self.top(here).entry.get("extends")
            parent = self._builtin_parent(here) if parent in {None, here} else parent
            following = isinstance(parent, str)
            here = str(parent)
        return tuple(found)

    def _builtin_parent(self, name: str) -> object:
        return self.builtin[name].entry.get("extends") if name in self.builtin else None

    def top(self, name: str) -> Layer:
        """The entry that speaks last."""
        return self.own.get(name) or self.builtin[name]

    def resolve(self, name: str, seen: tuple[str, ...] = ()) -> dict[str, Any]:
        """The complete entry of a name, without `extends`."""
        layer = self.top(name)
        parent = layer.entry.get("extends")
        entry = {key: value for key, value in layer.entry.items() if key != "extends"}
        if parent is None and name in self.own and name in self.builtin:
            return merge(self._resolve_builtin(name, (*seen, name)), entry)
        if parent is None:
            return entry
        return merge(self._parent(layer, parent, (*seen, name)), entry)

    def _resolve_builtin(self, name: str, seen: tuple[str, ...]) -> dict[str, Any]:
        layer = self.builtin[name]
        entry = {key: value for key, value in layer.entry.items() if key != "extends"}
        parent = layer.entry.get("extends")
        return entry if parent is None else merge(self._parent(layer, parent, seen), entry)

    def _parent(self, layer: Layer, parent: object, seen: tuple[str, ...]) -> dict[str, Any]:
        names = sorted({*self.builtin, *self.own})
        if not isinstance(parent, str) or parent not in names:
            raise layer.error(("extends",), f"there is no provider {parent!r}; use one of {', '.join(names)}")
        if parent == layer.name and layer.name in self.own and layer.name in self.builtin:
            return self._resolve_builtin(parent, seen)
        if parent in seen:
            raise layer.error(("extends",), f"{' extends '.join((*seen, parent))}; break the circle")
        return self.resolve(parent, seen)


def merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid over `under`: mappings field by field, everything else replaced."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, dict) and isinstance(value, dict) and not _is_another_choice(key, below, value):
            merged[key] = merge(below, value)
        else:
            merged[key] = value
    return merged


def _is_another_choice(key: str, below: dict[str, Any], value: dict[str, Any]) -> bool:
    return key in _CHOICES and "kind" in value and value["kind"] != below.get("kind")


def _compile(entry: dict[str, Any], defaults: Defaults, layer: Layer, environ: Mapping[str, str]) -> CompiledProvider:
    complete = merge(defaults.values, entry)
    try:
        source = ProviderSpec.model_validate(complete)
        return compile_provider(layer.name, source, environ)
    except ValidationError as error:
        path, problem = problems_in(error, complete)[0]
        raise defaults.error(layer, entry, path, problem) from None
    except FieldError as error:
        raise defaults.error(layer, entry, error.path, str(error)) from error


def problems_in(error: ValidationError, entry: dict[str, Any]) -> list[tuple[FieldPath, str]]:
    """Path and sentence of everything the schema complains about."""
    return [_problem(found, entry) for found in error.errors(include_url=False, include_input=False)]


def _problem(found: ErrorDetails, entry: dict[str, Any]) -> tuple[FieldPath, str]:
    path = _without_tags(found["loc"], entry)
    kind, message = found["type"], found["msg"]
    if kind == "extra_forbidden":
        return path, "unknown field; remove it or correct its spelling"
    if kind == "missing":
        missing = "is missing; write it, or extends: with the name of a provider like this one"
        return path, missing
    if kind == "value_error":
        return path, message.removeprefix("Value error, ")
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        context = found.get("ctx", {})
        return (*path, "kind"), f"must be one of {context.get('expected_tags', 'the documented kinds')}"
    return path, f"{message[:1].lower()}{message[1:]}; correct it"


def _without_tags(location: tuple[str | int, ...], entry: Any) -> FieldPath:
    """pydantic puts the chosen union member into the path; only what is in the file helps the reader."""
    path: list[str | int] = []
    here = entry
    for index, part in enumerate(location):
        if isinstance(here, dict) and part in here:
            here = here[part]
        elif isinstance(here, dict) and isinstance(part, str) and part.isdigit() and int(part) in here:
            here = here[int(part)]
        elif isinstance(here, (list, tuple)) and isinstance(part, int) and part < len(here):
            here = here[part]
        elif index != len(location) - 1 or not isinstance(here, dict):
            continue
        path.append(part)
    return tuple(path)
