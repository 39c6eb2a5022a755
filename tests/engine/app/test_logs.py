"""Logs: JSON lines without secrets."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from engine.app.logs import configure_logs
from engine.errors import UnavailableError


class Log(io.StringIO):
    """A log file."""

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    configure_logs(file=log)
    yield log
    structlog.reset_defaults()


def test_a_line_is_one_json_object(log: Log) -> None:
    structlog.get_logger("a").info("rung", user="ann", devices=("x", "y"), odd=object)
    structlog.get_logger("a").debug("not shown")
    (line,) = log.lines
    assert (line["event"], line["level"], line["user"], line["devices"]) == (
        "rung",
        "info",
        "ann",
        ["x", "y"],
    )
    assert line["timestamp"].endswith("Z")


def test_a_key_that_names_a_secret_never_prints(log: Log) -> None:
    structlog.get_logger("a").warning(
        "odd", token="hunter2", inner={"sdp": "hunter2", "all": [{"secret": "hunter2", "ok": 1}]}
    )
    assert "hunter2" not in log.getvalue()
    assert log.lines[0]["inner"] == {"sdp": "<hidden>", "all": [{"secret": "<hidden>", "ok": 1}]}


def test_an_exception_is_its_type_and_its_place_and_ours_its_text(log: Log) -> None:
    def fail() -> None:
        try:
            raise KeyError("hunter2")
        except KeyError as error:
            raise UnavailableError("closed") from error

    try:
        fail()
    except UnavailableError as error:
        structlog.get_logger("a").error("one", exc_info=error)
        structlog.get_logger("a").error("two", exc_info=True)
    structlog.get_logger("a").error("three", exc_info=False)
    assert "hunter2" not in log.getvalue()
    one, two, three = log.lines
    assert one["raised"] == two["raised"]
    assert [(part["type"], part["text"]) for part in one["raised"]] == [
        ("UnavailableError", "closed"),
        ("KeyError", None),
    ]
    assert "fail" in one["raised"][1]["stack"][0]
    assert "raised" not in three


def test_a_reader_that_has_gone_ends_nothing(log: Log) -> None:
    class Broken(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    configure_logs(file=Broken())
    structlog.get_logger("a").info("into the void")
    log.close()
    configure_logs(file=log)
    structlog.get_logger("a").info("into a closed file")


def test_without_a_file_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str], log: Log) -> None:
    configure_logs()
    structlog.get_logger("a").info("here")
    captured = capsys.readouterr()
    assert json.loads(captured.err)["event"] == "here"
    assert captured.out == ""
