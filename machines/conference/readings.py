"""What is read of conferences, over HTTP."""

from collections.abc import Sequence
from urllib.parse import quote

import trio

from engine.transport.application import Response
from machines.conference import endpoints, projection, wire
from machines.conference import vocabulary as v
from machines.conference import wire_answers as answers
from machines.conference.feeds import Entry
from machines.conference.reasons import Reason
from machines.conference.refusals import RefusedError
from machines.conference.rules import roll
from machines.conference.service import Call

AT_ONCE = 20
"""Conferences that are read before others get their turn."""


async def active(call: Call) -> Response:
    """Conferences that have not ended."""
    runtime = call.service.runtime
    found: list[answers.Conference] = []
    for number, (stream, _) in enumerate(await runtime.journal.heads((f"live:{v.CONFERENCE}",)), 1):
        if number % AT_ONCE == 0:
            # What is loaded is read without waiting, and there may be thousands.
            await trio.lowlevel.checkpoint()
        conference = await call.service.conference_for(call.caller, stream.partition(":")[2])
        if conference is not None:
            found.append(projection.aggregate(conference, empty=roll.is_empty(conference)))
    return call.answer(tuple(found))


async def aggregate(call: Call) -> Response:
    """The whole conference, ended ones too."""
    conference = await _named(call)
    return call.answer(projection.aggregate(conference, empty=roll.is_empty(conference)))


async def simple_view(call: Call) -> Response:
    """The conference by users."""
    return call.answer(projection.simple_view(await _named(call)))


async def events(call: Call) -> Response:
    """The events from a version on, or after a while that there are none (2.3, "events?v=n").

    A long history is told in parts, so that one request costs neither much memory nor anybody's time.
    """
    query = wire.read_events_query(call.request.query)
    conference = await _named(call)
    feed = await call.service.feeds.enter(conference.id)
    try:
        entries = await feed.wait_since(query.v, call.settings.poll_seconds)
    finally:
        call.service.feeds.leave(feed)
    part = entries[: call.settings.events_max]
    # Each entry is JSON already.
    body = f"[{','.join(entry.text for entry in part)}]".encode()
    return Response(200, body, headers=_next(conference.id, part) if len(part) < len(entries) else ())


def _next(conference_id: str, told: Sequence[Entry]) -> tuple[tuple[str, str], ...]:
    """Where what follows is to be had (RFC 8288)."""
    last = told[-1].version
    path = endpoints.EVENTS.path.format(id=quote(conference_id, safe=""))
    return (("link", f'<{path}?v={0 if last is None else last + 1}>; rel="next"'),)


async def ice_servers(call: Call) -> Response:
    """The configured servers."""
    return call.answer(answers.IceServers(ice_servers=call.settings.ice_servers))


async def _named(call: Call) -> v.Conference:
    """The conference that the path names."""
    conference_id = wire.read_id(call.found.parameters["id"])
    conference = await call.service.conference_for(call.caller, conference_id)
    if conference is None:
        raise RefusedError(Reason.CONFERENCE_NOT_FOUND)
    return conference
