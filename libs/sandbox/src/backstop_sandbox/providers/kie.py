"""KIE market jobs: `GET /api/v1/jobs/recordInfo?taskId=`.

Everything travels in the envelope `{code, msg, data}`, mostly with HTTP 200; the outputs are JSON inside a string.
KIE has no word for cancelled: such a task is `fail`. An envelope's 429 carries no Retry-After (docs.kie.ai).
"""

import json
from typing import Any

from backstop_sandbox.providers.times import RAN_FOR, epoch_milliseconds, finished_at
from backstop_sandbox.stages import TOO_MANY_REQUESTS, Answer, Stage, Trouble, View

STATE = {
    Stage.QUEUED: "waiting",
    Stage.WAITING: "queuing",
    Stage.RUNNING: "generating",
    Stage.SUCCEEDED: "success",
    Stage.EXPIRED: "success",
    Stage.FAILED: "fail",
    Stage.CANCELLED: "fail",
}
FINISHED = frozenset({"success", "fail"})


def missing_credentials() -> Answer:
    return Answer(401, {"code": 401, "msg": "You do not have access permissions"})


def unknown() -> Answer:
    return Answer(200, {"code": 422, "msg": "recordInfo is null", "data": None})


def trouble(ill: Trouble) -> Answer:
    throttled = ill.status == TOO_MANY_REQUESTS
    message = "Your call frequency is too high. Please try again later." if throttled else "Server exception"
    return Answer(200, {"code": ill.status, "msg": message, "data": None})


def record_info(view: View) -> Answer:
    script, state = view.script, STATE[view.stage]
    finished = state in FINISHED
    completed = epoch_milliseconds(finished_at(view.registered_at)) if finished else None
    data = {
        "taskId": script.id,
        "model": script.model,
        "state": state,
        "param": json.dumps({"model": script.model, "input": {"prompt": "a quiet harbour at first light"}}),
        "resultJson": json.dumps({"resultUrls": view.output_urls}) if state == "success" else "",
        "failCode": "",
        "failMsg": "",
        "costTime": int(RAN_FOR.total_seconds() * 1000) if finished else None,
        "completeTime": completed,
        "createTime": epoch_milliseconds(view.registered_at),
        "updateTime": completed or epoch_milliseconds(view.now),
    }
    return Answer(200, {"code": 200, "msg": "success", "data": data | _failure(view)})


def _failure(view: View) -> dict[str, Any]:
    message = view.script.message
    if view.stage is Stage.CANCELLED:
        return {"failCode": "500", "failMsg": message or "The task was cancelled by the user"}
    if view.stage is Stage.FAILED:
        return {"failCode": "422", "failMsg": message or "Your prompt was flagged as violating content policies"}
    return {}
