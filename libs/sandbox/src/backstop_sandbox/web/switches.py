"""Parse the troubles that the control API turns on. Pure; a wrong body raises `SwitchError` naming the field."""

from dataclasses import dataclass
from typing import Any

from backstop_sandbox.chat.room import Refusal, Vendor
from backstop_sandbox.faults.words import Side
from backstop_sandbox.script import fault_word
from backstop_sandbox.stages import Trouble
from backstop_sandbox.world import Outage, WorldFault

LOWEST_ERROR = 400
HIGHEST_ERROR = 599


class SwitchError(ValueError):
    """A switch that cannot be set; the text names the field."""


@dataclass(frozen=True, slots=True)
class MailSwitches:
    """Recipients to refuse (550), to put off (451, for so many times or until lifted), and the host being away."""

    refused: set[str]
    deferred: dict[str, int | None]
    down: bool


def parse_mail_switches(raw: object) -> MailSwitches:
    body = _object(raw, {"refused", "deferred", "down"})
    refused, deferred, down = body.get("refused", []), body.get("deferred", {}), body.get("down", False)
    if not isinstance(refused, list) or not all(isinstance(one, str) for one in refused):
        raise SwitchError("refused: a list of addresses, '*' for everybody")
    if isinstance(deferred, list):
        deferred = dict.fromkeys(deferred)
    if not isinstance(deferred, dict) or not all(isinstance(one, str) for one in deferred):
        raise SwitchError("deferred: a list of addresses, or an object of address to number of times")
    if not isinstance(down, bool):
        raise SwitchError("down: true or false")
    times = {address.lower(): _times({"deferred": count}, "deferred") for address, count in deferred.items()}
    return MailSwitches({one.lower() for one in refused}, times, down)


def parse_outage(raw: object) -> Outage:
    body = _object(raw, {"status", "times", "retry_after_seconds"})
    return Outage(Trouble(_status(body), int(_seconds(body))), _times(body, "times"))


def parse_faults(raw: object) -> dict[Side, WorldFault]:
    """`{"api": word, "file": word, "times": number}`, each of them optional."""
    body = _object(raw, {"api", "file", "times"})
    times = _times(body, "times")
    return {side: _fault(body, side, times) for side in Side if body.get(side.value) is not None}


def _fault(body: dict[str, Any], side: Side, times: int | None) -> WorldFault:
    try:
        return WorldFault(fault_word(body[side.value], side), times)
    except ValueError as error:
        raise SwitchError(f"{side.value}: {error}") from error


def parse_refusals(raw: object) -> list[Refusal]:
    return [_refusal(one) for one in (raw if isinstance(raw, list) else [raw])]


def _refusal(raw: object) -> Refusal:
    body = _object(raw, {"vendor", "channel", "status", "times", "retry_after_seconds"})
    channel = body.get("channel")
    if body.get("vendor") not in list(Vendor):
        raise SwitchError(f"vendor: one of {', '.join(Vendor)}")
    if channel is not None and not isinstance(channel, str):
        raise SwitchError("channel: text, or absent for all channels")
    return Refusal(Vendor(body["vendor"]), _status(body), channel, _times(body, "times"), _seconds(body))


def _object(raw: object, names: set[str]) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise SwitchError("the body: a JSON object")
    unknown = sorted(set(raw) - names)
    if unknown:
        raise SwitchError(f"{unknown[0]}: no such field; known: {', '.join(sorted(names))}")
    return raw


def _status(body: dict[str, Any]) -> int:
    status = body.get("status", 503)
    if isinstance(status, bool) or not isinstance(status, int) or not LOWEST_ERROR <= status <= HIGHEST_ERROR:
        raise SwitchError(f"status: a number from {LOWEST_ERROR} to {HIGHEST_ERROR}")
    return status


def _times(body: dict[str, Any], name: str) -> int | None:
    times = body.get(name)
    if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 1):
        raise SwitchError(f"{name}: a number of times from 1, or null for always")
    return times


def _seconds(body: dict[str, Any]) -> float:
    seconds = body.get("retry_after_seconds", 1)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
        raise SwitchError("retry_after_seconds: a number from 0")
    return seconds
