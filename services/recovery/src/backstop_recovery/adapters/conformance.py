"""Hold a provider's specification to recorded answers. Pure: nothing is asked, no key is needed.

`run_conformance` never raises for a specification that compiled: what does not fit is a result with what was expected
and what came instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from yarl import URL

from backstop_common.providers.cases import GENERIC, Case, Expectation, load_cases
from backstop_common.providers.compiled import CompiledProvider
from backstop_recovery.adapters.addresses import AllowedHosts
from backstop_recovery.adapters.credentials import same_origin
from backstop_recovery.adapters.provider_addresses import UnusableReferenceError, address_of, require_usable
from backstop_recovery.adapters.provider_interpreter import NextStep, ProviderAnswer, interpret
from backstop_recovery.domain.verdict import (
    Cancelled,
    Expired,
    Failed,
    NotFound,
    OutputRole,
    Succeeded,
    Unknown,
    UnknownReason,
    Verdict,
    name_of,
)

# What recorded `Retry-After` dates are relative to.
RECORDED_AT = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
_PLAIN_ID = "task-1"


@dataclass(frozen=True, slots=True)
class ConformanceResult:
    """One case told to one specification; `expected` and `got` are words for people."""

    case: str
    passed: bool
    expected: str
    got: str


def run_conformance(spec: CompiledProvider, cases: Iterable[Case]) -> tuple[ConformanceResult, ...]:
    """Tell every case to the specification, generic ones to each step they are for."""
    results: list[ConformanceResult] = []
    for case in cases:
        if case.hostile is not None:
            results.append(_tell_hostile(spec, case.name, case.hostile))
        elif case.expect is not None and case.each_step:
            for index, step in enumerate(spec.steps):
                results.append(_judge(spec, f"{case.name} ({step.name})", case.expect, tell(spec, case, first=index)))
        elif case.expect is not None:
            results.append(_judge(spec, case.name, case.expect, tell(spec, case)))
    return tuple(results)


def generic_cases() -> tuple[Case, ...]:
    """The troubles every provider can have."""
    return load_cases(GENERIC)


def tell(spec: CompiledProvider, case: Case, *, first: int = 0) -> Verdict:
    """The verdict of one case, beginning at a step."""
    variables = {**_sample_reference(spec), **case.ref}
    try:
        require_usable(spec, variables)
    except UnusableReferenceError as error:
        return Unknown(UnknownReason.BAD_REFERENCE, str(error))
    for step, answer in zip(spec.steps[first:], case.answers, strict=False):
        heard = ProviderAnswer(answer.status, answer.lowered_headers, answer.content, variables)
        result = interpret(spec, step, heard, now=RECORDED_AT)
        if not isinstance(result, NextStep):
            return result
        variables = {**variables, **result.variables}
    return Unknown(UnknownReason.UNPARSABLE, "the specification asks for an answer more than was recorded")


def _sample_reference(spec: CompiledProvider) -> dict[str, str]:
    """An id, and something for every other part that is required."""
    required = [name for name, need in spec.ref.items() if need == "required"]
    return {name: spec.ref_choices.get(name, (_PLAIN_ID,))[0] for name in ("id", *required)}


def _judge(spec: CompiledProvider, case: str, expect: Expectation, verdict: Verdict) -> ConformanceResult:
    wanted = {name: value for name, value in expect.model_dump().items() if value is not None}
    if expect.message is not None:
        wanted["message"] = expect.message.replace("{provider}", spec.name)
    given = _facts(verdict)
    passed = all(given.get(name) == value for name, value in wanted.items())
    shown = {name: given.get(name) for name in wanted}
    return ConformanceResult(case, passed, _in_words(wanted), _in_words(shown) + ("" if passed else _said(verdict)))


def _facts(verdict: Verdict) -> dict[str, object]:
    facts: dict[str, object] = {"verdict": name_of(verdict)}
    match verdict:
        case Succeeded(outputs=outputs, warnings=warnings):
            primary = [output for output in outputs if output.role is OutputRole.PRIMARY]
            facts |= {
                "outputs": len(primary),
                "others": len(outputs) - len(primary),
                "urls": tuple(output.url for output in outputs if output.url is not None),
                "inline": sum(output.content is not None for output in outputs),
                "warnings": len(warnings),
            }
        case Failed(message=message, code=code):
            facts |= {"message": message, "code": code}
        case Cancelled(message=message) | Expired(message=message) | NotFound(message=message):
            facts["message"] = message
        case Unknown(reason=reason, retry_after_seconds=wait):
            facts |= {"reason": reason.value, "retry_after": wait}
        case _:
            pass
    return facts


def _said(verdict: Verdict) -> str:
    return f" ({verdict.message})" if isinstance(verdict, Unknown | NotFound) else ""


def _in_words(facts: dict[str, object]) -> str:
    verdict, *others = facts.items()
    return ", ".join([str(verdict[1]), *(f"{name} {value!r}" for name, value in others)])


def _tell_hostile(spec: CompiledProvider, case: str, identity: str) -> ConformanceResult:
    """An id must not leave its place: same origin, same path around it, same names in the query."""
    expected = "refused, or an address in which the id stays in its place"
    hostile = _address_of_id(spec, identity)
    if hostile is None:
        return ConformanceResult(case, True, expected, "refused")
    plain = _address_of_id(spec, _PLAIN_ID)
    stays = plain is not None and same_origin(plain, hostile) and _shape(plain, _PLAIN_ID) == _shape(hostile, identity)
    return ConformanceResult(case, stays, expected, str(hostile))


def _address_of_id(spec: CompiledProvider, identity: str) -> URL | None:
    reference = {**_sample_reference(spec), "id": identity}
    try:
        return address_of(spec, spec.steps[0], reference, AllowedHosts())
    except UnusableReferenceError:
        return None


def _shape(url: URL, identity: str) -> tuple[object, ...]:
    """The path's segments without the id's own, and the names of the query."""
    return url.path.replace(identity, "{id}"), ".." in url.raw_path.split("/"), tuple(url.query), url.raw_fragment
