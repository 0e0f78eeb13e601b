"""The mail that tells a user honestly that a generation failed, and that the credits are back."""

from __future__ import annotations

from backstop_notifier.domain.facts import FailedFacts
from backstop_notifier.domain.letter import Branding, Letter, Link, Tone, greeting_of, support_of
from backstop_notifier.domain.wording import clean, count_of, fit

_LONGEST_QUOTE = 600

_WHAT_HAPPENED = {
    "failed": "We are sorry: your AI {noun} could not be generated. The generation service stopped with an error.",
    "cancelled": "Your AI {noun} was cancelled at the generation service before it was finished.",
    "expired": (
        "We are sorry: your AI {noun} was generated, but the generation service removed the file"
        " before it could be saved for you."
    ),
    "asset_lost": (
        "We are sorry: the generation service says that your AI {noun} was generated, but its file is missing there."
        " We looked for it several times before we stopped."
    ),
    "timed_out": (
        "We are sorry: the generation service did not finish your AI {noun} in a reasonable time,"
        " so we stopped waiting."
    ),
}

_LOST_ADVICE = (
    "Try again: the generation itself had worked, only its file was lost.",
    "Lost again? Tell us, and we will look into it.",
)


def failure_letter(facts: FailedFacts, brand: Branding) -> Letter:
    """The mail for a task that ended without outputs."""
    noun = facts.media
    refund = _credits(facts.credits_returned)
    lost = facts.outcome == "asset_lost"
    title = f"Your AI {noun} could not be {'saved' if lost else 'generated'}"
    return Letter(
        subject=title,
        preheader=refund or "Here is what happened, and what you can do.",
        tone=Tone.FAILURE,
        badge="⚠️",
        title=title,
        greeting=greeting_of(facts.name),
        lead=_WHAT_HAPPENED[facts.outcome].format(noun=noun),
        quote_title="What we found" if lost else "What the service said",
        quote=fit(clean(facts.message).strip(), _LONGEST_QUOTE),
        note=refund,
        steps_title="What you can do",
        steps=_LOST_ADVICE if lost else _advice(noun),
        button=Link("Open Assets Library", brand.library_url),
        support=support_of(brand),
        brand=brand,
    )


def _credits(returned: int) -> str:
    if returned == 0:
        return "You were not charged for this generation."
    verb = "is" if returned == 1 else "are"
    return f"Your {count_of(returned, 'credit')} {verb} back in your account. You were not charged."


def _advice(noun: str) -> tuple[str, ...]:
    return (
        "Try again: many failures are temporary.",
        f"If it fails again, change the prompt or the settings of the {noun}.",
        "Still no luck? Tell us, and we will look into it.",
    )
