"""A mail to a user as content: what it says, before anybody decides how it looks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from backstop_notifier.domain.wording import one_line


class Tone(StrEnum):
    """Good news or bad news."""

    SUCCESS = "success"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Branding:
    """Who writes, and where its users look."""

    name: str
    library_url: str
    support_email: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A link with its words."""

    label: str
    url: str


@dataclass(frozen=True, slots=True)
class Picture:
    """An image of the result, leading to the result."""

    src: str
    url: str
    alt: str


@dataclass(frozen=True, slots=True)
class Letter:
    """All parts of a mail, in reading order. Empty parts are not shown."""

    subject: str
    preheader: str
    tone: Tone
    badge: str
    title: str
    greeting: str
    lead: str
    support: str
    brand: Branding
    picture: Picture | None = None
    links_title: str = ""
    links: tuple[Link, ...] = ()
    quote_title: str = ""
    quote: str = ""
    note: str = ""
    steps_title: str = ""
    steps: tuple[str, ...] = ()
    button: Link | None = None
    tips: tuple[str, ...] = ()


def greeting_of(name: str | None) -> str:
    """`Hi Ada,`; a name that is missing or no name leaves it at `Hi there,`."""
    shown = one_line(name or "")[:60].strip()
    return f"Hi {shown}," if shown else "Hi there,"


def support_of(brand: Branding) -> str:
    """Where to get help."""
    if brand.support_email:
        return f"Need a hand? Write to us at {brand.support_email}, or simply reply to this email."
    return f"Need a hand? Contact {brand.name} support from your account."


def safe_url(url: str | None) -> str | None:
    """The address when it is an http(s) one; a mail never carries another scheme."""
    if url is None:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    plain = url.isprintable() and not any(character in url for character in ' "<>\\')
    return url if plain and parts.scheme in {"http", "https"} and parts.hostname else None
