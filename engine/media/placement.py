"""Which worker has which stream and which peer. Pure.

A stream lives on the worker that its publisher was put on, and its viewers join it there while there is room.
Then it is carried to another worker too, a cascade, and viewers join it there. Streams that have one room in
common are put on as few workers as will have them, and so are the viewers that their workers cannot take.
"""

import itertools
from collections import Counter
from collections.abc import Collection, Iterable

import attrs

from engine.media.protocol import CloseReason, FramePeerRequest, Publish, UnknownStreamError, View

VIEWERS_PER_WORKER = 300
"""A worker with more forwards the packets of one picture so long that the last viewers see it late."""


@attrs.define(eq=False, kw_only=True)
class Cascade:
    """A stream on a worker that it is not published on."""

    number: int
    """None is used twice."""
    stream_id: str
    home: int
    """Where it is published."""
    far: int
    viewers: int = 0
    """On the far worker; those that ask to be included."""
    ended: CloseReason | None = None
    """Why it is over; its viewers may still be there."""


@attrs.define(eq=False)
class Seat:
    """A peer on a worker."""

    worker: int
    stream_id: str | None
    """None of a peer with frames."""
    publishes: bool
    cascade: Cascade | None = None
    """What brings the stream to the worker; None where it is published."""
    asking: int = 0
    """Requests for it that are not answered."""
    taken: bool = False
    """One was answered well."""


@attrs.frozen
class Loss:
    """What went with a worker."""

    peer_ids: tuple[str, ...] = ()
    cascades: tuple[Cascade, ...] = ()
    """From it and to it."""


@attrs.define(eq=False)
class _Worker:
    accepting: bool = True
    cpu_fraction: float = 0.0
    peers: int = 0
    viewers: int = 0


@attrs.define(eq=False)
class _Stream:
    home: int
    room: str | None = None
    publishers: int = 0
    """Peers that publish it, or ask to."""
    cascades: dict[int, Cascade] = attrs.field(factory=dict)
    """By far worker, oldest first."""


class Placement:
    """Puts peers on workers and remembers where they are."""

    def __init__(self, viewers_per_worker: int = VIEWERS_PER_WORKER) -> None:
        self._viewers_per_worker = viewers_per_worker
        self._numbers = itertools.count(1)
        self._workers: dict[int, _Worker] = {}
        self._seats: dict[str, Seat] = {}
        self._streams: dict[str, _Stream] = {}
        self._rooms: dict[str, dict[str, _Stream]] = {}
        """The streams of each, oldest first."""

    # -- workers

    def add_worker(self, worker: int) -> None:
        """It is fresh and takes peers."""
        self._workers[worker] = _Worker()

    def remove_worker(self, worker: int) -> Loss:
        """It is gone. Viewers elsewhere of what was published on it stay until they are forgotten."""
        self._workers.pop(worker, None)
        cascades = tuple(each for each in self._cascades() if worker in (each.home, each.far))
        for cascade in cascades:
            self.end(cascade, CloseReason.WORKER_GONE)
        lost = tuple(peer_id for peer_id, seat in self._seats.items() if seat.worker == worker)
        for peer_id in lost:
            self.forget(peer_id)
        return Loss(lost, cascades)

    def measured(self, worker: int, *, cpu_fraction: float, accepting: bool) -> None:
        """What a worker last said of itself."""
        known = self._workers.get(worker)
        if known is not None:
            known.cpu_fraction, known.accepting = cpu_fraction, accepting

    @property
    def workers(self) -> tuple[int, ...]:
        """Those that run."""
        return tuple(self._workers)

    # -- peers

    def seat(self, request: Publish | View | FramePeerRequest, refused: Collection[int] = ()) -> Seat | None:
        """Where the peer is, or is put; None while there is no worker. Give it back by `settle`.

        `refused` are workers that have said no; one of them is taken when there is no other.

        Raises:
            UnknownStreamError: it is to view what nobody publishes.
        """
        seat = self._seats.get(request.peer_id) or self._new_seat(request, refused)
        if seat is not None:
            seat.asking += 1
        return seat

    def has_another(self, request: Publish | View | FramePeerRequest, refused: Collection[int]) -> bool:
        """Whether a worker that has not `refused` may take it."""
        # Who is somewhere stays there, and so does a stream.
        settled = request.peer_id in self._seats
        bound = isinstance(request, Publish) and request.stream_id in self._streams
        return not settled and not bound and bool(self._open_workers(refused))

    def settle(self, peer_id: str, seat: Seat, *, taken: bool) -> tuple[Cascade, ...]:
        """A request for the seat has ended; a seat that nobody got is free again, see `forget`."""
        seat.asking -= 1
        seat.taken = seat.taken or taken
        # The peer may have closed and come back meanwhile: then the seat is another one.
        if self._seats.get(peer_id) is seat and not (seat.taken or seat.asking):
            return self.forget(peer_id)
        return ()

    def worker_of(self, peer_id: str) -> int | None:
        """The worker that has the peer."""
        seat = self._seats.get(peer_id)
        return None if seat is None else seat.worker

    def closed(self, peer_id: str) -> tuple[Cascade, ...]:
        """The worker says that the peer has ended; see `forget`.

        Who asks for a peer that was there has asked for it anew: the answer decides about the seat.
        """
        seat = self._seats.get(peer_id)
        if seat is None:
            return ()
        # Whoever else asks to publish the stream begins another one.
        ended = self._end_cascades(seat.stream_id) if seat.publishes and seat.stream_id is not None else ()
        if seat.taken and seat.asking:
            seat.taken = False
            return ended
        return ended + self.forget(peer_id)

    def forget(self, peer_id: str) -> tuple[Cascade, ...]:
        """The peer is gone, and with a publisher its stream. Cascades that have lost their last viewer by it,
        or have ended.
        """
        seat = self._seats.pop(peer_id, None)
        if seat is None:
            return ()
        self._count(seat, -1)
        if seat.publishes and seat.stream_id is not None:
            return self._unpublish(seat.stream_id)
        cascade = seat.cascade
        return (cascade,) if cascade is not None and not cascade.viewers else ()

    def end(self, cascade: Cascade, reason: CloseReason) -> None:
        """It is over: nobody is put on it any more."""
        if cascade.ended is None:
            cascade.ended = reason
            del self._streams[cascade.stream_id].cascades[cascade.far]

    def homes_count(self, peer_id: str) -> int:
        """How many workers have the stream of a peer."""
        seat = self._seats.get(peer_id)
        stream = None if seat is None or seat.stream_id is None else self._streams.get(seat.stream_id)
        return 0 if stream is None else 1 + len(stream.cascades)

    @property
    def cascades_count(self) -> int:
        """Of all streams."""
        return sum(1 for _ in self._cascades())

    # -- where

    def _new_seat(self, request: Publish | View | FramePeerRequest, refused: Collection[int]) -> Seat | None:
        if isinstance(request, FramePeerRequest):
            return self._new_frame_seat(request.peer_id, refused)
        publishes = isinstance(request, Publish)
        stream = self._streams.get(request.stream_id)
        if stream is None:
            if not isinstance(request, Publish):
                raise UnknownStreamError("nobody publishes this stream")
            stream = self._new_stream(request, refused)
            if stream is None:
                return None
        stream.publishers += publishes
        worker = stream.home if publishes else self._worker_for_viewer(stream, refused)
        cascade = None if worker == stream.home else self._cascade(request.stream_id, stream, worker)
        seat = self._seats[request.peer_id] = Seat(worker, request.stream_id, publishes, cascade)
        self._count(seat, 1)
        return seat

    def _new_stream(self, request: Publish, refused: Collection[int]) -> _Stream | None:
        """Where most of its room is, of those with room; else where there is the least to do."""
        worker = self._with_room(self._workers_of(request.room), refused)
        worker = self._least_loaded(refused) if worker is None else worker
        if worker is None:
            return None
        stream = self._streams[request.stream_id] = _Stream(worker, request.room)
        if request.room is not None:
            self._rooms.setdefault(request.room, {})[request.stream_id] = stream
        return stream

    def _new_frame_seat(self, peer_id: str, refused: Collection[int]) -> Seat | None:
        worker = self._least_loaded(refused)
        if worker is None:
            return None
        seat = self._seats[peer_id] = Seat(worker, None, publishes=False)
        self._count(seat, 1)
        return seat

    def _workers_of(self, room: str | None) -> list[int]:
        """Those that have streams of it, most of them first; homes before where streams are carried to."""
        streams = () if room is None else tuple(self._rooms.get(room, {}).values())
        homes = Counter(stream.home for stream in streams)
        fars = Counter(itertools.chain.from_iterable(stream.cascades for stream in streams))
        ordered = [worker for counted in (homes, fars) for worker, _ in counted.most_common()]
        return list(dict.fromkeys(ordered))

    def _with_room(self, workers: Iterable[int], refused: Collection[int]) -> int | None:
        """The first of them that takes peers, and viewers without being full."""
        roomy = self._roomy_workers(refused)
        return next((one for one in workers if one in roomy), None)

    def _worker_for_viewer(self, stream: _Stream, refused: Collection[int]) -> int:
        """The first that has the stream, and room; else one with room, to which it is carried: where the
        other streams of its room are, or the one with the least to do.
        """
        takers = self._open_workers(refused)
        if not takers:
            return stream.home
        homes = (stream.home, *stream.cascades)
        here = self._with_room(homes, refused)
        if here is None:
            here = self._with_room(self._workers_of(stream.room), refused)
        if here is not None:
            return here
        if roomy := self._roomy_workers(refused):
            return min(roomy, key=self._burden)
        # All are full, and still take viewers: the fewer there are, the better; of equals the home.
        order = [*homes, *takers]
        return min(takers, key=lambda one: (self._workers[one].viewers, order.index(one)))

    def _cascade(self, stream_id: str, stream: _Stream, worker: int) -> Cascade:
        cascade = stream.cascades.get(worker)
        if cascade is None:
            cascade = Cascade(number=next(self._numbers), stream_id=stream_id, home=stream.home, far=worker)
            stream.cascades[worker] = cascade
        return cascade

    def _open_workers(self, refused: Collection[int]) -> list[int]:
        return [one for one, known in self._workers.items() if known.accepting and one not in refused]

    def _roomy_workers(self, refused: Collection[int]) -> list[int]:
        takers = self._open_workers(refused)
        return [one for one in takers if self._workers[one].viewers < self._viewers_per_worker]

    def _least_loaded(self, refused: Collection[int]) -> int | None:
        """Peers before processor time: what has just been put somewhere has used none yet."""
        if not self._workers:
            return None
        return min(self._workers, key=lambda one: (one in refused, self._burden(one)))

    def _burden(self, worker: int) -> tuple[bool, int, float, int]:
        known = self._workers[worker]
        return not known.accepting, known.peers, known.cpu_fraction, worker

    # -- counts

    def _count(self, seat: Seat, change: int) -> None:
        worker = self._workers.get(seat.worker)
        if worker is not None:
            worker.peers += change
            worker.viewers += 0 if seat.publishes or seat.stream_id is None else change
        if seat.cascade is not None:
            seat.cascade.viewers += change

    def _unpublish(self, stream_id: str) -> tuple[Cascade, ...]:
        stream = self._streams[stream_id]
        stream.publishers -= 1
        if stream.publishers:
            return ()
        ended = self._end_cascades(stream_id)
        del self._streams[stream_id]
        if stream.room is not None:
            streams = self._rooms[stream.room]
            del streams[stream_id]
            if not streams:
                del self._rooms[stream.room]
        return ended

    def _end_cascades(self, stream_id: str) -> tuple[Cascade, ...]:
        ended = tuple(self._streams[stream_id].cascades.values())
        for cascade in ended:
            self.end(cascade, CloseReason.SOURCE_ENDED)
        return ended

    def _cascades(self) -> Iterable[Cascade]:
        return itertools.chain.from_iterable(one.cascades.values() for one in self._streams.values())
