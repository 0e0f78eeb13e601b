"""Mails as users read them, and the HTML as it was compiled."""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import replace
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Any
from uuid import UUID

import pytest

from backstop_common.errors import PermanentError
from backstop_notifier.adapters.mail_composing import MailComposer
from backstop_notifier.application.ports import ClaimedDelivery
from backstop_notifier.domain.completion_letter import completion_letter
from backstop_notifier.domain.delivery import Kind
from backstop_notifier.domain.facts import AssetFact, CompletedFacts, FailedFacts
from backstop_notifier.domain.failure_letter import failure_letter
from backstop_notifier.domain.letter import Branding, greeting_of, safe_url
from backstop_notifier.domain.letter_text import letter_text
from tests.support.mail_templates import FOLDER, compiled_letter

BRAND = Branding("Viecom", "https://www.viecom.pro/assets", "support@viecom.pro")
COMPOSER = MailComposer(BRAND, Address("Viecom", "no-reply", "viecom.pro"))
VIDEO = AssetFact("primary", "video/mp4", "https://cdn.viecom.pro/a.mp4")
COMPLETED = CompletedFacts("Ada Lovelace", "video", (VIDEO,), 12)
FAILED = FailedFacts("Ada Lovelace", "video", "failed", "NSFW content detected", 12)
ID = UUID("3f0c6a52-8c1e-4a8e-9f3b-0d2f6f7b1c11")


def delivery(facts: CompletedFacts | FailedFacts = COMPLETED, **changes: Any) -> ClaimedDelivery:
    kind = Kind.TASK_COMPLETED if isinstance(facts, CompletedFacts) else Kind.TASK_FAILED
    made = ClaimedDelivery(ID, kind, "ada@example.com", facts.as_payload(), 1, datetime(2026, 11, 23, tzinfo=UTC))
    return replace(made, **changes)


def composed(facts: CompletedFacts | FailedFacts = COMPLETED, **changes: Any) -> EmailMessage:
    return email.message_from_bytes(COMPOSER.compose(delivery(facts, **changes)).content, policy=email.policy.default)


def test_the_committed_html_is_what_the_mjml_compiles_to() -> None:
    assert (FOLDER / "letter.html").read_text(encoding="utf-8") == compiled_letter()


def test_the_mail_loads_nothing_from_anywhere_but_its_assets() -> None:
    html = COMPOSER.html(completion_letter(COMPLETED, BRAND))
    loaded = re.findall(r"(?:src|@import|url)\W+(https?://[^\"')\s]+)", html)
    assert loaded == []


@pytest.mark.parametrize(
    ("media", "subject"), [("video", "🎬 Your AI Video is Ready!"), ("image", "🖼️ Your AI Image is Ready!")]
)
def test_subjects_are_those_of_the_seed(media: str, subject: str) -> None:
    assert completion_letter(replace(COMPLETED, media=media), BRAND).subject == subject


def test_the_completion_mail_has_all_its_parts() -> None:
    text = letter_text(completion_letter(COMPLETED, BRAND))
    for part in (
        "Hi Ada Lovelace,",
        "generated successfully",
        "Direct link:\nOpen your video:\nhttps://cdn.viecom.pro/a.mp4",
        "Open the Assets page",
        "View in Assets Library:\nhttps://www.viecom.pro/assets",
        "Tips:",
        "support@viecom.pro",
    ):
        assert part in text


def test_an_asset_without_an_address_is_found_through_the_library_only() -> None:
    letter = completion_letter(replace(COMPLETED, assets=(replace(VIDEO, url=None),)), BRAND)
    assert letter.links == ()
    assert letter.button is not None
    assert "Direct link" not in COMPOSER.html(letter)


def test_several_outputs_have_a_link_each() -> None:
    assets = tuple(AssetFact("primary", "image/png", f"https://cdn.viecom.pro/{number}.png") for number in range(4))
    letter = completion_letter(CompletedFacts(None, "image", assets, 0), BRAND)
    assert [link.label for link in letter.links] == ["Open image 1", "Open image 2", "Open image 3", "Open image 4"]
    assert letter.picture is None


def test_one_image_shows_itself_and_a_video_its_thumbnail() -> None:
    image = AssetFact("primary", "image/png", "https://cdn.viecom.pro/a.png")
    thumbnail = AssetFact("thumbnail", "image/jpeg", "https://cdn.viecom.pro/t.jpg")
    of_image = completion_letter(CompletedFacts(None, "image", (image,), 0), BRAND).picture
    of_video = completion_letter(CompletedFacts(None, "video", (VIDEO, thumbnail), 0), BRAND).picture
    assert of_image is not None
    assert of_video is not None
    assert (of_image.src, of_video.src, of_video.url) == (image.url, thumbnail.url, VIDEO.url)


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "//cdn/x", "https://", "https://a b/", 'https://x/"y', None]
)
def test_only_web_addresses_become_links(url: str | None) -> None:
    assert safe_url(url) is None


def test_markup_in_names_and_messages_is_text() -> None:
    html = COMPOSER.html(failure_letter(replace(FAILED, name="<img src=x>", message="<script>1</script>"), BRAND))
    assert "<script>" not in html
    assert "<img src=x>" not in html


@pytest.mark.parametrize("outcome", ["failed", "cancelled", "expired", "asset_lost", "timed_out"])
def test_every_end_of_a_task_has_its_words(outcome: str) -> None:
    text = letter_text(failure_letter(replace(FAILED, outcome=outcome), BRAND))
    assert "> NSFW content detected" in text
    assert "Your 12 credits are back in your account." in text


def test_a_lost_file_is_told_as_what_it_is() -> None:
    letter = failure_letter(replace(FAILED, outcome="asset_lost", message="output 0: 404 (3 checks)"), BRAND)
    text = letter_text(letter)
    assert letter.subject == letter.title == "Your AI video could not be saved"
    assert "your AI video was generated, but its file is missing there" in " ".join(text.split())
    assert "What we found:\n> output 0: 404 (3 checks)" in text
    assert "the service said" not in text
    assert "change the prompt" not in text


def test_nothing_returned_is_not_called_a_refund() -> None:
    letter = failure_letter(replace(FAILED, credits_returned=0), BRAND)
    assert letter.note == "You were not charged for this generation."


def test_a_missing_name_is_greeted_too() -> None:
    assert greeting_of(None) == greeting_of(" \n ") == "Hi there,"


def test_the_message_id_depends_on_the_delivery_only() -> None:
    first, second = composed(), composed(attempt_count=7)
    assert first["Message-ID"] == second["Message-ID"] == f"<{ID}@viecom.pro>"
    assert first["Reply-To"] == "support@viecom.pro"
    assert first["Auto-Submitted"] == "auto-generated"
    assert first["Date"]


def test_a_name_cannot_add_headers() -> None:
    mail = composed(replace(COMPLETED, name='Eve"\r\nBcc: all@example.com <x@y>'))
    assert mail["Bcc"] is None
    assert [str(address.addr_spec) for address in mail["To"].addresses] == ["ada@example.com"]


@pytest.mark.parametrize("recipient", [None, "", "ada", "ada@", "@example.com", "a@b.c\r\nRCPT TO:<x@y.z>", "a b@c.d"])
def test_a_malformed_address_is_refused_for_good(recipient: str | None) -> None:
    with pytest.raises(PermanentError):
        COMPOSER.compose(delivery(recipient=recipient))


def test_a_payload_that_lacks_a_field_is_refused_for_good() -> None:
    with pytest.raises(PermanentError):
        COMPOSER.compose(delivery(payload={"name": "Ada"}))


def test_a_domain_beyond_ascii_is_written_in_ascii() -> None:
    assert COMPOSER.compose(delivery(recipient="ada@bücher.example")).recipient == "ada@xn--bcher-kva.example"


def test_the_content_is_ascii_on_the_wire() -> None:
    assert COMPOSER.compose(delivery(replace(COMPLETED, name="Łukasz 🎈"))).content.isascii()
