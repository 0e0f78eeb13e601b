"""All providers of the catalogue behind the port `Providers`: ask, follow the steps, return a verdict.

Nothing that goes wrong is raised: an unreachable, slow, oversized, forbidden or unintelligible answer is `Unknown` with
its reason. Keys go to the provider's own origin and to its `allow_hosts`, redirects stay within one origin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter

from yarl import URL

from backstop_common.errors import PermanentError, TransientError
from backstop_common.providers.catalogue import Catalogue, UnknownProviderError
from backstop_common.providers.compiled import CompiledProvider, CompiledStep
from backstop_common.providers.templates import TemplateError
from backstop_recovery.adapters.credentials import credentials_of, may_see_credentials, same_origin
from backstop_recovery.adapters.guard import ForbiddenAddressError
from backstop_recovery.adapters.http_client import (
    Answer,
    BadAddressError,
    BodyTooLargeError,
    HttpClient,
    TooSlowError,
    follow_redirect,
    parse_url,
)
from backstop_recovery.adapters.provider_interpreter import NextStep, ProviderAnswer, interpret
from backstop_recovery.application.ports import Reference
from backstop_recovery.domain.verdict import Unknown, UnknownReason, Verdict

Observe = Callable[[str, str, float], None]
_MOST_REDIRECTS = 3
_MAX_BODY = 8 * 2**20


def ignore(_provider: str, _code: str, _seconds: float) -> None:
    """The observer that looks away."""


def utc_now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


class _UnusableError(Exception):
    """The reference cannot be turned into a request that may be sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclarativeProviders:
    """See the module.

    Args:
        observe: called with provider, HTTP status (or `timeout`, `unreachable`, `refused`) and seconds per request.
        timeout_seconds: for each request, body included.
    """

    catalogue: Catalogue
    client: HttpClient
    observe: Observe = ignore
    now: Callable[[], datetime] = utc_now
    timeout_seconds: float = 30.0
    max_body_bytes: int = _MAX_BODY

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
            url = self._address(provider, step, variables)
            answer = await self._ask(provider, url)
        except _UnusableError as error:
            return Unknown(UnknownReason.BAD_REFERENCE, str(error))
        except BodyTooLargeError as error:
            return Unknown(UnknownReason.UNPARSABLE, str(error))
        except (BadAddressError, ForbiddenAddressError) as error:
            hint = "; list its host:port in ALLOW_PRIVATE_HOSTS if that is meant"
            return Unknown(UnknownReason.UNREACHABLE, f"{provider.name}: {error}{hint}")
        except TooSlowError as error:
            return Unknown(UnknownReason.TIMED_OUT, f"{provider.name}: {error}")
        except TransientError as error:
            return Unknown(UnknownReason.UNREACHABLE, f"{provider.name}: {error}", error.retry_after_seconds)
        heard = ProviderAnswer(answer.status, answer.headers, answer.body, variables)
        return interpret(provider, step, heard, now=self.now())

    def _address(self, provider: CompiledProvider, step: CompiledStep, variables: Mapping[str, str]) -> URL:
        """The first template whose variables are all there."""
        for template in step.get:
            if all(name == "base_url" or variables.get(name) for name in template.variables):
                try:
                    url = parse_url(template.fill(provider.base_url, variables))
                except (TemplateError, BadAddressError) as error:
                    raise _UnusableError(f"{provider.name}: {error}") from error
                self._require_allowed(provider, url)
                return url
        needed = " or ".join(", ".join(n for n in t.variables if n != "base_url") for t in step.get)
        raise _UnusableError(f"{provider.name} needs {needed} to be asked; store it with the task")

    def _require_allowed(self, provider: CompiledProvider, url: URL) -> None:
        if not may_see_credentials(provider, url, provider.allow_hosts, self.client.guard.allowed):
            raise _UnusableError(f"{provider.name} must not be asked at {url.host}: it is not in allow_hosts")

    async def _ask(self, provider: CompiledProvider, url: URL) -> Answer:
        """One GET with the key. A redirect to another origin is not followed: the answer then is the redirect."""
        headers = {"Accept": "application/json", **provider.headers}
        answer = Answer(0, {}, b"")
        for _ in range(_MOST_REDIRECTS + 1):
            credentials = credentials_of(provider.auth, self.now())
            answer = await self._observed(provider, credentials.apply(url), {**headers, **credentials.headers})
            target = follow_redirect(url, answer.status, answer.headers)
            if target is None or not same_origin(url, target):
                return answer
            url = target
        return answer

    async def _observed(self, provider: CompiledProvider, url: URL, headers: Mapping[str, str]) -> Answer:
        started, code = perf_counter(), "unreachable"
        try:
            answer = await self.client.get(
                url, headers=headers, max_bytes=self.max_body_bytes, timeout_seconds=self.timeout_seconds
            )
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
    given = {"id": reference.id, **reference.extra}
    missing = [name for name, need in provider.ref.items() if need == "required" and not given.get(name)]
    if missing:
        message = f"{provider.name} needs {', '.join(missing)} to be asked; store it with the task"
        return Unknown(UnknownReason.BAD_REFERENCE, message)
    return None
