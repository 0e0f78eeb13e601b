"""A provider as the services use it: what `compilation` makes of a specification. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import SecretStr

from backstop_common.providers import specification as spec
from backstop_common.providers.expressions import Expression
from backstop_common.providers.templates import Template
from backstop_common.providers.webhook_signing import SignedMessage


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """All given conditions must hold. Header names are lower case."""

    http: tuple[tuple[int, int], ...]
    headers: tuple[tuple[str, str], ...]
    when: Expression | None
    verdict: spec.Word
    reason: str | None


@dataclass(frozen=True, slots=True)
class CompiledOutput:
    """See `specification.OutputSpec`; exactly one of `each`, `template` and `body` is set."""

    each: Expression | None
    url: Expression | None
    b64: Expression | None
    media_type: Expression | None
    literal_media_type: str | None
    template: Template | None
    body: bool
    role: str
    optional: bool


@dataclass(frozen=True, slots=True)
class CompiledStep:
    """One request and how its answer is read."""

    name: str
    get: tuple[Template, ...]
    override_transport: bool
    max_body_bytes: int | None
    rules: tuple[CompiledRule, ...]
    state: Expression | None
    map: Mapping[str, spec.Word]
    vars: Mapping[str, Expression]
    error_message: Expression | None
    error_code: Expression | None
    partial: Expression | None
    outputs: tuple[CompiledOutput, ...]


@dataclass(frozen=True, slots=True)
class CompiledAuth:
    """The kind, the header or parameter name, and the secrets by field (`token`, `value`, `key_id`, `secret`)."""

    kind: str
    name: str
    secrets: Mapping[str, SecretStr]
    ttl_seconds: float = 0.0
    nbf_skew_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class CompiledWebhook:
    """`keys` are what signatures are made with: none when the verification needs no secret, or when `missing_secrets`
    names its variable; several while one replaces another. `message` is what an `hmac` covers.
    """

    task_id: Expression
    event: Expression | None
    challenge: Expression | None
    verify: spec.StandardWebhooksVerify | spec.FalVerify | spec.HmacVerify | spec.JwtJwksVerify | spec.NoVerify
    keys: tuple[bytes, ...] = field(repr=False)
    message: SignedMessage | None
    missing_secrets: tuple[str, ...]

    @property
    def key_address(self) -> str | None:
        """Where the provider publishes the keys it signs with; None when it signs with a secret or not at all."""
        return self.verify.jwks if isinstance(self.verify, spec.FalVerify | spec.JwtJwksVerify) else None

    @property
    def is_signed(self) -> bool:
        """Whether signatures can be verified here: the provider signs, and the secret for it is set."""
        return not isinstance(self.verify, spec.NoVerify) and not self.missing_secrets


@dataclass(frozen=True, slots=True)
class CompiledProvider:
    """A provider, ready to be asked. `missing_secrets` are the environment variables it lacks for polling.

    `ref` says which parts of the reference are required, `ref_choices` which values of a part are allowed.
    """

    name: str
    base_url: str
    auth: CompiledAuth
    headers: Mapping[str, str]
    ref: Mapping[str, str]
    ref_choices: Mapping[str, tuple[str, ...]]
    allow_hosts: tuple[str, ...]
    poll: spec.Poll
    limits: spec.Limits
    not_found: spec.NotFoundPolicy
    transport_rules: tuple[CompiledRule, ...]
    steps: tuple[CompiledStep, ...]
    download: spec.Download
    ttl_at: Expression | None
    webhook: CompiledWebhook | None
    missing_secrets: tuple[str, ...]
    stuck_after: float | Mapping[str, float] | None
    give_up_after: float | Mapping[spec.Kind, float] | None = None

    @property
    def output_ttl_seconds(self) -> float | None:
        """How long an output's address lives, if the provider says so."""
        return self.download.ttl

    def stuck_after_seconds(self, kind: str) -> float | None:
        """The provider's own threshold for a kind (`video`, `image`), or None: use the general one."""
        if isinstance(self.stuck_after, Mapping):
            return self.stuck_after.get(kind)
        return self.stuck_after

    def give_up_after_seconds(self, kind: spec.Kind) -> float | None:
        """The provider's own give-up age for a kind, or None: use the general one."""
        own = self.give_up_after
        return (own.get(kind) if isinstance(own, Mapping) else own) or self.poll.give_up

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret in plain text, for redaction."""
        return tuple(value for secret in self.auth.secrets.values() if (value := secret.get_secret_value()))
