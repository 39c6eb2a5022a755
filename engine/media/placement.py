"""Which worker has which stream and which peer. Pure.

A stream lives on the worker that its publisher was put on, and its viewers join it there. `_Stream.homes` is
a sequence so that a stream may be piped to more workers: the first home is where it is published.
"""

import attrs

from engine.media.protocol import Publish, UnknownStreamError, View


@attrs.define(eq=False)
class Seat:
    """A peer on a worker."""

    worker: int
    stream_id: str
    publishes: bool
    asking: int = 0
    """Requests for it that are not answered."""
    taken: bool = False
    """One was answered well."""


@attrs.define(eq=False)
class _Worker:
    accepting: bool = True
    cpu_fraction: float = 0.0
    peers: int = 0


@attrs.define(eq=False)
class _Stream:
    homes: tuple[int, ...]
    publishers: int = 0
    """Peers that publish it, or ask to."""


class Placement:
    """Puts peers on workers and remembers where they are."""

    def __init__(self) -> None:
        self._workers: dict[int, _Worker] = {}
        self._seats: dict[str, Seat] = {}
        self._streams: dict[str, _Stream] = {}

    # -- workers

    def add_worker(self, worker: int) -> None:
        """It is fresh and takes peers."""
        self._workers[worker] = _Worker()

    def remove_worker(self, worker: int) -> tuple[str, ...]:
        """It is gone; the ids of the peers that went with it."""
        self._workers.pop(worker, None)
        lost = tuple(peer_id for peer_id, seat in self._seats.items() if seat.worker == worker)
        for peer_id in lost:
            self.forget(peer_id)
        return lost

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

    def seat(self, request: Publish | View) -> Seat | None:
        """Where the peer is, or is put; None while there is no worker. Give it back by `settle`.

        Raises:
            UnknownStreamError: it is to view what nobody publishes.
        """
        seat = self._seats.get(request.peer_id) or self._new_seat(request)
        if seat is not None:
            seat.asking += 1
        return seat

    def settle(self, peer_id: str, seat: Seat, *, taken: bool) -> None:
        """A request for the seat has ended; a seat that nobody got is free again."""
        seat.asking -= 1
        seat.taken = seat.taken or taken
        # The peer may have closed and come back meanwhile: then the seat is another one.
        if self._seats.get(peer_id) is seat and not (seat.taken or seat.asking):
            self.forget(peer_id)

    def worker_of(self, peer_id: str) -> int | None:
        """The worker that has the peer."""
        seat = self._seats.get(peer_id)
        return None if seat is None else seat.worker

    def forget(self, peer_id: str) -> None:
        """The peer is gone, and with a publisher its stream."""
        seat = self._seats.pop(peer_id, None)
        if seat is None:
            return
        if seat.worker in self._workers:
            self._workers[seat.worker].peers -= 1
        if seat.publishes:
            stream = self._streams[seat.stream_id]
            stream.publishers -= 1
            if not stream.publishers:
                del self._streams[seat.stream_id]

    def _new_seat(self, request: Publish | View) -> Seat | None:
        stream = self._streams.get(request.stream_id)
        if stream is None:
            if isinstance(request, View):
                raise UnknownStreamError("nobody publishes this stream")
            worker = self._least_loaded()
            if worker is None:
                return None
            stream = self._streams[request.stream_id] = _Stream((worker,))
        publishes = isinstance(request, Publish)
        stream.publishers += publishes
        seat = self._seats[request.peer_id] = Seat(stream.homes[0], request.stream_id, publishes)
        self._workers[seat.worker].peers += 1
        return seat

    def _least_loaded(self) -> int | None:
        """Peers before processor time: what has just been put somewhere has used none yet."""
        if not self._workers:
            return None
        return min(self._workers, key=self._burden)

    def _burden(self, worker: int) -> tuple[bool, int, float, int]:
        known = self._workers[worker]
        return not known.accepting, known.peers, known.cpu_fraction, worker
