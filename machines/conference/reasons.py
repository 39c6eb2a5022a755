"""Why a command was refused; `wire.py` gives each a status."""

from enum import StrEnum


class Reason(StrEnum):
    """Keys of refusals."""

    CONFERENCE_NOT_FOUND = "conference_not_found"
    CONFERENCE_EXISTS = "conference_exists"
    CONFERENCE_ENDED = "conference_ended"
    CONFERENCE_FULL = "conference_full"
    ENDPOINT_NOT_FOUND = "user_endpoint_not_found"
    ENDPOINT_TAKEN = "user_endpoint_taken"
    """It belongs to another user."""
    ALREADY_JOINED = "already_joined"
    NOT_JOINED = "not_joined"
    FORBIDDEN = "forbidden"
    STREAM_NOT_FOUND = "stream_not_found"
    STREAM_EXISTS = "stream_exists"
    STREAM_NOT_YOURS = "stream_not_yours"
    STREAM_NOT_READY = "stream_not_ready"
    """It is offered, or its publisher is reconnecting."""
    VIEW_NOT_FOUND = "view_not_found"
    VIEWER_TAKEN = "viewer_taken"
    """Another user views the stream under this viewer id."""
    INTERACTION_SET = "interaction_set"
    METADATA_FULL = "metadata_full"
    DELIVERY_NOT_FOUND = "delivery_not_found"
