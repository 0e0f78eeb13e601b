"""Documented answers of Replicate, fal and KIE, and broken ones, with the verdict each must give."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop_common.providers.catalogue import load_catalogue
from backstop_recovery.adapters.provider_interpreter import NextStep, ProviderAnswer, interpret
from backstop_recovery.domain.verdict import (
    Cancelled,
    Expired,
    Failed,
    NotFound,
    OutputRole,
    StillRunning,
    Succeeded,
    Unknown,
    UnknownReason,
    Verdict,
)

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
CATALOGUE = load_catalogue(
    providers_file=None,
    environ={"REPLICATE_API_TOKEN": "r8_canary", "FAL_KEY": "fal_canary", "KIE_API_KEY": "kie_canary"},
)
STATUS, RESULT = 0, 1


def hear(
    name: str, body: Any, *, status: int = 200, step: int = STATUS, headers: dict[str, str] | None = None
) -> Verdict | NextStep:
    provider = CATALOGUE.get(name)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = ProviderAnswer(status, headers or {}, raw, {"id": "task-1"})
    return interpret(provider, provider.steps[step], answer, now=NOW)


def urls(verdict: Verdict | NextStep) -> list[str | None]:
    assert isinstance(verdict, Succeeded)
    return [output.url for output in verdict.outputs]


def kie(state: str, **fields: Any) -> dict[str, Any]:
    return {"code": 200, "msg": "success", "data": {"taskId": "task-1", "state": state, **fields}}


FILE = "https://files.example/a.mp4"


@pytest.mark.parametrize(
    ("name", "step", "body", "addresses"),
    [
        ("replicate", STATUS, {"status": "succeeded", "output": FILE}, [FILE]),
        ("replicate", STATUS, {"status": "succeeded", "output": [FILE, FILE + "?2"]}, [FILE, FILE + "?2"]),
        ("replicate", STATUS, {"status": "succeeded", "output": {"video": FILE, "text": "hello"}}, [FILE]),
        ("replicate", STATUS, {"status": "succeeded", "output": FILE, "data_removed": False}, [FILE]),
        ("fal", RESULT, {"video": {"url": FILE, "content_type": "video/mp4"}}, [FILE]),
        ("fal", RESULT, {"images": [{"url": FILE}, {"url": FILE + "?2"}], "seed": 1}, [FILE, FILE + "?2"]),
        ("kie", STATUS, kie("success", resultJson=json.dumps({"resultUrls": [FILE]})), [FILE]),
        ("kie", STATUS, kie("success", resultJson=json.dumps({"resultUrls": [FILE, FILE + "?2"]})),
         [FILE, FILE + "?2"]),
        ("kie_veo", STATUS, {"code": 200, "data": {"successFlag": 1, "response": {"resultUrls": [FILE]}}}, [FILE]),
    ],
)  # fmt: skip
def test_a_success_gives_its_files_in_order(name: str, step: int, body: Any, addresses: list[str]) -> None:
    assert urls(hear(name, body, step=step)) == addresses


def test_outputs_are_numbered_and_originals_are_not_primary() -> None:
    body = {"code": 200, "data": {"successFlag": 1, "response": {"resultUrls": [FILE], "originUrls": [FILE + "?o"]}}}
    verdict = hear("kie_veo", body)
    assert isinstance(verdict, Succeeded)
    assert [(output.index, output.role, output.optional) for output in verdict.outputs] == [
        (0, OutputRole.PRIMARY, False),
        (1, OutputRole.ORIGINAL, True),
    ]


def test_a_data_address_is_an_inline_file() -> None:
    verdict = hear("replicate", {"status": "succeeded", "output": "data:image/png;base64,iVBORw0KGgo="})
    assert isinstance(verdict, Succeeded)
    assert verdict.outputs[0].content == b"\x89PNG\r\n\x1a\n"
    assert verdict.outputs[0].media_type == "image/png"


@pytest.mark.parametrize(
    ("name", "step", "body"),
    [
        ("replicate", STATUS, {"status": "succeeded", "output": "a poem"}),
        ("replicate", STATUS, {"status": "succeeded", "output": "data:image/png;base64,%%%"}),
        ("fal", RESULT, {"text": "hello"}),
        ("fal", RESULT, {}),
        ("kie", STATUS, kie("success", resultJson='{"resultUrls": [')),
        ("kie", STATUS, kie("success", resultJson='{"resultObject": {}}')),
        ("kie", STATUS, kie("success")),
        ("kie", STATUS, kie("success", resultJson=json.dumps({"resultUrls": ["ftp://h/x", "", None, 7]}))),
    ],
)
def test_a_success_without_a_usable_file_has_no_primary_output(name: str, step: int, body: Any) -> None:
    verdict = hear(name, body, step=step)
    assert isinstance(verdict, Succeeded)
    assert not verdict.has_primary_output


@pytest.mark.parametrize(
    ("name", "step", "status", "body", "expected"),
    [
        ("replicate", STATUS, 200, {"status": "failed", "error": "NSFW content"}, Failed("NSFW content")),
        ("replicate", STATUS, 200, {"status": "failed", "error": None}, Failed("replicate gave no reason")),
        ("replicate", STATUS, 200, {"status": "canceled"}, Cancelled("cancelled at replicate")),
        ("replicate", STATUS, 200, {"status": "aborted", "error": "deadline"}, Cancelled("deadline")),
        ("replicate", STATUS, 200, {"status": "succeeded", "output": None},
         Expired("the outputs are gone at replicate")),
        ("replicate", STATUS, 200, {"status": "succeeded", "output": FILE, "data_removed": True},
         Expired("the outputs are gone at replicate")),
        ("fal", STATUS, 200, {"status": "COMPLETED", "error": "it broke", "error_type": "runner_server_error"},
         Failed("it broke", "runner_server_error")),
        ("fal", STATUS, 200, {"status": "COMPLETED", "error": "stopped", "error_type": "client_cancelled"},
         Cancelled("stopped")),
        ("fal", RESULT, 422, {"detail": [{"loc": ["body"], "msg": "bad prompt", "type": "value_error"}]},
         Failed("bad prompt", "value_error")),
        ("fal", RESULT, 422, {"detail": "unsafe"}, Failed("unsafe")),
        ("fal", RESULT, 504, {"detail": "timed out", "error_type": "request_timeout"},
         Failed("timed out", "request_timeout")),
        ("fal", RESULT, 404, {"detail": "not found"}, Expired("not found")),
        ("kie", STATUS, 200, kie("fail", failCode="501", failMsg="moderated"), Failed("moderated", "501")),
        ("kie", STATUS, 200, {"code": 501, "msg": "generation failed"}, Failed("generation failed", "501")),
        ("kie_veo", STATUS, 200, {"code": 200, "data": {"successFlag": 3, "errorMessage": "no", "errorCode": 400}},
         Failed("no", "400")),
    ],
)  # fmt: skip
def test_an_ending_keeps_the_providers_own_words(
    name: str, step: int, status: int, body: Any, expected: Verdict
) -> None:
    assert hear(name, body, status=status, step=step) == expected


@pytest.mark.parametrize(
    ("name", "step", "status", "body", "expected"),
    [
        ("replicate", STATUS, 200, {"status": "starting"}, StillRunning(True, "starting")),
        ("replicate", STATUS, 200, {"status": "processing", "output": [FILE]}, StillRunning(False, "processing")),
        ("fal", STATUS, 202, {"status": "IN_QUEUE", "queue_position": 3}, StillRunning(True, "IN_QUEUE")),
        ("fal", STATUS, 202, {"status": "IN_PROGRESS"}, StillRunning(False, "IN_PROGRESS")),
        ("fal", RESULT, 400, {"detail": "Request is still in progress"}, StillRunning(False, "processing")),
        ("kie", STATUS, 200, kie("waiting"), StillRunning(True, "waiting")),
        ("kie", STATUS, 200, kie("queuing"), StillRunning(True, "queuing")),
        ("kie", STATUS, 200, kie("generating"), StillRunning(False, "generating")),
        ("kie_veo", STATUS, 200, {"code": 200, "data": {"successFlag": 0}}, StillRunning(False, "0")),
    ],
)
def test_a_running_task_is_left_open(name: str, step: int, status: int, body: Any, expected: Verdict) -> None:
    assert hear(name, body, status=status, step=step) == expected


@pytest.mark.parametrize(
    ("name", "status", "body"),
    [
        ("replicate", 404, {"title": "Not found", "detail": "gone", "status": 404}),
        ("fal", 404, {"detail": "no such request"}),
        ("kie", 200, {"code": 422, "msg": "recordInfo is null", "data": None}),
        ("kie", 422, {"code": 422, "msg": "recordInfo is null", "data": None}),
        ("kie", 404, {"code": 404, "msg": "Task not found"}),
        ("kie", 200, {"code": 200, "msg": "success", "data": None}),
    ],
)
def test_an_unknown_id_is_not_found_and_never_an_ending(name: str, status: int, body: Any) -> None:
    assert isinstance(hear(name, body, status=status), NotFound)


def test_a_completed_fal_request_leads_to_its_result() -> None:
    answer = hear("fal", {"status": "COMPLETED", "response_url": "https://queue.fal.run/o/a/requests/1", "error": None})
    assert answer == NextStep({"answered_response_url": "https://queue.fal.run/o/a/requests/1"})


@pytest.mark.parametrize("name", ["replicate", "fal", "kie", "kie_veo"])
@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, UnknownReason.AUTH_ERROR),
        (403, UnknownReason.AUTH_ERROR),
        (408, UnknownReason.TIMED_OUT),
        (425, UnknownReason.TIMED_OUT),
        (429, UnknownReason.RATE_LIMITED),
        (500, UnknownReason.SERVER_ERROR),
        (502, UnknownReason.SERVER_ERROR),
        (503, UnknownReason.SERVER_ERROR),
        (504, UnknownReason.TIMED_OUT),
        (520, UnknownReason.SERVER_ERROR),
        (505, UnknownReason.SERVER_ERROR),
        (302, UnknownReason.UNREACHABLE),
        (400, UnknownReason.BAD_REFERENCE),
        (418, UnknownReason.BAD_REFERENCE),
    ],
)
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"status": "failed", "error": "x"}', b'{"status": "succeeded", "output": "https://h"}']
)
def test_an_http_error_is_ignorance_whatever_its_body(
    name: str, status: int, reason: UnknownReason, body: bytes
) -> None:
    verdict = hear(name, body, status=status)
    assert isinstance(verdict, Unknown)
    assert verdict.reason is reason


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (401, UnknownReason.AUTH_ERROR),
        (429, UnknownReason.RATE_LIMITED),
        (455, UnknownReason.SERVER_ERROR),
        (500, UnknownReason.SERVER_ERROR),
        (402, UnknownReason.SERVER_ERROR),
        (505, UnknownReason.SERVER_ERROR),
    ],
)
@pytest.mark.parametrize("name", ["kie", "kie_veo"])
def test_an_error_in_kies_envelope_is_ignorance_though_http_says_200(
    name: str, code: int, reason: UnknownReason
) -> None:
    verdict = hear(name, {"code": code, "msg": "You do not have access permissions", "data": None})
    assert isinstance(verdict, Unknown)
    assert verdict.reason is reason
    assert "You do not have access permissions" in verdict.message


BROKEN = [
    b"",
    b"null",
    b"[]",
    b'"succeeded"',
    b"7",
    b"true",
    b"<!DOCTYPE html><html>gateway</html>",
    b'{"status": "succ',
    b"\xff\xfe\x00",
    b"[" * 100_000,
    b'{"status": ' + b"9" * 5000 + b"}",
]


@pytest.mark.parametrize("body", BROKEN)
@pytest.mark.parametrize("name", ["replicate", "fal", "kie", "kie_veo"])
def test_a_body_that_is_no_json_object_is_unparsable(name: str, body: bytes) -> None:
    verdict = hear(name, body)
    assert isinstance(verdict, Unknown)
    assert verdict.reason is UnknownReason.UNPARSABLE


@pytest.mark.parametrize("body", BROKEN)
@pytest.mark.parametrize("status", [200, 404, 410, 422])
def test_fals_replayed_status_ends_nothing_without_a_json_object(status: int, body: bytes) -> None:
    verdict = hear("fal", body, status=status, step=RESULT)
    assert isinstance(verdict, Unknown)
    assert verdict.reason is UnknownReason.UNPARSABLE


@pytest.mark.parametrize("body", [{}, {"status": None}, {"status": {"x": 1}}, {"code": 200, "data": {}}])
@pytest.mark.parametrize("name", ["replicate", "fal", "kie"])
def test_an_answer_without_a_state_is_unparsable(name: str, body: Any) -> None:
    verdict = hear(name, body)
    assert isinstance(verdict, Unknown)
    assert verdict.reason is UnknownReason.UNPARSABLE


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("replicate", {"status": "teleporting", "output": FILE}),
        ("fal", {"status": "teleporting"}),
        ("kie", kie("teleporting", resultJson=json.dumps({"resultUrls": [FILE]}))),
        ("kie_veo", {"code": 200, "data": {"successFlag": "teleporting"}}),
    ],
)
def test_an_unknown_word_is_named_and_ends_nothing(name: str, body: Any) -> None:
    verdict = hear(name, body)
    assert isinstance(verdict, Unknown)
    assert verdict.reason is UnknownReason.UNKNOWN_STATE
    assert "'teleporting'" in verdict.message


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 120 "}, 120.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "Mon, 23 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Mon, 23 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "999999999"}, 86400.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Mon, 99 Nov 2026 12:00:30 GMT"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_understood_in_both_forms(headers: dict[str, str], seconds: float | None) -> None:
    verdict = hear("replicate", {"detail": "Request was throttled."}, status=429, headers=headers)
    assert isinstance(verdict, Unknown)
    assert verdict.reason is UnknownReason.RATE_LIMITED
    assert verdict.retry_after_seconds == seconds


def test_our_key_never_comes_back_in_a_message() -> None:
    verdict = hear("replicate", {"detail": "invalid token r8_canary given"}, status=401)
    assert isinstance(verdict, Unknown)
    assert "canary" not in verdict.message
    assert "invalid token ***" in verdict.message


def test_a_long_message_with_control_characters_becomes_one_short_line() -> None:
    verdict = hear("replicate", {"status": "failed", "error": "a\r\nb\x00" + "c" * 9000})
    assert isinstance(verdict, Failed)
    assert verdict.message.startswith("a b c")
    assert len(verdict.message) == 500


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["status", "code", "data", "state", "error", "output", "detail", "x"]), inner, max_size=4
        )
    ),
    max_leaves=10,
)
WORDS = {"succeeded", "failed", "canceled", "aborted", "COMPLETED", "success", "fail", "1", "2", "3", 1, 2, 3, 501}


@given(
    name=st.sampled_from(["replicate", "fal", "kie", "kie_veo"]),
    status=st.integers(min_value=100, max_value=599),
    body=JSON,
)
def test_no_answer_makes_the_interpreter_raise_or_end_a_task_without_a_known_word(
    name: str, status: int, body: Any
) -> None:
    verdict = hear(name, body, status=status)
    if isinstance(verdict, (Succeeded, Failed, Cancelled, Expired)):
        assert any(json.dumps(word) in json.dumps(body) for word in WORDS)


@pytest.mark.parametrize(
    ("said", "until"), [(1_790_000_000, datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)), (None, None)]
)
def test_a_success_carries_the_moment_its_outputs_go(said: int | None, until: datetime | None) -> None:
    verdict = hear("openai_videos", {"status": "completed", "expires_at": said})
    assert isinstance(verdict, Succeeded)
    assert verdict.available_until == until
