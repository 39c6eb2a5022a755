"""What the machines of streams and views share: one peer at a time, named in every report of it."""

import attrs

from engine.effects import Ask
from engine.vocabulary import Event
from machines.conference import vocabulary as v

OPENING_SECONDS = 10.0
"""How long the media host may take to answer an offer."""

CONNECTING_SECONDS = 15.0
"""How long a peer may take to connect; the media host gives up before."""

RECONNECTING_SECONDS = 30.0
"""How long a place is kept for a client whose peer was lost."""

LASTING = frozenset({v.PeerEnd.LOST, v.PeerEnd.WORKER_GONE, v.PeerEnd.RESTARTED})
"""Ends that the client did not choose, and after which he may come back."""


def begin(key: str) -> v.Feed:
    """Nothing; the key is `<conference id>/<stream id>` or `<conference id>/<stream id>/<viewer id>`."""
    conference_id, _, rest = key.partition("/")
    stream_id, _, viewer_id = rest.partition("/")
    return v.Feed(conference_id=conference_id, stream_id=stream_id, viewer_id=viewer_id)


def evolve(feed: v.Feed, event: Event) -> v.Feed:
    """Another peer takes over, or is lost, or none has."""
    match event:
        case v.FeedOpened():
            return attrs.evolve(feed, peer_id=event.peer_id, lost=False)
        case v.FeedLost():
            return attrs.evolve(feed, lost=True)
        case v.FeedClosed():
            return attrs.evolve(feed, peer_id="", lost=False)
        case _:
            return feed


# -- guards


def of_this_peer(feed: v.Feed, command: v.NotePeer) -> bool:
    """An older peer has nothing to say."""
    return command.peer_id == feed.peer_id


def is_lost(feed: v.Feed, command: v.NotePeerGone) -> bool:
    """The peer is gone, and its client may come back."""
    return of_this_peer(feed, command) and command.end in LASTING


# -- parts


def close_peer(feed: v.Feed) -> tuple[Ask, ...]:
    """Whatever becomes of a feed, its peer does not outlive it; one that is lost was closed already."""
    if feed.lost or not feed.peer_id:
        return ()
    return (Ask(v.MEDIA, v.ClosePeer(peer_id=feed.peer_id)),)
