"""The view: one viewer of one stream, from his offer to his end."""

from engine.effects import Ask, Tell
from engine.machine.table import After, EndOnCrash, Ignore, Row, Said, Table
from engine.vocabulary import Command
from machines.conference import vocabulary as v
from machines.conference.rules import feed
from machines.conference.rules.addresses import conference_address
from machines.conference.rules.feed import close_peer, is_lost, of_this_peer
from machines.conference.vocabulary import ViewState as S

OPEN = (S.OPENING, S.CONNECTING, S.LIVE)
HELD = (*OPEN, S.RECONNECTING)


def ask(view: v.Feed, command: v.OpenView) -> Said:
    opened = v.OpenViewer(peer_id=command.peer_id, source_id=command.source_id)
    return (v.FeedOpened(peer_id=command.peer_id), Ask(v.MEDIA, opened))


def replace(view: v.Feed, command: v.OpenView) -> Said:
    """The same viewer again, as clients do when ICE fails: his older peer goes."""
    return (*ask(view, command), *close_peer(view))


def answer(view: v.Feed, command: v.NoteAnswered) -> Said:
    return (v.FeedAnswered(),)


def connect(view: v.Feed, command: v.NoteConnected) -> Said:
    return (v.FeedConnected(),)


def lose(view: v.Feed, command: v.NotePeerGone) -> Said:
    return (v.FeedLost(reason=command.end.value), *close_peer(view))


def finish(view: v.Feed, command: v.NotePeerGone) -> Said:
    return _over(view, command.end.value)


def give_up(view: v.Feed, command: Command) -> Said:
    return _over(view, "expired")


def crash(view: v.Feed, command: Command) -> Said:
    return _over(view, "crashed")


def close(view: v.Feed, command: v.CloseFeed) -> Said:
    # The conference knows: it is the conference that says so.
    return (v.FeedClosed(), *close_peer(view))


def _over(view: v.Feed, reason: str) -> Said:
    over = v.NoteViewOver(stream_id=view.stream_id, viewer_id=view.viewer_id)
    return (
        v.FeedClosed(reason=reason),
        *close_peer(view),
        Tell(conference_address(view.conference_id), over),
    )


_PEER = (v.NoteAnswered, v.NoteConnected, v.NotePeerGone)

TABLE: Table[S, v.Feed] = Table(
    name="view",
    initial=S.ABSENT,
    final=frozenset(),
    start=feed.begin,
    evolve=feed.evolve,
    crash=EndOnCrash(S.ABSENT, crash),
    waits={S.ABSENT: "nobody views here", S.LIVE: "the media host says when it ends"},
    rows=(
        Row(S.ABSENT, v.OpenView, S.OPENING, ask),
        # Anew, so that the new peer has its whole time.
        Row(S.OPENING, v.OpenView, S.OPENING, replace, again=True),
        Row((S.CONNECTING, S.LIVE, S.RECONNECTING), v.OpenView, S.OPENING, replace),
        Row(S.OPENING, v.NoteAnswered, S.CONNECTING, answer, when=of_this_peer),
        Row(S.CONNECTING, v.NoteConnected, S.LIVE, connect, when=of_this_peer),
        Row((S.CONNECTING, S.LIVE), v.NotePeerGone, S.RECONNECTING, lose, when=is_lost),
        Row(OPEN, v.NotePeerGone, S.ABSENT, finish, when=of_this_peer),
        Row(S.OPENING, v.ExpireOpening, S.ABSENT, give_up),
        Row(S.CONNECTING, v.ExpireConnecting, S.ABSENT, give_up),
        Row(S.RECONNECTING, v.ExpireReconnecting, S.ABSENT, give_up),
        Row(HELD, v.CloseFeed, S.ABSENT, close),
    ),
    timers=(
        After(S.OPENING, v.ExpireOpening, seconds=feed.OPENING_SECONDS, name="opening"),
        After(S.CONNECTING, v.ExpireConnecting, seconds=feed.CONNECTING_SECONDS, name="connecting"),
        After(S.RECONNECTING, v.ExpireReconnecting, seconds=feed.RECONNECTING_SECONDS, name="reconnecting"),
    ),
    asides=(
        Ignore(HELD, _PEER, "it is about an older peer, or is known"),
        Ignore(S.ABSENT, _PEER, "there is no peer"),
        Ignore(S.ABSENT, v.CloseFeed, "the second report of one end"),
        Ignore((S.ABSENT, S.CONNECTING, S.LIVE, S.RECONNECTING), v.ExpireOpening, "late timer"),
        Ignore((S.ABSENT, S.OPENING, S.LIVE, S.RECONNECTING), v.ExpireConnecting, "late timer"),
        Ignore((S.ABSENT, *OPEN), v.ExpireReconnecting, "late timer"),
    ),
)
