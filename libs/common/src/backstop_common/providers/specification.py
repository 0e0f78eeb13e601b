"""The YAML schema of one provider, as frozen models.

Unknown fields are errors: a misspelt key must stop the start, not be ignored. What needs more than one field to judge
(expressions, template variables, hosts) is checked in `compilation`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from backstop_common.providers.quantities import Duration, Size, Statuses


class Word(StrEnum):
    """What a rule or a mapped state word means. `retry`, `auth_error` and `next` are no states of a task."""

    PENDING = "pending"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    NOT_FOUND = "not_found"
    EXPIRED = "expired"
    RETRY = "retry"
    AUTH_ERROR = "auth_error"
    NEXT = "next"


TERMINAL = frozenset({Word.SUCCEEDED, Word.FAILED, Word.CANCELLED, Word.EXPIRED})


def parse_word(value: object) -> Word:
    """The verdict of a YAML word; `ValueError` lists them all."""
    try:
        return Word(str(value))
    except ValueError:
        raise ValueError(f"{value!r} is not a verdict; use one of {', '.join(Word)}") from None


def _text_keys(value: object) -> object:
    # YAML reads `0: processing` as a number; providers' words are compared as text.
    if isinstance(value, dict):
        return {str(key) if isinstance(key, int) and not isinstance(key, bool) else key: v for key, v in value.items()}
    return value


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Verdict = Annotated[Word, BeforeValidator(parse_word)]
StateMap = Annotated[dict[str, Verdict], BeforeValidator(_text_keys)]
Templates = Annotated[tuple[str, ...], BeforeValidator(_listed), Field(min_length=1)]
Hosts = tuple[str, ...]
Need = Literal["required", "optional"]
Kind = Literal["image", "video"]
Positive = Annotated[Duration, Field(gt=0)]


class Part(BaseModel):
    """Frozen, and strict about its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class BearerAuth(Part):
    """`Authorization: Bearer <token>`."""

    kind: Literal["bearer"]
    token: str


class HeaderAuth(Part):
    """The key in a header of its own, such as `x-api-key`, or `Authorization: Key <key>`."""

    kind: Literal["header"]
    name: str
    value: str


class QueryAuth(Part):
    """The key as a query parameter."""

    kind: Literal["query"]
    name: str
    value: str


class JwtAuth(Part):
    """A bearer token signed per request from an access key and a secret key (HS256)."""

    kind: Literal["jwt_hs256"]
    key_id: str
    secret: str
    ttl: Duration = 1800.0
    nbf_skew: Duration = 5.0


class NoAuth(Part):
    """The provider asks for no key."""

    kind: Literal["none"]


Auth = Annotated[BearerAuth | HeaderAuth | QueryAuth | JwtAuth | NoAuth, Field(discriminator="kind")]


class Rule(Part):
    """One rule; all its conditions must hold. `reason` says why a `retry` is one."""

    http: tuple[Statuses, ...] = ()
    header: dict[str, str] = {}
    when: str | None = None
    verdict: Verdict
    reason: Literal["rate_limited", "server_error", "timed_out"] | None = None

    @model_validator(mode="after")
    def _has_a_condition(self) -> Rule:
        if not self.http and not self.header and self.when is None:
            raise ValueError("a rule without http, header or when would fire on every answer; give it a condition")
        return self


class ErrorPaths(Part):
    """Where the provider says what went wrong."""

    message: str | None = None
    code: str | None = None


class OutputSpec(Part):
    """Where the files are: in the body's items (`each`), at a templated address, or the body itself."""

    each: str | None = None
    url: str | None = None
    b64: str | None = None
    media_type: str | None = None
    bytes: str | None = None
    kind: str | None = None
    template: str | None = None
    body: bool = False
    role: Literal["primary", "thumbnail", "last_frame", "original"] = "primary"
    optional: bool = False

    @model_validator(mode="after")
    def _is_one_of_three(self) -> OutputSpec:
        if sum((self.each is not None, self.template is not None, self.body)) != 1:
            raise ValueError("an output needs exactly one of each, template or body: true")
        if self.each is not None and self.url is None and self.b64 is None:
            raise ValueError('an output with each needs url or b64; write url: "@" when the items are the addresses')
        return self


class RefPart(Part):
    """A part of the reference that may only have certain values, such as the path of a kind of task."""

    need: Need
    one_of: tuple[str, ...] = Field(min_length=1)


class Step(Part):
    """One request and how its answer is read. `max_body` is for answers that carry files; 8 MiB otherwise."""

    name: str
    get: Templates
    override_transport: bool = False
    max_body: Size | None = None
    rules: tuple[Rule, ...] = ()
    state: str | None = None
    map: StateMap = {}
    vars: dict[str, str] = {}
    error: ErrorPaths = ErrorPaths()
    partial: str | None = None
    outputs: tuple[OutputSpec, ...] = ()


class Poll(Part):
    """The provider's own wishes about when to ask; what is not said is as the settings have it.

    `min` and `max` bound the pause between two checks of a task, `give_up` is what `give_up_after` says for all kinds.
    `first` is for whoever polls from the start: Backstop asks once a task is stuck (`stuck_after`).
    """

    first: Duration | None = None
    min: Positive | None = None
    max: Positive | None = None
    give_up: Positive | None = None
    respect_retry_after: bool = True

    @model_validator(mode="after")
    def _is_in_order(self) -> Poll:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is longer than max; a pause between two questions needs room between them")
        return self


class Limits(Part):
    """How much of the provider an account may use: tasks in work at once, and `requests` in any time of `per`.

    `concurrency` is per process, null for the general one. `requests` are the whole account's, null for no limit.
    """

    concurrency: int | None = Field(default=None, ge=1, le=1024)
    requests: int | None = Field(default=None, ge=1)
    per: Duration = Field(default=1.0, gt=0)


class NotFoundPolicy(Part):
    """How long and how often a provider must deny a task, or have no file, before that is believed."""

    grace: Duration | None = None
    confirmations: int | None = Field(default=None, ge=1)


class Timeouts(Part):
    """Of one download."""

    connect: Duration = 10.0
    read: Duration = 60.0
    total: Duration = 900.0


class Download(Part):
    """How outputs are fetched. `hosts`, when given, are the only ones files may come from."""

    auth: Literal["none", "same"] = "none"
    auth_hosts: Hosts = ()
    hosts: Hosts = ()
    https_only: bool = True
    redirects: int = Field(default=5, ge=0, le=20)
    max_bytes: Size = 2 * 2**30
    ttl: Duration | None = None
    ttl_at: str | None = None
    refresh: Literal["requery", "never"] = "requery"
    timeout: Timeouts = Timeouts()


class StandardWebhooksVerify(Part):
    """Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature`."""

    kind: Literal["standard_webhooks"]
    secret: str
    tolerance: Duration = 300.0


class FalVerify(Part):
    """fal's Ed25519 signature against its published keys."""

    kind: Literal["fal_ed25519_jwks"]
    jwks: str
    tolerance: Duration = 300.0


class HmacVerify(Part):
    """An HMAC over a message made of the task id, headers and the body.

    `timestamp` names the header with the moment in seconds, when there is one; it has to be part of the message.
    """

    kind: Literal["hmac"]
    algo: Literal["sha256", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = ""
    header: str
    message: str = "{body}"
    timestamp: str | None = None
    tolerance: Duration = 300.0
    secret: str


class JwtJwksVerify(Part):
    """A JWT (RS256) in a header, against published keys; with `audience`, it must be meant for that."""

    kind: Literal["jwt_rs256_jwks"]
    jwks: str
    header: str = "webhook-signature"
    audience: str | None = None
    tolerance: Duration = 300.0


class NoVerify(Part):
    """The provider signs nothing: only an unguessable address protects the webhook."""

    kind: Literal["none"]


class Webhook(Part):
    """Where a webhook names its task, and how it is verified.

    `event` is the provider's word for what happened, for the timeline; nothing is decided by it. `challenge` is a value
    that the provider wants back before it sends anything.
    """

    task_id: str
    event: str | None = None
    challenge: str | None = None
    verify: Annotated[
        StandardWebhooksVerify | FalVerify | HmacVerify | JwtJwksVerify | NoVerify, Field(discriminator="kind")
    ]


def _transport_rules() -> tuple[Rule, ...]:
    retried: tuple[dict[str, Any], ...] = (
        {"http": [401, 403], "verdict": "auth_error"},
        {"http": [429], "verdict": "retry", "reason": "rate_limited"},
        {"http": [408, 425, 504], "verdict": "retry", "reason": "timed_out"},
        {"http": [500, 502, 503, "520-599"], "verdict": "retry", "reason": "server_error"},
    )
    return tuple(Rule.model_validate(rule) for rule in retried)


class ProviderSpec(Part):
    """One provider, complete: what `extends` and defaults gave is already merged in."""

    base_url: str
    auth: Auth
    headers: dict[str, str] = {}
    ref: dict[str, Need | RefPart] = {"id": "required"}
    allow_hosts: Hosts = ()
    poll: Poll = Poll()
    limits: Limits = Limits()
    not_found: NotFoundPolicy = NotFoundPolicy()
    stuck_after: Duration | dict[str, Duration] | None = None
    give_up_after: Positive | dict[Kind, Positive] | None = None
    transport_rules: tuple[Rule, ...] = Field(default_factory=_transport_rules)
    steps: tuple[Step, ...] = Field(min_length=1)
    download: Download = Download()
    webhook: Webhook | None = None
