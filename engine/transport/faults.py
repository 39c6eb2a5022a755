"""How a fault behind or in the transport is logged: with its traceback, and with nobody's variables."""

import traceback

import structlog

log = structlog.get_logger(__name__)


def log_fault(event: str, peer: str, error: Exception) -> None:
    """Log where it happened.

    The traceback is made here: formatters that print local variables would print messages and tokens.
    """
    log.error(event, peer=peer, traceback="".join(traceback.format_exception(error)))
