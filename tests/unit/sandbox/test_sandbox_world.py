"""The sandbox's stores: what is counted, what is kept on disk, what a torn file does."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backstop_sandbox import SettingError
from backstop_sandbox.chat.room import ChatRoom, Vendor
from backstop_sandbox.keeper import MAILS, WORLD, Keeper
from backstop_sandbox.mailbox import Mailbox
from backstop_sandbox.script import Behaviour, Provider, Script
from backstop_sandbox.stages import Trouble
from backstop_sandbox.world import Outage, World

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
RAW = (
    b"From: Viecom <noreply@viecom.example>\r\nTo: ada@example.com\r\nSubject: =?utf-8?q?Your_caf=C3=A9?=\r\n"
    b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\ncaf\xe9\r\n"
)


def world() -> World:
    return World(lambda: NOW)


def mailbox() -> Mailbox:
    return Mailbox(lambda: NOW)


def keeper(folder: Path) -> Keeper:
    return Keeper(folder, world(), mailbox(), ChatRoom(lambda: NOW))


async def saved(kept: Keeper) -> None:
    saving = asyncio.create_task(kept.run())
    kept.close()
    await saving


def test_registering_the_same_script_again_keeps_its_counts() -> None:
    here = world()
    here.register(Script(Provider.KIE, "abc"))
    here.poll(Provider.KIE, "abc", "http://x")
    here.register(Script(Provider.KIE, "abc"))
    assert here.by_key["kie-abc"].polls == 1


def test_registering_another_script_for_an_id_starts_afresh() -> None:
    here = world()
    here.register(Script(Provider.KIE, "abc", behaviour=Behaviour.PROCESSING))
    here.poll(Provider.KIE, "abc", "http://x")
    here.register(Script(Provider.KIE, "abc"))
    assert here.by_key["kie-abc"].polls == 0


def test_one_id_at_two_providers_is_two_generations() -> None:
    here = world()
    here.register(Script(Provider.KIE, "abc"))
    here.register(Script(Provider.FAL, "abc", app="a/b"))
    assert set(here.by_key) == {"kie-abc", "fal-abc"}


def test_an_outage_ends_after_its_times() -> None:
    here = world()
    here.outages[Provider.FAL] = Outage(Trouble(503), times=2)
    assert [here.trouble_of(Provider.FAL) is not None for _ in range(3)] == [True, True, False]


def test_a_mail_is_parsed_with_its_own_character_sets() -> None:
    mail = mailbox().receive(RAW, "noreply@viecom.example", ["ada@example.com"])
    assert (mail.subject, mail.text, mail.html, mail.raw) == ("Your café", "café\r\n", None, RAW)


@pytest.mark.parametrize(
    "raw", [b"", b"no headers at all", b"Content-Type: text/plain; charset=odd\r\n\r\nx", b"\xff\x00"]
)
def test_a_message_that_is_hardly_mail_is_kept_all_the_same(raw: bytes) -> None:
    assert mailbox().receive(raw, "", ["ada@example.com"]).raw == raw


def test_refused_and_deferred_recipients_are_told_apart() -> None:
    box = mailbox()
    box.refused, box.deferred = {"bob@example.com"}, {"ada@example.com": 1}
    assert str(box.recipient_answer("Bob@example.com")).startswith("550")
    assert str(box.recipient_answer("ada@example.com")).startswith("451")
    assert box.recipient_answer("ada@example.com") is None


async def test_a_restart_goes_on_with_the_same_data(tmp_path: Path) -> None:
    first = keeper(tmp_path)
    first.open()
    first.world.register(Script(Provider.FAL, "abc", app="a/b"))
    first.world.register(Script(Provider.KIE, "abc", behaviour=Behaviour.FLAKY))
    first.world.poll(Provider.KIE, "abc", "http://x")
    first.mailbox.receive(RAW, "noreply@viecom.example", ["ada@example.com"])
    first.chats.post(Vendor.SLACK, "ops", {"text": "x"})
    await saved(first)

    second = keeper(tmp_path)
    second.open()
    assert second.world.by_key == first.world.by_key
    assert second.mailbox.mails == first.mailbox.mails
    assert second.chats.messages == first.chats.messages


def test_a_mail_cut_short_by_a_kill_is_left_out_and_the_next_one_is_whole(tmp_path: Path) -> None:
    first = keeper(tmp_path)
    first.open()
    first.mailbox.receive(RAW, "", ["ada@example.com"])
    with (tmp_path / MAILS).open("a") as file:
        file.write('{"received_at": "2026-')
    second = keeper(tmp_path)
    second.open()
    second.mailbox.receive(RAW, "", ["bob@example.com"])
    third = keeper(tmp_path)
    third.open()
    assert [mail.envelope_to for mail in third.mailbox.mails] == [("ada@example.com",), ("bob@example.com",)]


@pytest.mark.parametrize("content", ["not json", "[7]", '[{"script": 1}]', '[{"script": {"provider": "luma"}}]'])
def test_a_state_folder_with_something_else_in_it_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / WORLD).write_text(content)
    with pytest.raises(SettingError, match=r"^SANDBOX_STATE_DIR"):
        keeper(tmp_path).open()
