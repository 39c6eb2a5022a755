"""The SQLite journal beside a bare append and fdatasync on the same disk, in the same seconds."""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw
import attrs
import trio

from engine.journal.lockfile import Lockfile
from engine.journal.port import NewEvent, Write
from engine.journal.schema import open_writer, settle_epoch
from engine.journal.sqlite import SqliteJournal
from engine.journal.writer import Writer
from engine.journal.writes import Append
from tests.bench.report import Figure

ROUNDS = 9
SECONDS = 0.4
"""Each side of each round; a disk keeps its mood about that long."""
RECORD_BYTES = 300
EVENT = NewEvent("CallAccepted", 1_753_000_000.5, b"x" * 225)
IN_FLIGHT = {1: 0.85, 10: 4.0, 100: 15.0}
"""Appends in flight, and the multiple of bare syncs that is asked."""


SLOWER_SECONDS = 0.0008
"""Added to each sync of the slowed disk, on both sides: a plain server disk syncs in about a millisecond."""


def figures() -> Iterator[Figure]:
    """Rates and latencies beside a bare file, then what an event costs in CPU and bytes."""
    for slower, title in ((0.0, ""), (SLOWER_SECONDS, f", syncs slowed by {1000 * SLOWER_SECONDS:g} ms")):
        with tempfile.TemporaryDirectory() as folder:
            rounds = trio.run(_rounds, Path(folder), slower)
        yield from _rates(rounds, title)
        yield from _latencies(rounds, title)
    with tempfile.TemporaryDirectory() as folder:
        yield from _costs(Path(folder))


@attrs.frozen
class _Round:
    bare: Sequence[float]
    """Seconds of each bare append."""
    journal: dict[int, Sequence[float]]
    """Seconds of each append, by appends in flight."""
    bare_beside: dict[int, Sequence[float]]
    """The bare appends just before those."""


class _SlowDisk(apsw.VFS):
    """A disk whose every sync takes longer; its layer in Python costs a little of its own."""

    def __init__(self, slower: float) -> None:
        self.slower = slower
        super().__init__("slowed", "")

    def xOpen(self, name: Any, flags: list[int]) -> "_SlowFile":  # noqa: N802 # SQLite's name
        return _SlowFile(self.slower, name, flags)


class _SlowFile(apsw.VFSFile):
    def __init__(self, slower: float, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._slower = slower

    def xSync(self, flags: int) -> None:  # noqa: N802 # SQLite's name
        time.sleep(self._slower)
        super().xSync(flags)


async def _rounds(folder: Path, slower: float) -> Sequence[_Round]:
    rounds = []
    disk = _SlowDisk(slower) if slower else None
    async with SqliteJournal(folder / "calls.db", vfs="slowed" if disk else None) as journal:
        for number in range(ROUNDS):
            spent: dict[int, Sequence[float]] = {}
            beside: dict[int, Sequence[float]] = {}
            for flight in IN_FLIGHT:
                beside[flight] = _bare_appends(folder / "bare", slower)
                spent[flight] = await _appends(journal, number, flight)
            rounds.append(_Round([one for bare in beside.values() for one in bare], spent, beside))
    if disk is not None:
        disk.unregister()
    return rounds


def _bare_appends(path: Path, slower: float) -> Sequence[float]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    record, spent = b"x" * RECORD_BYTES, []
    end = time.perf_counter() + SECONDS
    while (before := time.perf_counter()) < end:
        os.write(descriptor, record)
        if slower:
            time.sleep(slower)
        os.fdatasync(descriptor)
        spent.append(time.perf_counter() - before)
    os.close(descriptor)
    return spent


async def _appends(journal: SqliteJournal, number: int, flight: int) -> Sequence[float]:
    spent: list[float] = []
    end = time.perf_counter() + SECONDS

    async def call(stream: str) -> None:
        head = 0
        while (before := time.perf_counter()) < end:
            (head,) = await journal.append(Write(stream, head, (EVENT,)))
            spent.append(time.perf_counter() - before)

    async with trio.open_nursery() as nursery:
        for index in range(flight):
            nursery.start_soon(call, f"call:{number}:{flight}:{index}")
    return spent


def _rates(rounds: Sequence[_Round], title: str) -> Iterator[Figure]:
    bare = statistics.median(len(one.bare) / sum(one.bare) for one in rounds)
    yield Figure(
        f"bare append + fdatasync{title}", bare, "appends/s", 1.0, note=f"{RECORD_BYTES} B, one after another"
    )
    for flight, asked in IN_FLIGHT.items():
        rates = [len(one.journal[flight]) / SECONDS for one in rounds]
        ratios = [
            rate / (len(one.bare_beside[flight]) / SECONDS) for rate, one in zip(rates, rounds, strict=True)
        ]
        note = f"x bare; rounds {min(ratios):.2f} to {max(ratios):.2f}"
        rate, ratio = statistics.median(rates), statistics.median(ratios)
        yield Figure(f"appends, {flight} in flight{title}", rate, "events/s", ratio, f">= {asked:g}", note)


def _latencies(rounds: Sequence[_Round], title: str) -> Iterator[Figure]:
    bare = [one for round_ in rounds for one in round_.bare_beside[1]]
    for flight in IN_FLIGHT:
        spent = [one for round_ in rounds for one in round_.journal[flight]]
        for percent in (50, 99):
            ours, theirs = _percentile(spent, percent) * 1000, _percentile(bare, percent) * 1000
            ask = "<= 6" if (flight, percent) == (1, 99) else ""
            note = f"x bare p{percent} of {theirs:.3g} ms"
            yield Figure(
                f"append p{percent}, {flight} in flight{title}", ours, "ms", ours / theirs, ask, note
            )


def _percentile(values: Sequence[float], percent: int) -> float:
    return sorted(values)[min(len(values) * percent // 100, len(values) - 1)]


def _costs(folder: Path) -> Iterator[Figure]:
    path, events = folder / "calls.db", 0
    lockfile = Lockfile(path)
    lockfile.acquire()
    connection = open_writer(path, 5.0, None)
    settle_epoch(connection, lockfile)
    writer = Writer(connection, lockfile, 5.0)
    for batch in (10, 100, 512):
        micros = _micros_per_event(writer, batch)
        events += _BATCHES * batch
        note = f"thread time of the writer, batches of {batch}, {_BATCHES} commits"
        yield Figure(
            f"lane CPU, batches of {batch}", micros, "us/event", None, "<= 15" if batch > 10 else "", note
        )
    writer.close()
    lockfile.release()
    content = len(EVENT.data) + len(EVENT.type)
    overhead = path.stat().st_size / events - content
    note = f"beside {content} B of type and body, {_BATCHES} events a call, all tables and indexes"
    yield Figure("file overhead", overhead, "B/event", overhead / content, "<= 100 B", note)


_BATCHES = 40


def _micros_per_event(writer: Writer, batch: int) -> float:
    """One event for each of `batch` calls, `_BATCHES` times over."""
    before = time.thread_time()
    for version in range(_BATCHES):
        writes = [Write(f"call:{batch}:{index}", version, (EVENT,)) for index in range(batch)]
        results = writer.commit([Append((write,), lambda result: None) for write in writes])
        assert results == [[version + 1]] * batch
    return (time.thread_time() - before) / (_BATCHES * batch) * 1e6
