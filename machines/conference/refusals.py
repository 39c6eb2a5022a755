"""Refusals in their wire form: a status, and a body with `error` and `error_description`."""

from collections.abc import Mapping

import attrs
import structlog

from engine.app.api import Endpoint, ErrorCode
from engine.codec.wire import WireCodec
from engine.errors import TRY_AGAIN, CommandRefusedError, EngineError, RemoteProtocolError
from engine.runtime import supervisor
from engine.transport.application import Response
from machines.conference.reasons import Reason
from machines.conference.wire_answers import AnotherErrorResponse

UNDOCUMENTED = 400
"""What a refusal becomes at an endpoint whose documentation has not its status."""

_CODEC = WireCodec()

log = structlog.get_logger("switchhook.conference")

ERRORS = (
    ErrorCode(reason=Reason.CONFERENCE_NOT_FOUND, code=404, message="conference not found"),
    ErrorCode(reason=Reason.CONFERENCE_EXISTS, code=400, message="there is a conference with this id"),
    ErrorCode(reason=Reason.CONFERENCE_ENDED, code=400, message="the conference has ended"),
    ErrorCode(reason=Reason.CONFERENCE_FULL, code=403, message="the conference is full"),
    ErrorCode(reason=Reason.ENDPOINT_NOT_FOUND, code=404, message="user endpoint not found"),
    ErrorCode(reason=Reason.ENDPOINT_TAKEN, code=403, message="the user endpoint is another user's"),
    ErrorCode(reason=Reason.ALREADY_JOINED, code=422, message="joined already by the same user and endpoint"),
    ErrorCode(reason=Reason.NOT_JOINED, code=400, message="the user endpoint has not joined"),
    ErrorCode(reason=Reason.FORBIDDEN, code=403, message="the token does not allow it"),
    ErrorCode(reason=Reason.STREAM_NOT_FOUND, code=404, message="stream not found"),
    ErrorCode(reason=Reason.STREAM_EXISTS, code=400, message="the stream is published; unpublish it first"),
    ErrorCode(reason=Reason.STREAM_NOT_YOURS, code=403, message="another endpoint publishes the stream"),
    ErrorCode(
        reason=Reason.STREAM_NOT_READY,
        code=404,
        message="the publisher is reconnecting; ConferenceStreamPublishedEvent follows",
    ),
    ErrorCode(reason=Reason.VIEW_NOT_FOUND, code=404, message="nobody views the stream under this viewer id"),
    ErrorCode(reason=Reason.VIEWER_TAKEN, code=400, message="another user has this viewer id"),
    ErrorCode(reason=Reason.INTERACTION_SET, code=400, message="the conference has another interaction id"),
    ErrorCode(reason=Reason.METADATA_FULL, code=400, message="too much metadata; remove some first"),
    ErrorCode(reason=Reason.DELIVERY_NOT_FOUND, code=404, message="there is no such event"),
    ErrorCode(reason="bad_request", code=400, message="the request is malformed"),
    ErrorCode(reason="bad_offer", code=400, message="the offer cannot be answered"),
    ErrorCode(reason="media_unavailable", code=503, message="no media worker can take it; try again"),
    ErrorCode(reason="overloaded", code=503, message="too busy; try again"),
    ErrorCode(reason="internal", code=500, message="internal error"),
)

_BY_REASON: Mapping[str, ErrorCode] = {str(error.reason): error for error in ERRORS}


@attrs.frozen
class Refusal:
    """Why a request is not done."""

    reason: str
    detail: str = ""
    """Quotes nothing that came in."""


class RefusedError(EngineError):
    """A request is not done, for a reason outside of all rules that its client is told."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.refusal = Refusal(reason, detail)


def refusal_of(error: EngineError) -> Refusal:
    """What a client is told of an error that came of his request."""
    match error:
        case RefusedError():
            return error.refusal
        case CommandRefusedError():
            return Refusal(error.reason)
        case RemoteProtocolError():
            return Refusal("bad_request", str(error))
    if isinstance(error, TRY_AGAIN):
        return Refusal("overloaded", type(error).__name__)
    # To try again would not help: a rule of the call has failed, or what is stored cannot be read.
    log.error("request_failed", raised=supervisor.described(error))
    return Refusal("internal")


def refused(refusal: Refusal, endpoint: Endpoint) -> Response:
    """The answer to a refused request, with a status that the endpoint documents."""
    error = _BY_REASON.get(refusal.reason) or _BY_REASON["internal"]
    status = error.code if error.code in endpoint.results or error.code >= 500 else UNDOCUMENTED
    return Response(status, body_of(refusal))


def body_of(refusal: Refusal) -> bytes:
    """The body of a refusal."""
    reason = refusal.reason if refusal.reason in _BY_REASON else "internal"
    return _CODEC.encode(AnotherErrorResponse(error=reason, error_description=described(refusal)))


def described(refusal: Refusal) -> str:
    """A refusal in words."""
    error = _BY_REASON.get(refusal.reason) or _BY_REASON["internal"]
    return f"{error.message}: {refusal.detail}" if refusal.detail else error.message
