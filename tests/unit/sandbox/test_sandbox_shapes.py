"""The answers of the sandbox's providers, field by field where a poller reads them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from backstop_sandbox.providers import fal, kie, replicate
from backstop_sandbox.script import Behaviour, Provider, Script, parse_script
from backstop_sandbox.stages import FINAL_STAGE, Stage, Trouble, View, stage_at, trouble_at

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ORIGIN = "http://sandbox:8090"


def view(provider: str, behaviour: str, poll: int = 1, **more: Any) -> View:
    script = parse_script({"provider": provider, "id": "abc", "behaviour": behaviour, **more})
    return View(script, stage_at(script, poll), poll, ORIGIN, NOW, NOW)


def test_every_behaviour_ends_in_a_stage() -> None:
    assert set(FINAL_STAGE) == set(Behaviour)


def test_a_processing_generation_is_never_over() -> None:
    script = Script(Provider.KIE, "abc", behaviour=Behaviour.PROCESSING)
    stages = [stage_at(script, poll) for poll in (1, 2, 3, 1000)]
    assert stages == [Stage.QUEUED, Stage.WAITING, Stage.RUNNING, Stage.RUNNING]


def test_a_flaky_generation_succeeds_after_its_failing_polls() -> None:
    script = Script(Provider.FAL, "abc", behaviour=Behaviour.FLAKY, failing_polls=2)
    assert [stage_at(script, poll) for poll in (1, 2, 3)] == [Stage.TROUBLE, Stage.TROUBLE, Stage.SUCCEEDED]
    assert [trouble_at(script, poll).status for poll in (1, 2)] == [429, 500]


@pytest.mark.parametrize(
    ("behaviour", "poll", "status"),
    [
        ("processing", 1, "starting"),
        ("processing", 3, "processing"),
        ("succeeded", 1, "succeeded"),
        ("failed", 1, "failed"),
        ("cancelled", 1, "canceled"),
        ("expired", 1, "succeeded"),
    ],
)
def test_replicate_uses_its_own_words(behaviour: str, poll: int, status: str) -> None:
    assert replicate.prediction(view("replicate", behaviour, poll)).body["status"] == status


def test_a_replicate_image_is_a_list_and_a_single_video_is_one_address() -> None:
    image = replicate.prediction(view("replicate", "succeeded")).body["output"]
    video = replicate.prediction(view("replicate", "succeeded", kind="video")).body["output"]
    assert image == [f"{ORIGIN}/files/replicate-abc/0.png"]
    assert video == f"{ORIGIN}/files/replicate-abc/0.mp4"


def test_a_running_replicate_prediction_may_show_a_part_of_its_output() -> None:
    running = replicate.prediction(view("replicate", "processing", poll=5, outputs=3)).body
    assert running["status"] == "processing"
    assert len(running["output"]) == 1


def test_an_expired_replicate_prediction_keeps_its_status_and_loses_its_data() -> None:
    body = replicate.prediction(view("replicate", "expired")).body
    assert (body["status"], body["output"], body["data_removed"]) == ("succeeded", None, True)


def test_replicate_throttles_with_the_seconds_in_words_and_header() -> None:
    answer = replicate.trouble(Trouble(429, 30))
    assert answer.status == 429
    assert answer.headers["Retry-After"] == "30"
    assert answer.body["detail"] == "Request was throttled. Your rate limit resets in ~30s."


@pytest.mark.parametrize(
    ("poll", "status", "word"), [(1, 202, "IN_QUEUE"), (2, 202, "IN_QUEUE"), (3, 202, "IN_PROGRESS")]
)
def test_fal_answers_202_until_the_request_is_over(poll: int, status: int, word: str) -> None:
    answer = fal.request_status(view("fal", "processing", poll))
    assert (answer.status, answer.body["status"]) == (status, word)


@pytest.mark.parametrize("behaviour", ["succeeded", "failed", "cancelled", "expired"])
def test_every_finished_fal_request_is_completed(behaviour: str) -> None:
    answer = fal.request_status(view("fal", behaviour))
    assert (answer.status, answer.body["status"]) == (200, "COMPLETED")


def test_the_fal_result_is_refused_while_the_request_runs() -> None:
    answer = fal.request_result(view("fal", "processing", poll=3))
    assert (answer.status, answer.body) == (400, {"detail": "Request is still in progress"})


def test_the_fal_result_replays_the_models_refusal() -> None:
    answer = fal.request_result(view("fal", "failed", message="no cats"))
    assert answer.status == 422
    assert answer.body["detail"][0]["msg"] == "no cats"


def test_a_fal_platform_error_shows_in_status_result_and_header() -> None:
    failed = view("fal", "failed", error_type="request_timeout")
    assert fal.request_status(failed).body["error_type"] == "request_timeout"
    result = fal.request_result(failed)
    assert (result.status, result.headers["X-Fal-Error-Type"]) == (504, "request_timeout")


def test_a_cancelled_fal_request_names_the_client() -> None:
    assert fal.request_status(view("fal", "cancelled")).body["error_type"] == "client_cancelled"
    assert fal.request_result(view("fal", "cancelled")).status == 499


def test_fal_outputs_are_named_by_kind_and_number() -> None:
    assert len(fal.request_result(view("fal", "succeeded_several", outputs=2)).body["images"]) == 2
    assert fal.request_result(view("fal", "succeeded", kind="video")).body["video"]["content_type"] == "video/mp4"
    assert len(fal.request_result(view("fal", "succeeded_several", kind="video")).body["videos"]) == 3


def test_kie_puts_its_outputs_into_a_json_string() -> None:
    body = kie.record_info(view("kie", "succeeded_several", outputs=2)).body
    assert body["code"] == 200
    assert json.loads(body["data"]["resultJson"])["resultUrls"] == [
        f"{ORIGIN}/files/kie-abc/0.png",
        f"{ORIGIN}/files/kie-abc/1.png",
    ]


@pytest.mark.parametrize(("poll", "state"), [(1, "waiting"), (2, "queuing"), (3, "generating")])
def test_a_running_kie_task_has_no_result(poll: int, state: str) -> None:
    data = kie.record_info(view("kie", "processing", poll)).body["data"]
    assert (data["state"], data["resultJson"], data["completeTime"]) == (state, "", None)


@pytest.mark.parametrize("behaviour", ["failed", "cancelled"])
def test_a_kie_task_without_success_is_fail_with_code_and_message(behaviour: str) -> None:
    data = kie.record_info(view("kie", behaviour)).body["data"]
    assert data["state"] == "fail"
    assert data["failCode"]
    assert data["failMsg"]


def test_kie_says_not_found_and_throttled_in_the_envelope() -> None:
    assert kie.unknown().status == 200
    assert kie.unknown().body == {"code": 422, "msg": "recordInfo is null", "data": None}
    throttled = kie.trouble(Trouble(429))
    assert (throttled.status, throttled.body["code"], throttled.headers) == (200, 429, {})
