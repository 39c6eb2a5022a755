"""The pipes of a worker: which stream goes where, and that nothing is left of it."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from engine.media.inner import ClosePipe, OpenPipe
from engine.media.protocol import CloseReason, PeerExistsError, UnknownStreamError
from engine.media.rights import packet_pair
from engine.media.router.pipe import FarEnd, PipeAround
from engine.media.router.pipes import Pipes
from engine.media.router.stream import Stream
from tests.engine.media.router.test_pipe import Piped, Published, run, turns
from tests.engine.media.router.test_source import VIDEO


def descriptor_count() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class Workers:
    """Two workers' pipes, and the viewers that were ended."""

    def __init__(self, around: PipeAround) -> None:
        self.here: dict[str, Stream] = {"s": Published(VIDEO)}
        self.there: dict[str, Stream] = {}
        self.ended: list[tuple[str, CloseReason]] = []
        self.home = Pipes(self.here, around, self._end)
        self.far = Pipes(self.there, around, self._end)

    def _end(self, stream: Stream, reason: CloseReason) -> None:
        self.ended.append((stream.stream_id, reason))

    def open(self, pipe: int) -> None:
        ours, theirs = packet_pair()
        self.home.open(OpenPipe(pipe=pipe, stream_id="s", home=True), ours)
        self.far.open(OpenPipe(pipe=pipe, stream_id="s", home=False), theirs)

    def close(self) -> None:
        self.home.close_all()
        self.far.close_all()


def run_workers(main: Callable[[Workers], Awaitable[None]]) -> None:
    async def within(piped: Piped) -> None:
        workers = Workers(piped.around)
        await main(workers)
        workers.close()
        assert workers.home.statistics()["pipes_count"] == 0
        assert workers.far.statistics()["pipes_count"] == 0

    run(within)


def test_a_stream_from_elsewhere_can_be_viewed_until_its_pipe_is_closed() -> None:
    async def main(workers: Workers) -> None:
        workers.open(1)
        assert isinstance(workers.there["s"], FarEnd)
        close = ClosePipe(pipe=1, reason=CloseReason.WORKER_GONE)
        for _ in range(2):
            workers.far.close(close)
            workers.home.close(close)
        assert workers.there == {}
        assert workers.ended == [("s", CloseReason.WORKER_GONE)]
        assert not workers.here["s"].sources[0].taps

    run_workers(main)


def test_when_the_stream_ends_its_far_viewers_are_ended_once() -> None:
    async def main(workers: Workers) -> None:
        workers.open(1)
        workers.home.end(Published(VIDEO), CloseReason.DRAINED)
        workers.home.end(workers.here["s"], CloseReason.SOURCE_ENDED)
        await turns()
        workers.far.close(ClosePipe(pipe=1, reason=CloseReason.SOURCE_ENDED))
        assert workers.ended == [("s", CloseReason.SOURCE_ENDED)]
        assert workers.there == {}
        assert workers.home.statistics()["pipe_sent_packets"] == 2

    run_workers(main)


def test_pipes_that_cannot_be_opened_leave_nothing() -> None:
    async def main(workers: Workers) -> None:
        workers.open(1)
        before = descriptor_count()
        ours, theirs = packet_pair()
        with pytest.raises(UnknownStreamError):
            workers.home.open(OpenPipe(pipe=2, stream_id="another", home=True), ours)
        with pytest.raises(PeerExistsError):
            workers.far.open(OpenPipe(pipe=2, stream_id="s", home=False), theirs)
        again, unused = packet_pair()
        with pytest.raises(UnknownStreamError):
            workers.far.open(OpenPipe(pipe=2, stream_id="s", home=True), again)
        unused.close()
        assert descriptor_count() == before

    run_workers(main)


def test_50_pipes_leave_no_descriptor() -> None:
    async def main(workers: Workers) -> None:
        before = descriptor_count()
        for pipe in range(50):
            workers.open(pipe)
            await turns()
            close = ClosePipe(pipe=pipe, reason=CloseReason.REQUESTED)
            workers.far.close(close)
            workers.home.close(close)
        assert descriptor_count() == before

    run_workers(main)
