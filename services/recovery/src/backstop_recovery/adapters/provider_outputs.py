"""The files of a successful answer: addresses, inline base64, `data:` addresses, or the body itself.

What cannot be used (no address, broken base64, too many files) becomes a warning, not an exception. A success without a
primary output is for the caller to judge: it is never charged.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote_to_bytes

from backstop_common.providers.compiled import CompiledOutput
from backstop_common.providers.expressions import Expression
from backstop_common.providers.templates import TemplateError
from backstop_recovery.adapters.media import HEAD_BYTES, sniff
from backstop_recovery.domain.verdict import Output, OutputRole

_MOST_OUTPUTS = 100


def outputs_of(
    specified: Iterable[CompiledOutput],
    *,
    document: dict[str, Any] | None,
    body: bytes,
    media_type: str | None,
    base_url: str,
    variables: Mapping[str, str],
) -> tuple[tuple[Output, ...], tuple[str, ...]]:
    """The outputs, numbered from 0 in the order of the specification, and what could not be used."""
    outputs: list[Output] = []
    warnings: list[str] = []
    for spec in specified:
        plain = Output(index=0, role=OutputRole(spec.role), optional=spec.optional, media_type=spec.literal_media_type)
        if spec.body:
            if sniff(body[:HEAD_BYTES]) is not None:
                outputs.append(replace(plain, content=body, media_type=media_type))
        elif spec.template is not None:
            try:
                outputs.append(replace(plain, url=spec.template.fill(base_url, variables)))
            except (TemplateError, KeyError):
                warnings.append("the address of an output cannot be formed")
        else:
            for item in _items(spec.each, document):
                output = _from_item(spec, plain, item)
                if output is None:
                    warnings.append(f"an output ({spec.role}) has neither a usable address nor content")
                else:
                    outputs.append(output)
    if len(outputs) > _MOST_OUTPUTS:
        warnings.append(f"{len(outputs)} outputs, of which the first {_MOST_OUTPUTS} are taken")
    numbered = tuple(replace(output, index=index) for index, output in enumerate(outputs[:_MOST_OUTPUTS]))
    return numbered, tuple(warnings)


def _items(each: Expression | None, document: dict[str, Any] | None) -> list[Any]:
    value = each(document) if each is not None else None
    items = value if isinstance(value, list) else [value]
    return [item for item in items if item not in (None, "", {}, [])]


def _from_item(spec: CompiledOutput, plain: Output, item: Any) -> Output | None:
    if spec.media_type is not None:
        declared = spec.media_type(item)
        plain = replace(plain, media_type=declared if isinstance(declared, str) else None)
    address = spec.url(item) if spec.url is not None else None
    if isinstance(address, str) and address:
        return _from_address(plain, address.strip())
    encoded = spec.b64(item) if spec.b64 is not None else None
    content = _decoded(encoded) if isinstance(encoded, str) else None
    return replace(plain, content=content) if content else None


def _from_address(plain: Output, address: str) -> Output | None:
    scheme = address[:8].lower()
    if scheme.startswith(("http://", "https://")):
        return replace(plain, url=address)
    if not scheme.startswith("data:"):
        return None
    header, comma, data = address[5:].partition(",")
    declared, *options = header.split(";")
    content = _decoded(data) if "base64" in options else unquote_to_bytes(data)
    if not comma or not content:
        return None
    return replace(plain, content=content, media_type=declared or plain.media_type)


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
