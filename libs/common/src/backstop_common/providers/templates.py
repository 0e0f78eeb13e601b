"""Address templates such as `{base_url}/predictions/{id}`.

`{x}` percent-encodes everything but unreserved characters, so that an id can never leave its place in the path;
`{x:path}` keeps the slashes. Empty values and the segments `.` and `..` are refused, because servers and proxies
resolve them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

_PLACE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(:path)?\}")
_MAX_VALUE = 2048


class TemplateError(ValueError):
    """The template is malformed, or a value must not be put into it."""


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template. `address_from` names the variable that is a whole address (`{polling_url}`), if any."""

    text: str
    variables: tuple[str, ...]
    address_from: str | None

    def fill(self, base_url: str, values: Mapping[str, str]) -> str:
        """The address.

        Raises:
            TemplateError: a value is empty, too long, or would change the path.
        """

        def value_of(match: re.Match[str]) -> str:
            name, keeps_slashes = match[1], match[2] is not None
            if name == "base_url":
                return base_url
            if name == self.address_from:
                return values[name]
            return _encode(name, values[name], keeps_slashes=keeps_slashes)

        return _PLACE.sub(value_of, self.text)


def compile_template(text: str) -> Template:
    """Compile one template.

    Raises:
        TemplateError: a brace is left over, or it begins with neither `{base_url}`, a variable nor http(s)://.
    """
    names = tuple(match[1] for match in _PLACE.finditer(text))
    rest = _PLACE.sub("", text)
    if "{" in rest or "}" in rest:
        raise TemplateError(f"{text!r} has a brace that is no variable; write {{name}} or {{name:path}}")
    first = _PLACE.match(text)
    if first is None and not text.startswith(("https://", "http://")):
        raise TemplateError(f"{text!r} is not an address; begin it with {{base_url}}")
    address_from = first[1] if first is not None and first[1] != "base_url" else None
    if address_from is not None and first is not None and first[0] != text:
        raise TemplateError(f"{text!r} must be {{{address_from}}} alone, because it begins with a whole address")
    return Template(text, tuple(dict.fromkeys(names)), address_from)


def _encode(name: str, value: str, *, keeps_slashes: bool) -> str:
    segments = value.split("/") if keeps_slashes else [value]
    if len(value) > _MAX_VALUE or any(segment in {"", ".", ".."} for segment in segments):
        raise TemplateError(f"{name} cannot be put into an address")
    try:
        return "/".join(quote(segment, safe="") for segment in segments)
    except UnicodeEncodeError:
        raise TemplateError(f"{name} is not text") from None
