"""Where a step of a provider is asked, and whether a reference can be asked about at all. Pure.

What cannot be turned into a request that may be sent is `UnusableReferenceError` with a sentence that names what is
missing or wrong; nothing is asked then.
"""

from __future__ import annotations

from collections.abc import Mapping

from yarl import URL

from backstop_common.providers.compiled import CompiledProvider, CompiledStep
from backstop_common.providers.templates import TemplateError
from backstop_recovery.adapters.addresses import AllowedHosts
from backstop_recovery.adapters.credentials import may_see_credentials
from backstop_recovery.adapters.http_client import BadAddressError, parse_url


class UnusableReferenceError(Exception):
    """The reference cannot be turned into a request that may be sent."""


def require_usable(provider: CompiledProvider, given: Mapping[str, str]) -> None:
    """Check a reference against the provider's `ref`.

    Raises:
        UnusableReferenceError: a required part is missing, or a part is none of its allowed values.
    """
    missing = [name for name, need in provider.ref.items() if need == "required" and not given.get(name)]
    if missing:
        raise UnusableReferenceError(f"{provider.name} needs {', '.join(missing)} to be asked; store it with the task")
    for name, choices in provider.ref_choices.items():
        if given.get(name) and given[name] not in choices:
            raise UnusableReferenceError(
                f"{provider.name} knows no {name} {given[name][:80]!r}; it is one of {', '.join(choices)}"
            )


def address_of(
    provider: CompiledProvider, step: CompiledStep, variables: Mapping[str, str], allowed: AllowedHosts
) -> URL:
    """The address of the first template whose variables are all there.

    Raises:
        UnusableReferenceError: none is complete, a value must not stand in an address, or the host is not allowed.
    """
    for template in step.get:
        if all(name == "base_url" or variables.get(name) for name in template.variables):
            try:
                url = parse_url(template.fill(provider.base_url, variables))
            except (TemplateError, BadAddressError) as error:
                raise UnusableReferenceError(f"{provider.name}: {error}") from error
            _require_allowed(provider, url, allowed)
            return url
    needed = " or ".join(", ".join(n for n in t.variables if n != "base_url") for t in step.get)
    raise UnusableReferenceError(f"{provider.name} needs {needed} to be asked; store it with the task")


def _require_allowed(provider: CompiledProvider, url: URL, allowed: AllowedHosts) -> None:
    if not may_see_credentials(provider, url, provider.allow_hosts, allowed):
        raise UnusableReferenceError(f"{provider.name} must not be asked at {url.host}: it is not in allow_hosts")
