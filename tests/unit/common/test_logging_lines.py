"""One JSON object per line, with service, level, time and the bound ids; chatter of libraries is cut off."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

import pytest
import structlog

from backstop_common.observability.logging import configure_logging


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    levels = {name: logging.getLogger(name).level for name in ("uvicorn", "asyncio", "aiohttp", "httpx", "alembic")}
    yield
    root.handlers, root.level = handlers, level
    for name, its_level in levels.items():
        logging.getLogger(name).setLevel(its_level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    output = capsys.readouterr()
    assert output.err == ""
    return [json.loads(line) for line in output.out.splitlines()]


def _configured(level: str = "info") -> Any:
    configure_logging(service="recovery", level=level, output="json")
    return structlog.get_logger("backstop.example")


def test_a_line_has_event_service_level_logger_and_time(capsys: pytest.CaptureFixture[str]) -> None:
    _configured().info("run_started", run_id="r-1", count=3)
    (line,) = _lines(capsys)
    moment = datetime.fromisoformat(line.pop("timestamp"))
    assert moment.utcoffset() is not None
    assert line == {
        "event": "run_started",
        "service": "recovery",
        "level": "info",
        "logger": "backstop.example",
        "run_id": "r-1",
        "count": 3,
    }


def test_bound_ids_are_in_every_line_of_the_block(capsys: pytest.CaptureFixture[str]) -> None:
    log = _configured()
    with structlog.contextvars.bound_contextvars(task_id="t-1"):
        log.info("inside")
        logging.getLogger("other.library").warning("inside too")
    log.info("outside")
    inside, library, outside = _lines(capsys)
    assert inside["task_id"] == library["task_id"] == "t-1"
    assert "task_id" not in outside


def test_libraries_log_through_the_same_chain(capsys: pytest.CaptureFixture[str]) -> None:
    _configured()
    logging.getLogger("other.library").warning("%d of %s", 3, "seven")
    (line,) = _lines(capsys)
    assert (line["event"], line["level"], line["logger"]) == ("3 of seven", "warning", "other.library")
    assert line["service"] == "recovery"


@pytest.mark.parametrize("level", ["debug", "info"])
@pytest.mark.parametrize("library", ["httpx", "aiohttp", "aio_pika", "aiormq", "uvicorn.error", "asyncio", "alembic"])
def test_the_chatter_of_libraries_is_cut_off(capsys: pytest.CaptureFixture[str], library: str, level: str) -> None:
    _configured(level)
    logging.getLogger(library).info("GET https://files.example/?signature=canary")
    assert _lines(capsys) == []


def test_levels_below_the_configured_one_are_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    log = _configured("warning")
    log.debug("no")
    log.info("no")
    log.warning("yes")
    assert [line["event"] for line in _lines(capsys)] == ["yes"]


def test_configuring_twice_does_not_write_twice(capsys: pytest.CaptureFixture[str]) -> None:
    _configured()
    _configured().info("once")
    assert len(_lines(capsys)) == 1


def test_an_exception_is_one_line_with_its_type_and_message(capsys: pytest.CaptureFixture[str]) -> None:
    log = _configured()
    try:
        int("not a number")
    except ValueError:
        log.exception("loop_failed", loop="relay")
    (line,) = _lines(capsys)
    assert (line["event"], line["level"], line["loop"]) == ("loop_failed", "error", "relay")
    assert line["exception"][0]["exc_type"] == "ValueError"
    assert "not a number" in line["exception"][0]["exc_value"]


@pytest.mark.parametrize("output", ["json", "console"])
def test_a_logged_exception_does_not_show_local_variables(
    capsys: pytest.CaptureFixture[str], output: Literal["json", "console"]
) -> None:
    def connect() -> None:
        password = "canary-4711"
        raise ValueError(f"a password of {len(password)} characters is refused")

    configure_logging(service="recovery", output=output)
    try:
        connect()
    except ValueError:
        structlog.get_logger("backstop.example").exception("failed")
    printed = capsys.readouterr().out
    assert "a password of 11 characters is refused" in printed
    assert "canary-4711" not in printed


def test_a_value_that_json_does_not_know_does_not_lose_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    _configured().info("odd", value=object(), text="\ud800 \x00 \n", number=float("inf"))
    assert len(_lines(capsys)) == 1


def test_the_console_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(service="recovery", output="console")
    structlog.get_logger("backstop.example").info("run_started", run_id="r-1")
    output = capsys.readouterr().out
    assert "run_started" in output
    assert "run_id=r-1" in output
