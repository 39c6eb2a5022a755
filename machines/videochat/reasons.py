"""Why a command was refused; `wire.py` gives each a code."""

from enum import StrEnum


class Reason(StrEnum):
    """Keys of refusals."""

    UNKNOWN_USER = "unknown_user"
    UNAVAILABLE = "unavailable"
    NO_PERMISSION = "no_permission"
    ROOM_FULL = "room_full"
    NOT_STARTED = "not_started"
    REQUEST_NOT_FOUND = "request_not_found"
    REQUEST_CLOSED = "request_closed"
    ALREADY_ACCEPTED = "already_accepted"
    NOT_DIRECT = "not_direct"
    VIDEOCHAT_NOT_FOUND = "videochat_not_found"
    EXISTS = "exists"
