"""What each endpoint of the conference API does."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from engine.app.api import Endpoint
from engine.app.desk import Negotiation
from engine.app.peers import ClosedMeanwhileError
from engine.errors import CommandRefusedError, MediaError, RemoteProtocolError
from engine.media.protocol import (
    BadOfferError,
    Candidate,
    HostBusyError,
    MediaTimeoutError,
    UnknownPeerError,
    UnknownStreamError,
    WorkerGoneError,
)
from engine.transport.application import Response
from engine.vocabulary import Address, Message
from machines.conference import commands, endpoints, masks, projection, readings
from machines.conference import vocabulary as v
from machines.conference import wire_answers as answers
from machines.conference.reasons import Reason
from machines.conference.refusals import RefusedError
from machines.conference.rules.addresses import stream_address, view_address, view_key
from machines.conference.service import NO_CONTENT, Call, Responder
from machines.conference.wire import Qos

ID_BYTES = 16
"""Of ids that the server makes."""


async def command(call: Call) -> Response:
    """What is one command, and answered by 204."""
    await call.service.ask(*commands.meant(call.caller, call.body()))
    return NO_CONTENT


async def create(call: Call) -> Response:
    body = call.body()
    conference_id = body.conference_id or new_id()
    if conference_id in endpoints.WORDS:
        raise RemoteProtocolError("$.conferenceId", "is a word of a path, so that nobody could read it")
    empty_seconds = call.settings.empty_seconds
    told = await call.service.ask(*commands.create(call.caller, body, conference_id, empty_seconds))
    return call.answer(_summary(told))


async def join(call: Call) -> Response:
    try:
        told = await call.service.ask(*commands.meant(call.caller, call.body()))
    except CommandRefusedError as error:
        if error.reason != Reason.ENDPOINT_NOT_FOUND:
            raise
        # Here 404 says that there is no such conference.
        raise RemoteProtocolError("$.userEndpointId", "user endpoint not found") from error
    return call.answer(_summary(told))


async def publish(call: Call) -> Response:
    body = call.body()
    if not body.sdp_offer:
        raise RemoteProtocolError("$.sdpOffer", "is missing")
    _check_bitrate(call, body.video_bitrate)
    with _offered(call, body.sdp_offer) as (peer_id, negotiation):
        taken = await call.service.ask(*commands.publish(call.caller, body, peer_id))
        sdp_answer = await _answered(negotiation)
    assert isinstance(taken, v.StreamTaken)
    return call.answer(answers.ConferencePublishResult(stream_id=taken.stream_id, sdp_answer=sdp_answer))


async def view(call: Call) -> Response:
    body = call.body()
    with _offered(call, body.sdp_offer) as (peer_id, negotiation):
        taken = await call.service.ask(*commands.view(call.caller, body, peer_id))
        sdp_answer = await _answered(negotiation)
    assert isinstance(taken, v.ViewTaken)
    return call.answer(answers.ConferenceStreamViewResult(viewer_id=taken.viewer_id, sdp_answer=sdp_answer))


async def add_publish_candidates(call: Call) -> Response:
    body = call.body()
    conference = await _conference(call, body.conference_id)
    stream = conference.streams.get(body.stream_id)
    _check_own(call, conference, None if stream is None else stream.user_endpoint_id, Reason.STREAM_NOT_FOUND)
    await _add_candidates(call, stream_address(conference.id, body.stream_id), body.ice_candidates)
    return NO_CONTENT


async def add_view_candidates(call: Call) -> Response:
    body = call.body()
    conference = await _conference(call, body.conference_id)
    view = conference.views.get(view_key(body.stream_id, body.viewer_id))
    _check_own(call, conference, None if view is None else view.user_endpoint_id, Reason.VIEW_NOT_FOUND)
    address = view_address(conference.id, body.stream_id, body.viewer_id)
    await _add_candidates(call, address, body.ice_candidates)
    return NO_CONTENT


async def limit(call: Call) -> Response:
    body = call.body()
    _check_bitrate(call, body.video_bitrate)
    await call.service.ask(*commands.meant(call.caller, body))
    return NO_CONTENT


async def send_event(call: Call) -> Response:
    if call.caller.role is not v.Role.SERVICE:
        # Before the masks: walking them costs up to a quarter of a second.
        raise RefusedError(Reason.FORBIDDEN)
    body = call.body()
    masks.check_event(body.event)
    event_id = body.event.get("id") or new_id()
    plain, masked = (
        _json(
            projection.sent_event(
                event,
                event_id=event_id,
                conference_id=body.conference_id,
                organization=call.caller.organization,
            )
        )
        for event in (body.event, masks.masked(body.event, body.masks or ()))
    )
    stored = body.qos is Qos.AT_LEAST_ONCE
    if stored and plain != masked:
        # Before it is taken, because it is told while it is taken.
        call.service.feeds.keep_plain(masked, plain, call.settings.delivery_seconds)
    asked = commands.send_event(call.caller, body.conference_id, event_id, masked, stored, call.settings)
    taken = await call.service.ask(*asked)
    assert isinstance(taken, v.EventTaken)
    if not stored:
        call.service.feeds.carry(body.conference_id, plain, taken.endpoints)
    return call.answer(answers.SendEventResponse(events_sent=len(taken.endpoints)))


async def register(call: Call) -> Response:
    return call.answer(answers.RegisteredUserEndpoint(id=await _register(call)))


async def register_bare(call: Call) -> Response:
    return call.answer(await _register(call))


def new_id() -> str:
    """An id that nobody can guess."""
    return secrets.token_hex(ID_BYTES)


# -- parts


async def _register(call: Call) -> str:
    body = call.body()
    user_endpoint_id: str = body.user_endpoint_id or new_id()
    await call.service.ask(*commands.register(call.caller, body, user_endpoint_id))
    return user_endpoint_id


def _summary(told: Message | None) -> answers.ConferenceSummary:
    assert isinstance(told, v.ConferenceTold)
    return answers.ConferenceSummary(id=told.id, version=told.version, mode=told.mode)


@contextmanager
def _offered(call: Call, sdp_offer: str) -> Iterator[tuple[str, Negotiation]]:
    """An offer on the desk, under a new peer's id, for as long as somebody waits for its answer."""
    desk, peer_id = call.service.peers.desk, new_id()
    try:
        yield peer_id, desk.lay(peer_id, sdp_offer)
    finally:
        desk.clear(peer_id)


async def _answered(negotiation: Negotiation) -> str:
    try:
        return await negotiation.wait_answer()
    except (BadOfferError, ClosedMeanwhileError) as error:
        raise RefusedError("bad_offer", str(error)) from error
    except UnknownStreamError as error:
        # Its publisher went while the offer was on its way.
        raise RefusedError(Reason.STREAM_NOT_FOUND) from error
    except MediaError as error:
        raise RefusedError("media_unavailable", type(error).__name__) from error


async def _conference(call: Call, conference_id: str) -> v.Conference:
    conference = await call.service.conference_for(call.caller, conference_id)
    if conference is None:
        raise RefusedError(Reason.CONFERENCE_NOT_FOUND)
    return conference


def _check_own(call: Call, conference: v.Conference, endpoint: str | None, missing: Reason) -> None:
    if endpoint is None:
        raise RefusedError(missing)
    if conference.participants[endpoint].user != call.caller.user:
        raise RefusedError(Reason.FORBIDDEN)


async def _add_candidates(call: Call, feed: Address, given: Any) -> None:
    """Candidates change no state: they go by the machine's peer, and not through the journal."""
    peer_id = (await call.service.runtime.snapshot(feed)).data.peer_id
    candidates: tuple[Candidate, ...] = commands.candidates(given)
    try:
        await call.service.peers.add_candidates(peer_id, candidates)
    except (UnknownPeerError, WorkerGoneError):
        # It is reconnecting: these belong to a peer that is gone.
        return
    except (HostBusyError, MediaTimeoutError) as error:
        raise RefusedError("media_unavailable", type(error).__name__) from error
    except MediaError as error:
        raise RefusedError("bad_request", str(error)) from error


def _check_bitrate(call: Call, bitrate_bps: int | None) -> None:
    least, most = call.settings.bitrate_min_bps, call.settings.bitrate_max_bps
    if bitrate_bps is not None and not least <= bitrate_bps <= most:
        raise RemoteProtocolError("$.videoBitrate", f"must be {least} to {most}")


def _json(event: Mapping[str, Any]) -> str:
    return msgspec.json.encode(event).decode()


RESPONDERS: Mapping[Endpoint, Responder] = {
    **{one: command for one in endpoints.ENDPOINTS if one.method == "POST" and not one.public},
    endpoints.CREATE: create,
    endpoints.JOIN: join,
    endpoints.PUBLISH: publish,
    endpoints.PUBLISH_CANDIDATES: add_publish_candidates,
    endpoints.VIEW: view,
    endpoints.VIEW_CANDIDATES: add_view_candidates,
    endpoints.BITRATE: limit,
    endpoints.SEND_EVENT: send_event,
    endpoints.REGISTER: register,
    endpoints.REGISTER_BARE: register_bare,
    endpoints.ACTIVE: readings.active,
    endpoints.CONFERENCE: readings.aggregate,
    endpoints.SIMPLE_VIEW: readings.simple_view,
    endpoints.EVENTS: readings.events,
    endpoints.ICE_SERVERS: readings.ice_servers,
}
