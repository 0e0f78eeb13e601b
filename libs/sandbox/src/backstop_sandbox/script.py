"""A scripted generation: what a provider shall answer about one id, and for how long.

Parsing is strict: an unknown field, provider, behaviour or size raises `ScriptError`, whose text names the field.
"""

import re
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, TypeVar

from backstop_sandbox.faults.words import FAULTS_OF, Fault, Side

SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:~-]{0,127}")
SAFE_APP = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*){1,3}")
MOST_OUTPUTS = 50

Word = TypeVar("Word", bound=StrEnum)


class ScriptError(ValueError):
    """A script that cannot be played; the text names the field."""


class Provider(StrEnum):
    REPLICATE = "replicate"
    FAL = "fal"
    KIE = "kie"


class Kind(StrEnum):
    IMAGE = "image"
    VIDEO = "video"


class Behaviour(StrEnum):
    SUCCEEDED = "succeeded"
    SUCCEEDED_SEVERAL = "succeeded_several"
    FAILED = "failed"
    PROCESSING = "processing"
    SLOW = "slow"
    FLAKY = "flaky"
    UNKNOWN_ID = "unknown_id"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class FileBehaviour(StrEnum):
    """What the file host does with the outputs, whatever the provider says about the generation."""

    OK = "ok"
    MISSING = "missing"
    FORBIDDEN = "forbidden"
    HTML = "html"
    UNSIZED = "unsized"
    TRUNCATED = "truncated"
    WRONG_TYPE = "wrong_type"
    REDIRECT = "redirect"
    PRIVATE_REDIRECT = "private_redirect"
    THROTTLED = "throttled"


@dataclass(frozen=True, slots=True)
class Script:
    """One generation as registered through `POST /control/generations`."""

    provider: Provider
    id: str
    kind: Kind = Kind.IMAGE
    behaviour: Behaviour = Behaviour.SUCCEEDED
    outputs: int = 1
    app: str = ""
    model: str = "sandbox/dream"
    delay_seconds: float = 3.0
    failing_polls: int = 2
    failing_status: int | None = None
    retry_after_seconds: int = 1
    message: str = ""
    error_type: str | None = None
    file: FileBehaviour = FileBehaviour.OK
    api_fault: Fault | None = None
    file_fault: Fault | None = None
    fault_times: int | None = None

    @property
    def key(self) -> str:
        """The name of the generation in file addresses: unique over all providers."""
        return f"{self.provider}-{self.id}"

    @property
    def extension(self) -> str:
        return "mp4" if self.kind is Kind.VIDEO else "png"

    @property
    def media_type(self) -> str:
        return "video/mp4" if self.kind is Kind.VIDEO else "image/png"

    def fault_at(self, side: Side, turn: int) -> Fault | None:
        """What goes wrong at the how-manieth question or download, counted from 1."""
        if self.fault_times is not None and turn > self.fault_times:
            return None
        return self.api_fault if side is Side.API else self.file_fault

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def parse_script(raw: object) -> Script:
    """Turn one JSON object into a script, filling in what the behaviour implies.

    Raises:
        ScriptError: a field is missing, unknown or out of its range.
    """
    if not isinstance(raw, dict):
        raise ScriptError("a generation is a JSON object")
    unknown = sorted(set(raw) - {field.name for field in fields(Script)})
    if unknown:
        raise ScriptError(f"{unknown[0]}: no such field")
    provider = _word(Provider, raw, "provider", None)
    behaviour = _word(Behaviour, raw, "behaviour", Behaviour.SUCCEEDED)
    return Script(
        provider=provider,
        id=_matching(SAFE_ID, raw, "id"),
        kind=_word(Kind, raw, "kind", Kind.IMAGE),
        behaviour=behaviour,
        outputs=_outputs(raw, behaviour),
        app=_app(raw, provider),
        model=_text(raw, "model", "sandbox/dream"),
        delay_seconds=_number(raw, "delay_seconds", 3.0, highest=600),
        failing_polls=int(_number(raw, "failing_polls", 2, highest=1000)),
        failing_status=_failing_status(raw),
        retry_after_seconds=int(_number(raw, "retry_after_seconds", 1, highest=3600)),
        message=_text(raw, "message", ""),
        error_type=_text(raw, "error_type", "") or None,
        file=_word(FileBehaviour, raw, "file", _gone(behaviour, provider)),
        api_fault=_fault(raw, "api_fault", Side.API),
        file_fault=_fault(raw, "file_fault", Side.FILE),
        fault_times=_fault_times(raw),
    )


def _gone(behaviour: Behaviour, provider: Provider) -> FileBehaviour:
    """An expired output is a plain 404 at fal's file host and an XML 403, as of a stale signature, at KIE's."""
    if behaviour is not Behaviour.EXPIRED:
        return FileBehaviour.OK
    return FileBehaviour.FORBIDDEN if provider is Provider.KIE else FileBehaviour.MISSING


def _fault(raw: dict[str, Any], name: str, side: Side) -> Fault | None:
    if raw.get(name) is None:
        return None
    try:
        return fault_word(raw[name], side)
    except ValueError as error:
        raise ScriptError(f"{name}: {error}") from error


def fault_word(value: object, side: Side) -> Fault:
    """The fault of a word. Raises ValueError telling which there are on this side."""
    if not isinstance(value, str) or value not in FAULTS_OF[side]:
        raise ValueError(f"one of {', '.join(sorted(FAULTS_OF[side]))}, not {value!r}")
    return Fault(value)


def _fault_times(raw: dict[str, Any]) -> int | None:
    if raw.get("fault_times") is None:
        return None
    return int(_number(raw, "fault_times", 1, lowest=1, highest=1000))


def _outputs(raw: dict[str, Any], behaviour: Behaviour) -> int:
    default = 3 if behaviour is Behaviour.SUCCEEDED_SEVERAL else 1
    return int(_number(raw, "outputs", default, lowest=1, highest=MOST_OUTPUTS))


def _app(raw: dict[str, Any], provider: Provider) -> str:
    if provider is not Provider.FAL:
        return ""
    return _matching(SAFE_APP, {"app": "fal-ai/sandbox"} | raw, "app")


def _failing_status(raw: dict[str, Any]) -> int | None:
    if raw.get("failing_status") is None:
        return None
    return int(_number(raw, "failing_status", 500, lowest=400, highest=599))


def _word(words: type[Word], raw: dict[str, Any], name: str, default: Word | None) -> Word:
    value: Any = raw.get(name, default)
    try:
        return words(value)
    except ValueError as error:
        raise ScriptError(f"{name}: one of {', '.join(words)}, not {value!r}") from error


def _matching(pattern: re.Pattern[str], raw: dict[str, Any], name: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ScriptError(f"{name}: text matching {pattern.pattern}, not {value!r}")
    return value


def _text(raw: dict[str, Any], name: str, default: str) -> str:
    value = raw.get(name)
    if value is None:
        return default
    if not isinstance(value, str):
        raise ScriptError(f"{name}: text, not {value!r}")
    return value


def _number(raw: dict[str, Any], name: str, default: float, *, lowest: float = 0, highest: float) -> float:
    value = raw.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value <= highest:
        raise ScriptError(f"{name}: a number from {lowest:g} to {highest:g}, not {value!r}")
    return value
