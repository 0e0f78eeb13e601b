"""From a valid specification to a provider that can be asked.

Expressions are compiled, templates checked and secrets filled in. `compile_provider`, and each function that does a
part of it, raises `FieldError` with the path of the field for what one field's type cannot show. Missing secrets are no
error: the provider is compiled and names them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from pydantic import SecretStr

from backstop_common.providers import specification as spec
from backstop_common.providers.compiled import (
    CompiledAuth,
    CompiledOutput,
    CompiledProvider,
    CompiledRule,
    CompiledStep,
    CompiledWebhook,
)
from backstop_common.providers.expressions import Expression, ExpressionError, compile_expression, unguarded_inequality
from backstop_common.providers.templates import Template, TemplateError, compile_template
from backstop_common.providers.webhook_signing import SignedMessage, compile_message, secrets_of, standard_key

Path = tuple[str | int, ...]
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_HOST = re.compile(r"(\*\.)?[A-Za-z0-9_.\-]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?")


class FieldError(ValueError):
    """What is wrong with the field at `path` (from the provider's own level) and what to do."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(problem)
        self.path = path


def compile_provider(name: str, source: spec.ProviderSpec, environ: Mapping[str, str]) -> CompiledProvider:
    """Compile and check one provider.

    Raises:
        FieldError: see the module.
    """
    auth, missing = compile_auth(source.auth, environ)
    base_url = base_url_of(source, environ)
    check_hosts(source)
    return CompiledProvider(
        name=name,
        base_url=base_url,
        auth=auth,
        headers={key: _fill_public(("headers", key), value, environ) for key, value in source.headers.items()},
        ref={part: need.need if isinstance(need, spec.RefPart) else need for part, need in source.ref.items()},
        ref_choices={part: need.one_of for part, need in source.ref.items() if isinstance(need, spec.RefPart)},
        allow_hosts=source.allow_hosts,
        poll=source.poll,
        limits=source.limits,
        not_found=source.not_found,
        transport_rules=_rules(("transport_rules",), source.transport_rules),
        steps=_compile_steps(source),
        download=source.download,
        ttl_at=optional_at(("download", "ttl_at"), source.download.ttl_at),
        webhook=compile_webhook(source.webhook, environ),
        missing_secrets=missing,
        stuck_after=source.stuck_after,
        give_up_after=source.give_up_after,
    )


def compile_auth(auth: spec.Auth, environ: Mapping[str, str]) -> tuple[CompiledAuth, tuple[str, ...]]:
    """The kind of authentication with its secrets, and the variables that are not set."""
    fields: dict[str, str] = {}
    name, ttl, skew = "", 0.0, 0.0
    match auth:
        case spec.BearerAuth(token=token):
            fields = {"token": token}
        case spec.HeaderAuth(name=name, value=value) | spec.QueryAuth(name=name, value=value):
            fields = {"value": value}
        case spec.JwtAuth(key_id=key_id, secret=secret, ttl=ttl, nbf_skew=skew):
            fields = {"key_id": key_id, "secret": secret}
        case spec.NoAuth():
            pass
    filled, missing = {}, []
    for field, text in fields.items():
        filled[field], absent = _fill_secret(("auth", field), text, environ)
        missing += absent
    return CompiledAuth(auth.kind, name, filled, ttl, skew), tuple(dict.fromkeys(missing))


def _fill_secret(path: Path, text: str, environ: Mapping[str, str]) -> tuple[SecretStr, list[str]]:
    names = _VARIABLE.findall(text)
    if not names:
        raise FieldError(path, "a key must not be in the file; write ${NAME} and set NAME in the environment")
    absent = [name for name in names if not environ.get(name, "").strip()]
    filled = "" if absent else _VARIABLE.sub(lambda match: environ[match[1]].strip(), text)
    if not filled.isascii() or any(character < " " for character in filled):
        raise FieldError(path, f"{', '.join(names)} holds characters no header can carry; copy the key again")
    return SecretStr(filled), absent


def _fill_public(path: Path, text: str, environ: Mapping[str, str]) -> str:
    for name in _VARIABLE.findall(text):
        if name not in environ:
            raise FieldError(path, f"{name} is not set; set it in the environment or write the value itself")
    return _VARIABLE.sub(lambda match: environ[match[1]], text)


def base_url_of(source: spec.ProviderSpec, environ: Mapping[str, str]) -> str:
    """The address everything else is built on, without a slash at its end."""
    base_url = _fill_public(("base_url",), source.base_url, environ)
    _check_address(("base_url",), base_url, "https://api.example.com/v1")
    return base_url.rstrip("/")


def _check_address(path: Path, address: str, example: str) -> None:
    try:
        parts = urlsplit(address)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid or parts.username is not None or parts.query or parts.fragment or not address.isascii():
        raise FieldError(path, f"{address!r} is not an address; write for example {example}")


def check_hosts(source: spec.ProviderSpec) -> None:
    """All lists of hosts are hosts."""
    listed = {
        ("allow_hosts",): source.allow_hosts,
        ("download", "auth_hosts"): source.download.auth_hosts,
        ("download", "hosts"): source.download.hosts,
    }
    for path, hosts in listed.items():
        for index, host in enumerate(hosts):
            if not _HOST.fullmatch(host):
                raise FieldError(
                    (*path, index), f"{host!r} is not a host; write for example api.example.com or *.example.com"
                )
    if source.download.auth == "same" and not source.download.auth_hosts:
        raise FieldError(("download", "auth_hosts"), "required with auth: same; list the hosts that may see the key")


def _compile_steps(source: spec.ProviderSpec) -> tuple[CompiledStep, ...]:
    known = {"base_url", *source.ref}
    steps = []
    for index, step in enumerate(source.steps):
        steps.append(_compile_step(("steps", index), step, known, source, last=index == len(source.steps) - 1))
        known |= set(step.vars)
    return tuple(steps)


def _compile_step(
    path: Path, step: spec.Step, known: set[str], source: spec.ProviderSpec, *, last: bool
) -> CompiledStep:
    rules = _rules((*path, "rules"), step.rules)
    check_next(path, step, last=last)
    if step.map and step.state is None:
        raise FieldError((*path, "state"), "required with map; write the JMESPath of the state word")
    return CompiledStep(
        name=step.name,
        get=tuple(template_at((*path, "get"), text, known, source) for text in step.get),
        override_transport=step.override_transport,
        max_body_bytes=step.max_body,
        rules=rules,
        state=optional_at((*path, "state"), step.state),
        map=step.map,
        vars={name: _expression((*path, "vars", name), text) for name, text in step.vars.items()},
        error_message=optional_at((*path, "error", "message"), step.error.message),
        error_code=optional_at((*path, "error", "code"), step.error.code),
        partial=optional_at((*path, "partial"), step.partial),
        outputs=tuple(
            compile_output((*path, "outputs", i), output, known, source) for i, output in enumerate(step.outputs)
        ),
    )


def check_next(path: Path, step: spec.Step, *, last: bool) -> None:
    """`next` leads somewhere, and the step can come to a verdict."""
    places = [((*path, "map", word), verdict) for word, verdict in step.map.items()]
    places += [((*path, "rules", index, "verdict"), rule.verdict) for index, rule in enumerate(step.rules)]
    for place, verdict in places:
        if last and verdict is spec.Word.NEXT:
            raise FieldError(place, "next in the last step leads nowhere; use succeeded or add a step")
    if not places:
        raise FieldError((*path, "map"), "a step needs rules or a state with a map; add one")


def compile_output(path: Path, output: spec.OutputSpec, known: set[str], source: spec.ProviderSpec) -> CompiledOutput:
    """One output."""
    # `media_type: video/mp4` is a literal; without a slash it is a path in the item.
    literal = output.media_type if output.media_type and "/" in output.media_type else None
    optional_at((*path, "bytes"), output.bytes)
    optional_at((*path, "kind"), output.kind)
    return CompiledOutput(
        each=optional_at((*path, "each"), output.each),
        url=optional_at((*path, "url"), output.url),
        b64=optional_at((*path, "b64"), output.b64),
        media_type=None if literal else optional_at((*path, "media_type"), output.media_type),
        literal_media_type=literal,
        template=template_at((*path, "template"), output.template, known, source) if output.template else None,
        body=output.body,
        role=output.role,
        optional=output.optional,
    )


def _rules(path: Path, rules: tuple[spec.Rule, ...]) -> tuple[CompiledRule, ...]:
    return tuple(compile_rule((*path, index), rule) for index, rule in enumerate(rules))


def compile_rule(path: Path, rule: spec.Rule) -> CompiledRule:
    """One rule; a terminal one must not be satisfied by an empty answer."""
    when = optional_at((*path, "when"), rule.when)
    if when is not None and rule.verdict in spec.TERMINAL and (field := unguarded_inequality(when)):
        raise FieldError(
            (*path, "when"),
            f"!= is true of a missing {field}, so an empty answer would be {rule.verdict}; write {field} && ... first",
        )
    headers = tuple((name.lower(), value) for name, value in rule.header.items())
    return CompiledRule(rule.http, headers, when, rule.verdict, rule.reason)


def template_at(path: Path, text: str, known: set[str], source: spec.ProviderSpec) -> Template:
    """One template whose variables are known."""
    try:
        template = compile_template(text)
    except TemplateError as error:
        raise FieldError(path, str(error)) from error
    for name in template.variables:
        if name not in known:
            raise FieldError(
                path, f"{{{name}}} is not known here; add it to ref or vars, or use {', '.join(sorted(known))}"
            )
    if template.address_from and not source.allow_hosts:
        raise FieldError(
            path, f"{{{template.address_from}}} is a whole address; list the hosts it may name in allow_hosts"
        )
    return template


def _expression(path: Path, text: str) -> Expression:
    try:
        return compile_expression(text)
    except ExpressionError as error:
        raise FieldError(path, str(error)) from error


def optional_at(path: Path, text: str | None) -> Expression | None:
    """One expression, when there is one."""
    return None if text is None else _expression(path, text)


def compile_webhook(webhook: spec.Webhook | None, environ: Mapping[str, str]) -> CompiledWebhook | None:
    """The webhook, when there is one."""
    if webhook is None:
        return None
    here = ("webhook", "verify")
    keys: tuple[bytes, ...] = ()
    missing: list[str] = []
    message: SignedMessage | None = None
    match webhook.verify:
        case spec.StandardWebhooksVerify(secret=text):
            keys, missing = _webhook_keys(text, environ, standard_key)
        case spec.HmacVerify(secret=text) as verify:
            keys, missing = _webhook_keys(text, environ, str.encode)
            message = _message(verify)
        case spec.FalVerify(jwks=address) | spec.JwtJwksVerify(jwks=address):
            _check_address((*here, "jwks"), address, "https://api.example.com/.well-known/jwks.json")
        case spec.NoVerify():
            pass
    return CompiledWebhook(
        task_id=_expression(("webhook", "task_id"), webhook.task_id),
        event=optional_at(("webhook", "event"), webhook.event),
        challenge=optional_at(("webhook", "challenge"), webhook.challenge),
        verify=webhook.verify,
        keys=keys,
        message=message,
        missing_secrets=tuple(missing),
    )


def _webhook_keys(
    text: str, environ: Mapping[str, str], key_of: Callable[[str], bytes]
) -> tuple[tuple[bytes, ...], list[str]]:
    path = ("webhook", "verify", "secret")
    setting, missing = _fill_secret(path, text, environ)
    if missing:
        return (), missing
    names = ", ".join(_VARIABLE.findall(text))
    try:
        keys = tuple(key_of(secret) for secret in secrets_of(setting.get_secret_value()))
    except ValueError as error:
        raise FieldError(path, f"{names}: {error}") from None
    if not keys:
        raise FieldError(path, f"{names} holds no secret; copy it again")
    return keys, []


def _message(verify: spec.HmacVerify) -> SignedMessage:
    try:
        message = compile_message(verify.message)
    except ValueError as error:
        raise FieldError(("webhook", "verify", "message"), str(error)) from None
    if verify.timestamp is not None and f"header:{verify.timestamp.lower()}" not in message.places:
        problem = f"the message must hold {{header:{verify.timestamp}}}, or anybody could change the moment"
        raise FieldError(("webhook", "verify", "timestamp"), problem)
    return message
