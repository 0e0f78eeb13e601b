"""Recorded answers of providers and the verdict each must give: the material of the conformance kit.

One YAML file per built-in provider in `conformance/`, and `generic.yaml` with the troubles that every provider can
have. They are package data, so that people can hold their own specifications to them. A broken file raises
`ConfigurationError`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from backstop_common.errors import ConfigurationError
from backstop_common.providers.documents import parse_document
from backstop_common.providers.specification import Part

GENERIC = "generic"
VerdictName = Literal["queued", "processing", "succeeded", "failed", "cancelled", "expired", "not_found", "unknown"]


class RecordedAnswer(Part):
    """One answer: a JSON `body`, or `text` (repeated, to be huge), or `base64` for files."""

    status: int = 200
    headers: dict[str, str] = Field(default_factory=dict)
    body: Any = None
    text: str | None = None
    base64: str | None = None
    repeat: int = Field(default=1, ge=1)

    @property
    def content(self) -> bytes:
        """The body as it is sent."""
        if self.base64 is not None:
            return base64.b64decode(self.base64)
        return json.dumps(self.body).encode() if self.text is None else self.text.encode() * self.repeat

    @property
    def lowered_headers(self) -> dict[str, str]:
        """As the HTTP client hands them over."""
        return {name.lower(): value for name, value in self.headers.items()}


class Expectation(Part):
    """What must come out; what is not given is not compared.

    `outputs` counts what the user pays for, `others` the rest, `inline` those without an address. `{provider}` in
    `message` stands for the name of the provider that is told the case.
    """

    verdict: VerdictName
    reason: str | None = None
    message: str | None = None
    code: str | None = None
    outputs: int | None = None
    others: int | None = None
    urls: tuple[str, ...] | None = None
    inline: int | None = None
    warnings: int | None = None
    retry_after: float | None = None


class Case(Part):
    """A story of one poll: an answer per step, and the verdict. Without answers only the reference is judged.

    `each_step` cases of the generic file are told to every step of a provider. `hostile` ids must be refused, or stay
    where the address has its id.
    """

    name: str
    ref: dict[str, str] = Field(default_factory=dict)
    answers: tuple[RecordedAnswer, ...] = ()
    expect: Expectation | None = None
    each_step: bool = False
    hostile: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_answer(cls, value: Any) -> Any:
        if isinstance(value, dict) and "answer" in value:
            return {**{k: v for k, v in value.items() if k != "answer"}, "answers": [value["answer"]]}
        return value

    @model_validator(mode="after")
    def _expects_something(self) -> Case:
        if (self.expect is None) == (self.hostile is None):
            raise ValueError("a case needs either expect or hostile")
        return self


def load_cases(name: str) -> tuple[Case, ...]:
    """The cases of a built-in provider, or of `GENERIC`; none when nobody recorded any.

    Raises:
        ConfigurationError: the file is broken.
    """
    file = resources.files(__package__) / "conformance" / f"{name}.yaml"
    if not file.is_file():
        return ()
    document = parse_document(file.read_text(encoding="utf-8"), label=f"conformance/{file.name}")
    shared = _mapping(document.data.get("ref"))
    try:
        cases = tuple(Case.model_validate(entry) for entry in document.data.get("cases") or ())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ConfigurationError(f"conformance/{file.name}: {first['loc']}: {first['msg']}; correct it") from error
    return tuple(case.model_copy(update={"ref": {**shared, **case.ref}}) for case in cases)


def _mapping(value: object) -> Mapping[str, str]:
    return {str(key): str(item) for key, item in value.items()} if isinstance(value, dict) else {}
