"""What streams and views ask of peers, and what they are told: the conference API's terms with its peers."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

import attrs

from engine.app import peers
from engine.app.api import Backstage
from engine.app.peers import ON_DESK, Ending, Peers, Unopened
from engine.media.protocol import (
    ClosePeer,
    CloseReason,
    LimitBitrate,
    MediaRequest,
    PeerConnected,
    PeerEvent,
    PeerResumed,
    PeerStalled,
    Publish,
    View,
)
from engine.runtime.performers import Asked
from engine.vocabulary import Address, Command
from machines.conference import vocabulary as v
from machines.conference.rules.addresses import stream_of

_ENDS: Mapping[Ending, v.PeerEnd] = {
    CloseReason.REQUESTED: v.PeerEnd.REMOTE,
    CloseReason.REMOTE: v.PeerEnd.REMOTE,
    CloseReason.FAILED: v.PeerEnd.FAILED,
    CloseReason.FAULT: v.PeerEnd.FAILED,
    CloseReason.LOST: v.PeerEnd.LOST,
    CloseReason.SOURCE_ENDED: v.PeerEnd.SOURCE_ENDED,
    CloseReason.DRAINED: v.PeerEnd.WORKER_GONE,
    CloseReason.WORKER_GONE: v.PeerEnd.WORKER_GONE,
    Unopened.REFUSED: v.PeerEnd.REFUSED,
    Unopened.RESTARTED: v.PeerEnd.RESTARTED,
}

_HEARD: Mapping[type[PeerEvent], type[v.NotePeer]] = {
    PeerConnected: v.NoteConnected,
    PeerStalled: v.NoteStalled,
    PeerResumed: v.NoteResumed,
}


class ConferenceTerms:
    """Of streams and views with their peers."""

    def request(self, asked: Asked) -> MediaRequest:
        """What a stream or a view wants of the media host."""
        match asked.request:
            case v.OpenPublisher(peer_id=peer_id, bitrate_bps=bitrate_bps):
                return _publish(asked.member, peer_id, bitrate_bps)
            case v.OpenViewer(peer_id=peer_id, source_id=source_id):
                return View(stream_id=source_id, peer_id=peer_id, sdp_offer=ON_DESK)
            case v.LimitPeer(peer_id=peer_id, bitrate_bps=bitrate_bps):
                return LimitBitrate(peer_id=peer_id, bitrate_max_bps=bitrate_bps)
            case request:
                assert isinstance(request, v.ClosePeer)
                return ClosePeer(peer_id=request.peer_id)

    def answered(self, peer_id: str) -> Command:
        """The offer has its answer."""
        return v.NoteAnswered(peer_id=peer_id)

    def heard(self, event: PeerEvent) -> Command | None:
        """What changes the state of a stream or a view."""
        note = _HEARD.get(type(event))
        return None if note is None else note(peer_id=event.peer_id)

    def gone(self, peer_id: str, ending: Ending) -> Command:
        """The peer is no more."""
        return v.NotePeerGone(peer_id=peer_id, end=_ENDS[ending])


def _publish(stream: Address, peer_id: str, bitrate_bps: int | None) -> Publish:
    """A stream goes by the id of its publisher's peer, so that one that is published again is another."""
    room = stream_of(stream.key)
    published = Publish(stream_id=peer_id, peer_id=peer_id, sdp_offer=ON_DESK, room=room)
    return published if bitrate_bps is None else attrs.evolve(published, bitrate_max_bps=bitrate_bps)


def open_peers(backstage: Backstage) -> AbstractAsyncContextManager[Peers]:
    """The crew of the conference API."""
    return peers.open_peers(backstage, v.MEDIA, ConferenceTerms())
