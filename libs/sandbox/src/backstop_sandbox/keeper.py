"""Keep the world in a folder, so that a restart goes on with the same data.

Mails and chat messages are appended as they arrive; the generations with their counters are written whole, at most once
a second and on stop, so a killed sandbox forgets at most the last second of counting. Switches are not kept.
A folder that cannot be read raises `SettingError`; a failing save is logged and tried again with the next change.
"""

import asyncio
import json
import logging
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from backstop_sandbox.chat.room import ChatMessage, ChatRoom, Vendor
from backstop_sandbox.mailbox import Mail, Mailbox, parse_mail
from backstop_sandbox.settings import SettingError
from backstop_sandbox.world import World

WORLD = "generations.json"
MAILS = "mails.ndjson"
CHATS = "chats.ndjson"
PAUSE_SECONDS = 1.0

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Keeper:
    """Loads the three stores and hooks itself to their changes."""

    folder: Path
    world: World
    mailbox: Mailbox
    chats: ChatRoom
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _closing: asyncio.Event = field(default_factory=asyncio.Event)

    def open(self) -> None:
        """Read what an earlier sandbox left.

        Raises:
            SettingError: the folder cannot be used or holds something else.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._load()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SettingError(
                f"SANDBOX_STATE_DIR {str(self.folder)!r} cannot be used ({error}): name a writable folder, or empty it."
            ) from error
        self.world.on_change = self._changed.set
        self.mailbox.on_mail = lambda mail: self._append(MAILS, _mail_row(mail))
        self.chats.on_message = lambda message: self._append(CHATS, message.as_json())

    def clear(self) -> None:
        for name in (MAILS, CHATS):
            (self.folder / name).unlink(missing_ok=True)

    async def run(self) -> None:
        """Save after changes until `close` is called, and once more then."""
        while not self._closing.is_set():
            await self._changed.wait()
            self._changed.clear()
            await self._save()
            try:
                await asyncio.wait_for(self._closing.wait(), PAUSE_SECONDS)
            except TimeoutError:
                continue
        await self._save()

    def close(self) -> None:
        self._closing.set()
        self._changed.set()

    async def _save(self) -> None:
        try:
            await asyncio.to_thread(self._write, self.world.dump())
        except OSError:
            logger.exception("the sandbox could not save its generations in %s", self.folder)

    def _write(self, rows: list[dict[str, Any]]) -> None:
        fresh = self.folder / f"{WORLD}.new"
        fresh.write_text(json.dumps(rows))
        fresh.replace(self.folder / WORLD)

    def _append(self, name: str, row: dict[str, Any]) -> None:
        with (self.folder / name).open("a") as file:
            file.write(json.dumps(row) + "\n")

    def _load(self) -> None:
        world = self.folder / WORLD
        if world.exists():
            self.world.load(json.loads(world.read_text()))
        for number, row in enumerate(_rows(self.folder / MAILS), start=1):
            self.mailbox.mails.append(_mail(row, number))
        for number, row in enumerate(_rows(self.folder / CHATS), start=1):
            self.chats.messages.append(_chat(row, number))


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a journal; a last line that a kill cut short is cut off, so that the next one stands alone."""
    if not path.exists():
        return
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole)
    for line in whole.splitlines():
        yield json.loads(line)


def _mail_row(mail: Mail) -> dict[str, Any]:
    return {
        "received_at": mail.received_at.isoformat(),
        "from": mail.envelope_from,
        "to": list(mail.envelope_to),
        "raw": b64encode(mail.raw).decode("ascii"),
    }


def _mail(row: dict[str, Any], number: int) -> Mail:
    received_at = datetime.fromisoformat(row["received_at"])
    return parse_mail(b64decode(row["raw"]), number, received_at, row["from"], row["to"])


def _chat(row: dict[str, Any], number: int) -> ChatMessage:
    received_at = datetime.fromisoformat(row["received_at"])
    return ChatMessage(number, Vendor(row["vendor"]), row["channel"], received_at, row["body"])
