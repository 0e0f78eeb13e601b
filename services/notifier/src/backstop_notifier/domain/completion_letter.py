"""The mail that tells a user that a video or an image is ready."""

from __future__ import annotations

from backstop_notifier.domain.facts import AssetFact, CompletedFacts
from backstop_notifier.domain.letter import (
    Branding,
    Letter,
    Link,
    Picture,
    Tone,
    greeting_of,
    safe_url,
    support_of,
)
from backstop_notifier.domain.wording import count_of

_BADGES = {"video": "🎬", "image": "🖼️"}
_BUTTON = "View in Assets Library"
_MOST_LINKS = 10
_TIPS = {
    "video": (
        "Download the file if you want to keep a copy or edit it elsewhere.",
        "Like the result? Use the same prompt again for variations.",
    ),
    "image": (
        "Download the original for the full resolution.",
        "Like the result? Use the same prompt again for variations.",
    ),
}


def completion_letter(facts: CompletedFacts, brand: Branding) -> Letter:
    """The mail for a completed task. Outputs without a public address are found through the library only."""
    noun = facts.media
    primary = [asset for asset in facts.assets if asset.role == "primary"]
    many = len(primary) > 1
    result = f"{noun}s" if many else noun
    is_are = "are" if many else "is"
    return Letter(
        subject=f"{_BADGES[noun]} Your AI {noun.capitalize()} is Ready!",
        preheader=f"Your {result} {is_are} finished and waiting in your Assets library.",
        tone=Tone.SUCCESS,
        badge=_BADGES[noun],
        title=f"Your AI {noun.capitalize()} is Ready!",
        greeting=greeting_of(facts.name),
        lead=_lead(facts, result, len(primary)),
        picture=_picture(facts.assets, noun),
        links_title="Direct links" if many else "Direct link",
        links=_links(primary, noun),
        note=f"{count_of(facts.credits_charged, 'credit')} used." if facts.credits_charged else "",
        steps_title="How to find it any time",
        steps=(
            f"Sign in to {brand.name}.",
            "Open the Assets page from the menu.",
            f"Your new {result} {is_are} there, ready to view, share or download.",
        ),
        button=Link(_BUTTON, brand.library_url),
        tips=_TIPS[noun],
        support=support_of(brand),
        brand=brand,
    )


def _lead(facts: CompletedFacts, result: str, count: int) -> str:
    if count > 1:
        return f"Great news! All {count} {result} of your AI generation are finished and safely stored in your library."
    return f"Great news! Your AI {facts.media} has been generated successfully and is safely stored in your library."


def _links(primary: list[AssetFact], noun: str) -> tuple[Link, ...]:
    urls = [url for asset in primary[:_MOST_LINKS] if (url := safe_url(asset.url))]
    if len(urls) == 1:
        return (Link(f"Open your {noun}", urls[0]),)
    return tuple(Link(f"Open {noun} {number}", url) for number, url in enumerate(urls, start=1))


def _picture(assets: tuple[AssetFact, ...], noun: str) -> Picture | None:
    """A thumbnail the provider made, or the one image itself."""
    primary = [asset for asset in assets if asset.role == "primary"]
    if len(primary) != 1 or (target := safe_url(primary[0].url)) is None:
        return None
    shown = next((asset for asset in assets if asset.role == "thumbnail"), primary[0])
    source = safe_url(shown.url)
    if source is None or not shown.content_type.startswith("image/"):
        return None
    return Picture(source, target, f"Preview of your {noun}")
