"""Logs: JSON lines on standard error, by structlog."""

import logging
import sys

import structlog

SECRET_KEYS = frozenset(
    {"token", "secret", "shared_secret", "sdp", "password", "authorization", "credential"}
)


def configure_logs(level: int = logging.INFO) -> None:
    """Write every log line of the engine as one JSON object on standard error."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_secrets,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _without_secrets(
    _logger: object, _method: str, line: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """The last fence: a key that names a secret never prints, whoever logged it."""
    return {key: "<hidden>" if key in SECRET_KEYS else value for key, value in line.items()}
