"""The stream: what one endpoint publishes, from its offer to its end."""

from engine.effects import Ask, Tell
from engine.machine.table import After, EndOnCrash, Ignore, Row, Said, Table
from engine.vocabulary import Address, Command
from machines.conference import vocabulary as v
from machines.conference.rules import feed
from machines.conference.rules.addresses import conference_address
from machines.conference.rules.feed import close_peer, is_lost, of_this_peer
from machines.conference.vocabulary import StreamState as S

STALLED_SECONDS = 60.0
"""How long a publisher may send nothing though his peer is there."""

OPEN = (S.OPENING, S.CONNECTING, S.LIVE, S.STALLED)
HELD = (*OPEN, S.RECONNECTING)


def ask(stream: v.Feed, command: v.OpenStream) -> Said:
    opened = v.OpenPublisher(peer_id=command.peer_id, bitrate_bps=command.bitrate_bps)
    return (v.FeedOpened(peer_id=command.peer_id), Ask(v.MEDIA, opened))


def announce(stream: v.Feed, command: v.NoteAnswered) -> Said:
    note = v.NotePublished(stream_id=stream.stream_id, peer_id=stream.peer_id)
    return (v.FeedAnswered(), Tell(_conference(stream), note))


def connect(stream: v.Feed, command: v.NoteConnected) -> Said:
    return (v.FeedConnected(),)


def stall(stream: v.Feed, command: v.NoteStalled) -> Said:
    return (v.FeedStalled(),)


def resume(stream: v.Feed, command: v.NoteResumed) -> Said:
    return (v.FeedResumed(),)


def limit(stream: v.Feed, command: v.LimitStream) -> Said:
    limited = v.LimitPeer(peer_id=stream.peer_id, bitrate_bps=command.bitrate_bps)
    return (v.FeedLimited(bitrate_bps=command.bitrate_bps), Ask(v.MEDIA, limited))


def lose(stream: v.Feed, command: v.NotePeerGone) -> Said:
    return (v.FeedLost(reason=command.end.value), *close_peer(stream), _lost(stream))


def give_up_stall(stream: v.Feed, command: v.ExpireStall) -> Said:
    return (v.FeedLost(reason="silent"), *close_peer(stream), _lost(stream))


def finish(stream: v.Feed, command: v.NotePeerGone) -> Said:
    return _over(stream, command.end.value)


def give_up(stream: v.Feed, command: Command) -> Said:
    return _over(stream, "expired")


def crash(stream: v.Feed, command: Command) -> Said:
    return _over(stream, "crashed")


def close(stream: v.Feed, command: v.CloseFeed) -> Said:
    # The conference knows: it is the conference that says so.
    return (v.FeedClosed(), *close_peer(stream))


def _over(stream: v.Feed, reason: str) -> Said:
    over = v.NoteStreamOver(stream_id=stream.stream_id, peer_id=stream.peer_id, reason=reason)
    return (v.FeedClosed(reason=reason), *close_peer(stream), Tell(_conference(stream), over))


def _lost(stream: v.Feed) -> Tell:
    note = v.NoteStreamLost(stream_id=stream.stream_id, peer_id=stream.peer_id)
    return Tell(_conference(stream), note)


def _conference(stream: v.Feed) -> Address:
    return conference_address(stream.conference_id)


_PEER = (v.NoteAnswered, v.NoteConnected, v.NoteStalled, v.NoteResumed, v.NotePeerGone)

TABLE: Table[S, v.Feed] = Table(
    name="stream",
    initial=S.ABSENT,
    final=frozenset(),
    start=feed.begin,
    evolve=feed.evolve,
    crash=EndOnCrash(S.ABSENT, crash),
    waits={S.ABSENT: "nobody publishes it", S.LIVE: "the media host says when it stalls or ends"},
    rows=(
        Row((S.ABSENT, S.RECONNECTING), v.OpenStream, S.OPENING, ask),
        Row(S.OPENING, v.NoteAnswered, S.CONNECTING, announce, when=of_this_peer),
        Row(S.CONNECTING, v.NoteConnected, S.LIVE, connect, when=of_this_peer),
        Row(S.LIVE, v.NoteStalled, S.STALLED, stall, when=of_this_peer),
        Row(S.STALLED, v.NoteResumed, S.LIVE, resume, when=of_this_peer),
        Row((S.CONNECTING, S.LIVE, S.STALLED), v.LimitStream, None, limit),
        Row((S.CONNECTING, S.LIVE, S.STALLED), v.NotePeerGone, S.RECONNECTING, lose, when=is_lost),
        Row(OPEN, v.NotePeerGone, S.ABSENT, finish, when=of_this_peer),
        Row(S.OPENING, v.ExpireOpening, S.ABSENT, give_up),
        Row(S.CONNECTING, v.ExpireConnecting, S.ABSENT, give_up),
        Row(S.STALLED, v.ExpireStall, S.RECONNECTING, give_up_stall),
        Row(S.RECONNECTING, v.ExpireReconnecting, S.ABSENT, give_up),
        Row(HELD, v.CloseFeed, S.ABSENT, close),
    ),
    timers=(
        After(S.OPENING, v.ExpireOpening, seconds=feed.OPENING_SECONDS, name="opening"),
        After(S.CONNECTING, v.ExpireConnecting, seconds=feed.CONNECTING_SECONDS, name="connecting"),
        After(S.STALLED, v.ExpireStall, seconds=STALLED_SECONDS, name="stall"),
        After(S.RECONNECTING, v.ExpireReconnecting, seconds=feed.RECONNECTING_SECONDS, name="reconnecting"),
    ),
    asides=(
        Ignore(OPEN, v.OpenStream, "the conference asks for one peer at a time"),
        Ignore(HELD, _PEER, "it is about an older peer, or is known"),
        Ignore(S.ABSENT, _PEER, "there is no peer"),
        Ignore((S.ABSENT, S.OPENING, S.RECONNECTING), v.LimitStream, "there is no peer to limit"),
        Ignore(S.ABSENT, v.CloseFeed, "the second report of one end"),
        Ignore((S.ABSENT, S.CONNECTING, S.LIVE, S.STALLED, S.RECONNECTING), v.ExpireOpening, "late timer"),
        Ignore((S.ABSENT, S.OPENING, S.LIVE, S.STALLED, S.RECONNECTING), v.ExpireConnecting, "late timer"),
        Ignore((S.ABSENT, S.OPENING, S.CONNECTING, S.LIVE, S.RECONNECTING), v.ExpireStall, "late timer"),
        Ignore((S.ABSENT, *OPEN), v.ExpireReconnecting, "late timer"),
    ),
)
