"""The answer to "run it now": 202 at once, or 200 when the caller waits and the run ends in time."""

from __future__ import annotations

from uuid import UUID

from fastapi import Request
from fastapi.responses import JSONResponse

from backstop_admin_api.application.run import Run
from backstop_admin_api.entrypoints.context import AdminApi
from backstop_admin_api.entrypoints.shapes import Accepted, Finished


async def answer_when_over(context: AdminApi, request: Request, run_id: UUID, *, seconds: float) -> JSONResponse:
    """Hold the answer for at most `seconds`, as long as the caller stays."""
    if seconds == 0:
        return _accepted(run_id, "The run was requested.")

    async def is_wanted() -> bool:
        return not await request.is_disconnected()

    run = await context.wait_for_run(run_id, seconds=seconds, is_wanted=is_wanted)
    if run is None:
        return _accepted(run_id, f"The run was requested and is not over after {seconds:g} s.")
    body = Finished.model_validate(
        {
            "success": run.status == "completed",
            "message": sentence_of(run),
            "status": run.status,
            "results": run.results,
            "total_found": run.results.total_found,
            "duration": run.duration or 0,
            "execution_id": run.id,
        }
    )
    return _json(200, body)


def sentence_of(run: Run) -> str:
    """How the run ended, in one sentence."""
    if run.note:
        return run.note
    if run.status == "completed" and run.results.total_found == 0:
        return "Nothing was stuck."
    if run.dry_run and run.status == "completed":
        return "The dry run completed; nothing was changed."
    return f"The run {run.status}." if run.status in {"completed", "failed"} else f"The run was {run.status}."


def _accepted(run_id: UUID, message: str) -> JSONResponse:
    return _json(202, Accepted(message=message, execution_id=run_id))


def _json(status: int, body: Accepted | Finished) -> JSONResponse:
    return JSONResponse(
        body.model_dump(mode="json", by_alias=True), status_code=status, headers={"Cache-Control": "no-store"}
    )
