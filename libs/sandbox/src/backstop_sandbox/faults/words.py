"""The words of all faults, and on which side of the world each may be turned on."""

from enum import StrEnum


class Side(StrEnum):
    """Who misbehaves: the provider's API, or the host of its files."""

    API = "api"
    FILE = "file"


class Fault(StrEnum):
    """One way to misbehave. The README says what each does."""

    STATUS_500 = "status_500"
    STATUS_502 = "status_502"
    STATUS_503 = "status_503"
    THROTTLED_SECONDS = "throttled_seconds"
    THROTTLED_DATE = "throttled_date"
    NO_CONTENT = "no_content"
    FLAPPING = "flapping"

    RESET_BEFORE = "reset_before"
    RESET_WITHIN = "reset_within"
    SLOW_HEADERS = "slow_headers"
    SLOW_BODY = "slow_body"
    CUT_SHORT = "cut_short"
    CHUNK_CUT = "chunk_cut"
    HUGE_LENGTH = "huge_length"
    ENDLESS = "endless"

    GZIP_BOMB = "gzip_bomb"
    GZIP_CUT = "gzip_cut"
    BROTLI_BOMB = "brotli_bomb"
    HUGE_HEADER = "huge_header"
    MANY_HEADERS = "many_headers"
    ODD_HEADER = "odd_header"

    REDIRECT_LOOPBACK = "redirect_loopback"
    REDIRECT_METADATA = "redirect_metadata"
    REDIRECT_PRIVATE = "redirect_private"
    REDIRECT_MAPPED = "redirect_mapped"
    REDIRECT_FILE = "redirect_file"
    REDIRECT_USERINFO = "redirect_userinfo"
    REDIRECT_LOOP = "redirect_loop"
    REDIRECT_ELSEWHERE = "redirect_elsewhere"

    HTML = "html"
    XML = "xml"
    TEXT = "text"
    EMPTY = "empty"

    JSON = "json"
    SCRIPT = "script"
    POLYGLOT = "polyglot"
    WRONG_TYPE = "wrong_type"

    NULL = "null"
    INVALID_JSON = "invalid_json"
    WRONG_CHARSET = "wrong_charset"
    DEEP_JSON = "deep_json"
    WIDE_JSON = "wide_json"
    HUGE_NUMBERS = "huge_numbers"
    UNKNOWN_STATE = "unknown_state"


_FILE_ONLY = frozenset({Fault.JSON, Fault.SCRIPT, Fault.POLYGLOT, Fault.WRONG_TYPE})
_API_ONLY = frozenset(
    {
        Fault.NULL,
        Fault.INVALID_JSON,
        Fault.WRONG_CHARSET,
        Fault.DEEP_JSON,
        Fault.WIDE_JSON,
        Fault.HUGE_NUMBERS,
        Fault.UNKNOWN_STATE,
    }
)
FAULTS_OF = {Side.API: frozenset(Fault) - _FILE_ONLY, Side.FILE: frozenset(Fault) - _API_ONLY}
