"""What one answer of a provider means: a pure function of the step's rules and the answer.

Order: HTTP status rules common to all (unless the step overrides them), the step's own rules, its state word. Terminal
verdicts need positive evidence: a JSON object, or a success whose body is itself a media file. Everything else is
`Unknown` with its reason, never an exception.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from backstop_common.providers.compiled import CompiledProvider, CompiledRule, CompiledStep
from backstop_common.providers.expressions import Expression
from backstop_common.providers.specification import TERMINAL, Word
from backstop_recovery.adapters.media import HEAD_BYTES, sniff
from backstop_recovery.adapters.moments import moment_of
from backstop_recovery.adapters.provider_outputs import outputs_of
from backstop_recovery.adapters.retry_after import retry_after_seconds
from backstop_recovery.domain.verdict import (
    Cancelled,
    Expired,
    Failed,
    NotFound,
    StillRunning,
    Succeeded,
    Unknown,
    UnknownReason,
    Verdict,
)

_LONGEST_TEXT = 500
_MOST_WARNINGS = 10
_HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class NextStep:
    """This step is done; the following one has these variables more."""

    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ProviderAnswer:
    """What came back: header names in lower case, `variables` as the step's address had them."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Reading:
    """One answer with everything needed to speak about it."""

    provider: CompiledProvider
    step: CompiledStep
    answer: ProviderAnswer
    document: dict[str, Any] | None
    now: datetime

    def text(self, expression: Expression | None) -> str | None:
        """One line of the provider's own words, short and without our keys; None when it says nothing."""
        value = expression(self.document) if expression is not None and self.document is not None else None
        if value is None or value is False or value in ("", [], {}):
            return None
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        for secret in self.provider.secrets:
            text = text.replace(secret, _HIDDEN)
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_LONGEST_TEXT] or None

    @property
    def message(self) -> str | None:
        return self.text(self.step.error_message)

    def says(self, otherwise: str) -> str:
        said = self.message
        return said if said is not None else otherwise

    def about(self, what: str) -> str:
        said = self.message
        return f"{self.provider.name} {what}" + (f": {said}" if said else "")

    def unknown(self, reason: UnknownReason, message: str) -> Unknown:
        wait = None
        if self.provider.poll.respect_retry_after:
            wait = retry_after_seconds(self.answer.headers, self.now)
        return Unknown(reason, message, wait)


def interpret(
    provider: CompiledProvider, step: CompiledStep, answer: ProviderAnswer, *, now: datetime
) -> Verdict | NextStep:
    """The verdict, or the variables for the next step."""
    reading = _Reading(provider, step, answer, _object_of(answer.body), now)
    if not step.override_transport:
        rule = _first_match(provider.transport_rules, reading)
        if rule is not None:
            return _conclude(reading, rule.verdict, rule.reason, state=None)
    rule = _first_match(step.rules, reading)
    if rule is not None:
        return _conclude(reading, rule.verdict, rule.reason, state=None)
    if not 200 <= answer.status < 300:  # noqa: PLR2004 - HTTP success
        return _unexpected_status(reading)
    return _from_state(reading)


def _object_of(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _first_match(rules: tuple[CompiledRule, ...], reading: _Reading) -> CompiledRule | None:
    return next((rule for rule in rules if _matches(rule, reading)), None)


def _matches(rule: CompiledRule, reading: _Reading) -> bool:
    if rule.http and not any(first <= reading.answer.status <= last for first, last in rule.http):
        return False
    headers = reading.answer.headers
    if any(headers.get(name, "").strip().casefold() != value.casefold() for name, value in rule.headers):
        return False
    if rule.when is None:
        return True
    return reading.document is not None and rule.when.holds(reading.document)


def _unexpected_status(reading: _Reading) -> Unknown:
    status = reading.answer.status
    if 300 <= status < 400:  # noqa: PLR2004 - HTTP redirects
        return reading.unknown(UnknownReason.UNREACHABLE, f"{reading.provider.name} redirected (HTTP {status})")
    if 400 <= status < 500:  # noqa: PLR2004 - HTTP client errors
        return reading.unknown(UnknownReason.BAD_REFERENCE, reading.about(f"refused the request (HTTP {status})"))
    return reading.unknown(UnknownReason.SERVER_ERROR, reading.about(f"answered HTTP {status}"))


def _unparsable(reading: _Reading, what: str) -> Unknown:
    status = reading.answer.status
    return reading.unknown(UnknownReason.UNPARSABLE, f"{reading.provider.name} answered HTTP {status} {what}")


def _from_state(reading: _Reading) -> Verdict | NextStep:
    if reading.document is None:
        return _unparsable(reading, "with a body that is no JSON object")
    state = reading.step.state(reading.document) if reading.step.state is not None else None
    if isinstance(state, bool):
        state = str(state).lower()
    if not isinstance(state, (str, int)):
        return _unparsable(reading, "without a state")
    word = reading.step.map.get(str(state))
    if word is None:
        shown = reading.text(reading.step.state) or ""
        return reading.unknown(
            UnknownReason.UNKNOWN_STATE, f"{reading.provider.name} says {shown[:80]!r}, an unknown state"
        )
    return _conclude(reading, word, None, state=str(state))


def _conclude(reading: _Reading, word: Word, reason: str | None, *, state: str | None) -> Verdict | NextStep:
    """The verdict of a word, once its evidence is good enough."""
    needs_object = word in TERMINAL or word is Word.NEXT
    if needs_object and reading.document is None and not _is_the_file(reading, word):
        return _unparsable(reading, "with a body that is no JSON object")
    return _verdict(reading, word, reason, state or word.value)


def _is_the_file(reading: _Reading, word: Word) -> bool:
    """Whether the step's answer is the file and these bytes are one; a failure's body may be the blurred file."""
    carries = any(output.body for output in reading.step.outputs)
    return carries and word in {Word.SUCCEEDED, Word.FAILED} and sniff(reading.answer.body[:HEAD_BYTES]) is not None


def _verdict(reading: _Reading, word: Word, reason: str | None, state: str) -> Verdict | NextStep:
    match word:
        case Word.PENDING | Word.PROCESSING:
            return StillRunning(queued=word is Word.PENDING, state=state[:80])
        case Word.RETRY:
            return reading.unknown(_reason_of(reading, reason), reading.about(_spelled(reading)))
        case Word.AUTH_ERROR:
            return reading.unknown(UnknownReason.AUTH_ERROR, reading.about("refused the key"))
        case Word.NEXT:
            return NextStep(_variables(reading))
        case _:
            return _ending(reading, word)


def _ending(
    reading: _Reading, word: Literal[Word.SUCCEEDED, Word.FAILED, Word.CANCELLED, Word.EXPIRED, Word.NOT_FOUND]
) -> Verdict:
    name = reading.provider.name
    match word:
        case Word.SUCCEEDED:
            return _succeeded(reading)
        case Word.FAILED:
            return Failed(reading.says(f"{name} gave no reason"), reading.text(reading.step.error_code))
        case Word.CANCELLED:
            return Cancelled(reading.says(f"cancelled at {name}"))
        case Word.EXPIRED:
            return Expired(reading.says(f"the outputs are gone at {name}"))
        case Word.NOT_FOUND:
            return NotFound(reading.says(f"{name} does not know the id"))


def _spelled(reading: _Reading) -> str:
    code = reading.text(reading.step.error_code)
    status = reading.answer.status
    return f"answered HTTP {status}" + (f", code {code}" if code and status < 400 else "")  # noqa: PLR2004


def _reason_of(reading: _Reading, reason: str | None) -> UnknownReason:
    if reason is not None:
        return UnknownReason(reason)
    by_status = {429: UnknownReason.RATE_LIMITED, 408: UnknownReason.TIMED_OUT, 504: UnknownReason.TIMED_OUT}
    return by_status.get(reading.answer.status, UnknownReason.SERVER_ERROR)


def _variables(reading: _Reading) -> dict[str, str]:
    found = {name: expression(reading.document) for name, expression in reading.step.vars.items()}
    usable = {name: value for name, value in found.items() if isinstance(value, (str, int)) and value not in ("", True)}
    return {name: str(value) for name, value in usable.items() if value is not False}


def _succeeded(reading: _Reading) -> Succeeded:
    outputs, warnings = outputs_of(
        reading.step.outputs,
        document=reading.document,
        body=reading.answer.body,
        media_type=reading.answer.headers.get("content-type"),
        base_url=reading.provider.base_url,
        variables=reading.answer.variables,
    )
    partial = reading.text(reading.step.partial)
    if partial is not None:
        warnings = (f"partial result: {partial}", *warnings)
    return Succeeded(outputs, warnings[:_MOST_WARNINGS], _available_until(reading))


def _available_until(reading: _Reading) -> datetime | None:
    expression = reading.provider.ttl_at
    return moment_of(expression(reading.document)) if expression is not None and reading.document is not None else None
