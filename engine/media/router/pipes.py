"""The pipes of one worker: which stream goes to which, and which comes from one."""

import socket
from collections.abc import Callable, Mapping, MutableMapping

from engine.media.inner import ClosePipe, OpenPipe
from engine.media.protocol import CloseReason, PeerExistsError, UnknownStreamError
from engine.media.router.pipe import FarEnd, HomeEnd, PipeAround
from engine.media.router.stream import Stream


class Pipes:
    """Opens and ends them. What comes from another worker is put among `streams`, and taken out again."""

    def __init__(
        self,
        streams: MutableMapping[str, Stream],
        around: PipeAround,
        end_viewers: Callable[[Stream, CloseReason], None],
    ) -> None:
        self._streams, self._around, self._end_viewers = streams, around, end_viewers
        self._homes: dict[int, tuple[Stream, HomeEnd]] = {}
        self._fars: dict[int, FarEnd] = {}
        self._sent = self._dropped = self._strange = 0

    def open(self, request: OpenPipe, sock: socket.socket) -> None:
        """Put an end on `sock`, which is ours from now on whatever happens.

        Raises:
            MediaError: there is no such stream, or it comes from elsewhere already.
        """
        try:
            begin = self._open_home if request.home else self._open_far
            begin(request, sock)
        except BaseException:
            sock.close()
            raise

    def _open_home(self, request: OpenPipe, sock: socket.socket) -> None:
        stream = self._streams.get(request.stream_id)
        if stream is None or isinstance(stream, FarEnd):
            raise UnknownStreamError("nobody publishes this stream here")
        self._homes[request.pipe] = stream, HomeEnd(sock, stream.tracks, stream.sources, self._around)

    def _open_far(self, request: OpenPipe, sock: socket.socket) -> None:
        if request.stream_id in self._streams:
            raise PeerExistsError("the stream is here already")
        far = FarEnd(sock, request.stream_id, self._around, lambda reason: self._leave(request.pipe, reason))
        self._streams[request.stream_id] = self._fars[request.pipe] = far

    def close(self, request: ClosePipe) -> None:
        """The host has no use for it any more."""
        home = self._homes.pop(request.pipe, None)
        if home is not None:
            home[1].close()
            self._count(home[1])
        self._leave(request.pipe, request.reason)

    def end(self, stream: Stream | None, reason: CloseReason) -> None:
        """The stream that is published here is over (or, with None, all are), and with it its pipes."""
        for pipe, (carried, home) in list(self._homes.items()):
            if stream in (None, carried):
                del self._homes[pipe]
                home.end(reason)
                self._count(home)

    def close_all(self) -> None:
        """Nobody is left."""
        for pipe in (*self._homes, *self._fars):
            self.close(ClosePipe(pipe=pipe, reason=CloseReason.REQUESTED))

    def statistics(self) -> Mapping[str, float]:
        """Figures of all pipes that are and were, seen from here."""
        ends = [end.pipe for _, end in self._homes.values()] + [end.pipe for end in self._fars.values()]
        return {
            "pipes_count": len(ends),
            "pipe_sent_packets": self._sent + sum(end.sent for end in ends),
            "pipe_dropped_packets": self._dropped + sum(end.dropped for end in ends),
            "pipe_strange_packets": self._strange + sum(end.strange for end in ends),
        }

    def _leave(self, pipe: int, reason: CloseReason) -> None:
        far = self._fars.pop(pipe, None)
        if far is not None:
            del self._streams[far.stream_id]
            self._end_viewers(far, reason)
            far.close()
            self._count(far)

    def _count(self, end: HomeEnd | FarEnd) -> None:
        """Keep the figures of one that is gone."""
        self._sent += end.pipe.sent
        self._dropped += end.pipe.dropped
        self._strange += end.pipe.strange
