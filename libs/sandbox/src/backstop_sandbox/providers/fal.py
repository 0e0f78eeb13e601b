"""fal's queue: `/{app}/requests/{id}/status` and `/{app}/requests/{id}`.

The status call answers 202 until the request is over; COMPLETED also covers failed and cancelled requests. The result
call replays the model's own status and body (fal.ai/docs: inference-api queue status, result, request-errors).
"""

from typing import Any

from backstop_sandbox.providers.times import RAN_FOR
from backstop_sandbox.script import Kind, Script
from backstop_sandbox.stages import TOO_MANY_REQUESTS, Answer, Stage, Trouble, View

CLIENT_CANCELLED = "client_cancelled"
STATUS_OF_ERROR_TYPE = {
    "request_timeout": 504,
    "startup_timeout": 504,
    "runner_scheduling_failure": 503,
    "runner_incomplete_response": 502,
    "runner_server_error": 500,
    "client_disconnected": 499,
    CLIENT_CANCELLED: 499,
    "bad_request": 400,
    "internal_error": 500,
}


def missing_credentials() -> Answer:
    return Answer(401, {"detail": "Authentication is required to access this application."})


def unknown() -> Answer:
    return Answer(404, {"detail": "Request not found"})


def trouble(ill: Trouble) -> Answer:
    if ill.status == TOO_MANY_REQUESTS:
        return Answer(429, {"detail": "Too many requests. Try again later."}, ill.headers)
    return _platform_error(ill.status, "internal_error", "Internal server error")


def request_status(view: View) -> Answer:
    """Where the request stands: a platform error or a cancellation shows here, a model's refusal only in the result."""
    script, stage = view.script, view.stage
    address = f"{view.origin}/fal/{script.app}/requests/{script.id}"
    body: dict[str, Any] = {
        "request_id": script.id,
        "response_url": address,
        "status_url": f"{address}/status",
        "cancel_url": f"{address}/cancel",
    }
    if stage in {Stage.QUEUED, Stage.WAITING}:
        return Answer(202, {"status": "IN_QUEUE", "queue_position": 3 - view.poll} | body)
    if stage is Stage.RUNNING:
        return Answer(202, {"status": "IN_PROGRESS", "logs": None} | body)
    done = {"status": "COMPLETED", "logs": [], "metrics": {"inference_time": RAN_FOR.total_seconds()}} | body
    return Answer(200, done | _error_of(script, stage))


def request_result(view: View) -> Answer:
    """What the model returned, with its own status code."""
    script, stage = view.script, view.stage
    if stage in {Stage.QUEUED, Stage.WAITING, Stage.RUNNING}:
        return Answer(400, {"detail": "Request is still in progress"})
    error = _error_of(script, stage)
    if error:
        kind = error["error_type"]
        return _platform_error(STATUS_OF_ERROR_TYPE.get(kind, 500), kind, error["error"])
    if stage is Stage.FAILED:
        message = script.message or "The content could not be processed because it was flagged by a content checker."
        return Answer(
            422, {"detail": [{"loc": ["body", "prompt"], "msg": message, "type": "content_policy_violation"}]}
        )
    return Answer(200, _model_body(view))


def _error_of(script: Script, stage: Stage) -> dict[str, str]:
    if stage is Stage.CANCELLED:
        return {"error": script.message or "Request was cancelled by the client", "error_type": CLIENT_CANCELLED}
    if stage is Stage.FAILED and script.error_type:
        return {"error": script.message or "The request failed on the platform", "error_type": script.error_type}
    return {}


def _platform_error(status: int, kind: str, detail: str) -> Answer:
    return Answer(status, {"detail": detail, "error_type": kind}, {"X-Fal-Error-Type": kind})


def _model_body(view: View) -> dict[str, Any]:
    script = view.script
    files = [
        {"url": url, "content_type": script.media_type, "file_name": url.rsplit("/", 1)[1]} for url in view.output_urls
    ]
    if script.kind is Kind.IMAGE:
        sized = [file | {"width": 512, "height": 320} for file in files]
        return {"images": sized, "seed": 42, "has_nsfw_concepts": [False] * len(files), "prompt": "a quiet harbour"}
    return {"video": files[0], "seed": 42} if len(files) == 1 else {"videos": files, "seed": 42}
