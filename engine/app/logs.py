"""Logs: JSON lines on standard error, by structlog."""

import logging
import sys
from collections.abc import Mapping
from typing import Any, TextIO

import structlog

from engine.runtime.supervisor import described

SECRET_KEYS = frozenset(
    {
        "access_token",
        "authorization",
        "certificate",
        "client_secret",
        "credential",
        "offer",
        "password",
        "sdp",
        "secret",
        "shared_secret",
        "token",
    }
)


def configure_logs(level: int = logging.INFO, file: TextIO | None = None) -> None:
    """Write every log line of the engine as one JSON object on standard error, or into `file`."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _with_stack,
            _without_secrets,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Lines(file or sys.stderr),
        cache_logger_on_first_use=False,
    )


class _Lines:
    """Writes lines; a reader of the log that has gone away ends no calls."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def msg(self, line: str) -> None:
        try:
            self._file.write(line + "\n")
            self._file.flush()
        except (OSError, ValueError):
            # ValueError is what a closed file says. There is nowhere left to complain.
            pass

    debug = info = warning = error = critical = msg


def _with_stack(
    _logger: object, _method: str, line: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Where an exception came from, in place of what structlog would make of it."""
    error = line.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        line["raised"] = described(error)
    return line


def _without_secrets(
    _logger: object, _method: str, line: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """The last fence: a key that names a secret never prints, whoever logged it."""
    return {key: _hidden(key, value) for key, value in line.items()}


def _hidden(key: object, value: Any) -> Any:
    if key in SECRET_KEYS:
        return "<hidden>"
    if isinstance(value, Mapping):
        return {name: _hidden(name, one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_hidden(None, one) for one in value]
    return value
