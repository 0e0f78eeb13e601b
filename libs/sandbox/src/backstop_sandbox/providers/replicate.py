"""Replicate `GET /v1/predictions/{id}`: the whole prediction object, problem-like errors.

Shapes: the 2.x SDK's OpenAPI text (prediction, `data_removed`), the lifecycle, data-retention and rate-limit pages.
"""

from typing import Any

from backstop_sandbox.providers.times import RAN_FOR, finished_at, rfc3339, started_at
from backstop_sandbox.script import Kind
from backstop_sandbox.stages import TOO_MANY_REQUESTS, Answer, Stage, Trouble, View

STATUS = {
    Stage.QUEUED: "starting",
    Stage.WAITING: "processing",
    Stage.RUNNING: "processing",
    Stage.SUCCEEDED: "succeeded",
    Stage.FAILED: "failed",
    Stage.CANCELLED: "canceled",
    Stage.EXPIRED: "succeeded",
}
VERSION = "5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa"
FINISHED = frozenset({Stage.SUCCEEDED, Stage.FAILED, Stage.CANCELLED, Stage.EXPIRED})


def missing_credentials() -> Answer:
    return Answer(401, _problem("Unauthenticated", "You did not pass a valid authentication token", 401))


def unknown() -> Answer:
    return Answer(404, _problem("Not found", "The requested resource could not be found.", 404))


def trouble(ill: Trouble) -> Answer:
    if ill.status == TOO_MANY_REQUESTS:
        detail = f"Request was throttled. Your rate limit resets in ~{ill.retry_after_seconds}s."
        return Answer(429, {"detail": detail, "status": 429}, ill.headers)
    return Answer(ill.status, _problem("Internal server error", "An unexpected error occurred.", ill.status))


def prediction(view: View) -> Answer:
    script, stage = view.script, view.stage
    finished = stage in FINISHED
    address = f"{view.origin}/replicate/v1/predictions/{script.id}"
    return Answer(
        200,
        {
            "id": script.id,
            "model": script.model,
            "version": VERSION,
            "status": STATUS[stage],
            "input": {} if stage is Stage.EXPIRED else {"prompt": "a quiet harbour at first light"},
            "output": _output(view),
            "logs": "" if stage is Stage.EXPIRED else "Using seed: 42\n",
            "error": (script.message or "NSFW content detected. Try a different prompt.")
            if stage is Stage.FAILED
            else None,
            "data_removed": stage is Stage.EXPIRED,
            "created_at": rfc3339(view.registered_at),
            "started_at": None if stage is Stage.QUEUED else rfc3339(started_at(view.registered_at)),
            "completed_at": rfc3339(finished_at(view.registered_at)) if finished else None,
            "metrics": {"predict_time": RAN_FOR.total_seconds()} if finished else {},
            "urls": {
                "get": address,
                "cancel": f"{address}/cancel",
                "web": f"{view.origin}/#{script.key}",
            },
        },
    )


def _output(view: View) -> Any:
    """A video model answers one address, an image model a list; a running one may already show its first output."""
    urls = view.output_urls
    if view.stage is Stage.RUNNING and len(urls) > 1:
        return urls[:1]
    if view.stage is not Stage.SUCCEEDED:
        return None
    return urls[0] if view.script.kind is Kind.VIDEO and len(urls) == 1 else urls


def _problem(title: str, detail: str, status: int) -> dict[str, Any]:
    return {"title": title, "detail": detail, "status": status}
