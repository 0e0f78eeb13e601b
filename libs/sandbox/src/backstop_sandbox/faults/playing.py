"""From a fault's word to the answer that shows it."""

from datetime import datetime, timedelta
from email.utils import format_datetime

from starlette.responses import PlainTextResponse, Response

from backstop_sandbox.faults.answers import answer_of
from backstop_sandbox.faults.connections import Connections, RawAnswer
from backstop_sandbox.faults.contents import content_of
from backstop_sandbox.faults.encodings import encoded_of
from backstop_sandbox.faults.redirects import location_of
from backstop_sandbox.faults.transport import Sent, play_of
from backstop_sandbox.faults.words import Fault

STATUS = {Fault.STATUS_500: 500, Fault.STATUS_502: 502, Fault.STATUS_503: 503}
RETRY_AFTER_SECONDS = 2


def faulty(
    fault: Fault, sent: Sent, *, connections: Connections, origin: str, path: str, turn: int, now: datetime
) -> Response | None:
    """The answer in place of `sent`; None when this turn passes unharmed.

    Args:
        origin, path: the address as the caller used it.
        turn: the how-manieth request for this thing it is, from 1.
    """
    play = play_of(fault, sent)
    if play is not None:
        return RawAnswer(connections, play)
    location = location_of(fault, origin, path)
    if location is not None:
        return Response(status_code=302, headers={"Location": location})
    return (
        _by_status(fault, turn, now)
        or _by_headers(fault, sent)
        or encoded_of(fault, sent.body, sent.media_type)
        or content_of(fault, sent.body, sent.media_type)
        or answer_of(fault, sent.body)
    )


def _by_status(fault: Fault, turn: int, now: datetime) -> Response | None:
    match fault:
        case Fault.STATUS_500 | Fault.STATUS_502 | Fault.STATUS_503:
            return PlainTextResponse(f"{STATUS[fault]}: the sandbox was told to\n", STATUS[fault])
        case Fault.THROTTLED_SECONDS:
            return _throttled(str(RETRY_AFTER_SECONDS))
        case Fault.THROTTLED_DATE:
            return _throttled(format_datetime(now + timedelta(seconds=RETRY_AFTER_SECONDS), usegmt=True))
        case Fault.NO_CONTENT:
            return Response(status_code=204)
        case Fault.FLAPPING if turn % 2:
            return PlainTextResponse("404: not now\n", 404)
        case _:
            return None


def _throttled(retry_after: str) -> Response:
    return PlainTextResponse("429: slow down\n", 429, {"Retry-After": retry_after})


def _by_headers(fault: Fault, sent: Sent) -> Response | None:
    """The honest answer under headers that are too large, or too many."""
    honest = {"Content-Type": sent.media_type}
    match fault:
        case Fault.HUGE_HEADER:
            return Response(sent.body, headers=honest | {"X-Huge": "h" * 65536})
        case Fault.MANY_HEADERS:
            return Response(sent.body, headers=honest | {f"X-Many-{number}": "m" for number in range(1000)})
        case _:
            return None
