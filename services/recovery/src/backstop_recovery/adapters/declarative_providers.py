"""All providers of the catalogue behind the port `Providers`: ask, follow the steps, return a verdict.

Nothing that goes wrong is raised: an unreachable, slow, oversized, forbidden or unintelligible answer is `Unknown` with
its reason. Keys go to the provider's own origin and to its `allow_hosts`, redirects stay within one origin.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter

from yarl import URL

from backstop_common.errors import PermanentError, TransientError
from backstop_common.providers.catalogue import Catalogue, UnknownProviderError
from backstop_common.providers.compiled import CompiledProvider, CompiledStep
from backstop_recovery.adapters.content_encoding import BadEncodingError
from backstop_recovery.adapters.credentials import credentials_of, same_origin
from backstop_recovery.adapters.guard import ForbiddenAddressError
from backstop_recovery.adapters.http_client import (
    Answer,
    BadAddressError,
    BodyTooLargeError,
    HttpClient,
    TooSlowError,
    follow_redirect,
)
from backstop_recovery.adapters.json_width import is_sprawling
from backstop_recovery.adapters.provider_addresses import UnusableReferenceError, address_of, require_usable
from backstop_recovery.adapters.provider_interpreter import NextStep, ProviderAnswer, interpret
from backstop_recovery.application.ports import Reference
from backstop_recovery.domain.verdict import Unknown, UnknownReason, Verdict

Observe = Callable[[str, str, float], None]
_MOST_REDIRECTS = 3
_MAX_BODY = 8 * 2**20
_LARGE_AT_ONCE = 2
_PATIENCE_WITH_FILES = 4


def ignore(_provider: str, _code: str, _seconds: float) -> None:
    """The observer that looks away."""


def utc_now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


def _few() -> asyncio.Semaphore:
    return asyncio.Semaphore(_LARGE_AT_ONCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclarativeProviders:
    """See the module.

    Args:
        observe: called with provider, HTTP status (or `timeout`, `unreachable`, `refused`) and seconds per request.
        timeout_seconds: for each request, body included; four times as long for answers that carry files.
        max_body_bytes: for each answer, unless its step says `max_body`.
        large_answers: how many answers larger than that are in memory at once.
    """

    catalogue: Catalogue
    client: HttpClient
    observe: Observe = ignore
    now: Callable[[], datetime] = utc_now
    timeout_seconds: float = 30.0
    max_body_bytes: int = _MAX_BODY
    large_answers: asyncio.Semaphore = field(default_factory=_few)

    async def check(self, reference: Reference) -> Verdict:
        """Ask what became of a generation; see `application.ports.Providers`."""
        try:
            provider = self.catalogue.get(reference.provider)
        except UnknownProviderError as error:
            return Unknown(UnknownReason.BAD_REFERENCE, str(error))
        problem = _not_askable(provider, reference)
        if problem is not None:
            return problem
        variables = {**reference.extra, "id": reference.id}
        for step in provider.steps:
            result = await self._take(provider, step, variables)
            if not isinstance(result, NextStep):
                return result
            variables = {**variables, **result.variables}
        return Unknown(UnknownReason.UNPARSABLE, f"{provider.name} has no step after {provider.steps[-1].name}")

    async def _take(
        self, provider: CompiledProvider, step: CompiledStep, variables: Mapping[str, str]
    ) -> Verdict | NextStep:
        try:
            url = address_of(provider, step, variables, self.client.guard.allowed)
            answer = await self._ask(provider, url, step)
        except UnusableReferenceError as error:
            return Unknown(UnknownReason.BAD_REFERENCE, str(error))
        except (BodyTooLargeError, BadEncodingError) as error:
            return Unknown(UnknownReason.UNPARSABLE, f"{provider.name}: {error}")
        except (BadAddressError, ForbiddenAddressError) as error:
            hint = "; list its host:port in ALLOW_PRIVATE_HOSTS if that is meant"
            return Unknown(UnknownReason.UNREACHABLE, f"{provider.name}: {error}{hint}")
        except TooSlowError as error:
            return Unknown(UnknownReason.TIMED_OUT, f"{provider.name}: {error}")
        except TransientError as error:
            return Unknown(UnknownReason.UNREACHABLE, f"{provider.name}: {error}", error.retry_after_seconds)
        heard = ProviderAnswer(answer.status, answer.headers, answer.body, variables)
        return interpret(provider, step, heard, now=self.now())

    async def _ask(self, provider: CompiledProvider, url: URL, step: CompiledStep) -> Answer:
        """One GET with the key. A redirect to another origin is not followed: the answer then is the redirect."""
        headers = {"Accept": "application/json", **provider.headers}
        answer = Answer(0, {}, b"")
        for _ in range(_MOST_REDIRECTS + 1):
            credentials = credentials_of(provider.auth, self.now())
            answer = await self._read(provider, step, credentials.apply(url), {**headers, **credentials.headers})
            if is_sprawling(answer.body):
                raise BodyTooLargeError(f"{url.host} answered more values than anybody could mean")
            target = follow_redirect(url, answer.status, answer.headers)
            if target is None or not same_origin(url, target):
                return answer
            url = target
        return answer

    async def _read(
        self, provider: CompiledProvider, step: CompiledStep, url: URL, headers: Mapping[str, str]
    ) -> Answer:
        """An answer that turns out to carry files is asked for again, few at a time: most of such a step are small."""
        try:
            return await self._observed(provider, url, headers, self.max_body_bytes, self.timeout_seconds)
        except BodyTooLargeError:
            if step.max_body_bytes is None or step.max_body_bytes <= self.max_body_bytes:
                raise
        async with self.large_answers:
            patience = self.timeout_seconds * _PATIENCE_WITH_FILES
            return await self._observed(provider, url, headers, step.max_body_bytes, patience)

    async def _observed(
        self, provider: CompiledProvider, url: URL, headers: Mapping[str, str], max_bytes: int, timeout_seconds: float
    ) -> Answer:
        started, code = perf_counter(), "unreachable"
        try:
            answer = await self.client.get(url, headers=headers, max_bytes=max_bytes, timeout_seconds=timeout_seconds)
            code = str(answer.status)
        except TooSlowError:
            code = "timeout"
            raise
        except PermanentError:
            code = "refused"
            raise
        finally:
            self.observe(provider.name, code, perf_counter() - started)
        return answer


def _not_askable(provider: CompiledProvider, reference: Reference) -> Unknown | None:
    if provider.missing_secrets:
        names = " and ".join(provider.missing_secrets)
        message = f"{names} is not set; set it to ask {provider.name} about its tasks"
        return Unknown(UnknownReason.AUTH_ERROR, message)
    try:
        require_usable(provider, {"id": reference.id, **reference.extra})
    except UnusableReferenceError as error:
        return Unknown(UnknownReason.BAD_REFERENCE, str(error))
    return None
