"""Hosts of every kind with the same peers in them, and what a program holds of the system."""

import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import trio

from engine.media import protocol as p
from engine.media.fake import Break, FakeHost, Lose, open_fake_host
from engine.media.frames import Limits
from engine.media.host import HostSettings, WorkersHost
from engine.media.process import open_process_host
from engine.media.thread import open_thread_host
from tests.engine.media.router.clients import joined, offer_lines

EVERY_KIND = (pytest.param("process", marks=pytest.mark.slow), "thread", "fake", "router")
"""The router is in a thread; the others have a stand-in for it."""
KINDS = (pytest.param("process", marks=pytest.mark.slow), "thread", "fake")
STAND_IN = "tests.engine.media.standin:StandIn"
REAL = "engine.media.routing:open_router"
CALM = Limits(lag_max_milliseconds=60_000, cpu_max_fraction=100)
"""A busy machine must not make a test fail."""
_FINGERPRINT = "sha-256 " + ":".join(["AB"] * 32)
OFFER = joined(offer_lines("user", _FINGERPRINT))
VIEW_OFFER = joined(offer_lines("user", _FINGERPRINT, "recvonly"))

AnyHost: TypeAlias = WorkersHost | FakeHost


def settings(**changes: Any) -> HostSettings:
    changes = {"router": STAND_IN, "limits": CALM, **changes}
    return HostSettings(**changes)


@asynccontextmanager
async def open_kind(kind: str, *, batches_max: int = 1000) -> AsyncIterator[AnyHost]:
    """A host in which peers called slow, slow-0 and so on never settle, and those called broken fail."""
    if kind == "fake":
        async with open_fake_host(connect_seconds=0, batches_max=batches_max) as fake:
            for peer_id in ("slow", *(f"slow-{number}" for number in range(200))):
                fake.script(Lose(), request=p.View, peer_id=peer_id, times=None)
            fake.script(Lose(), request=p.OpenFramePeer, peer_id="slow", times=None)
            fake.script(Break(), peer_id="broken", times=None)
            yield fake
    else:
        opener = open_process_host if kind == "process" else open_thread_host
        router = REAL if kind == "router" else STAND_IN
        async with opener(settings(router=router, batches_max=batches_max)) as host:
            yield host


def publish(peer_id: str = "ann", stream_id: str = "stream", offer: str = OFFER) -> p.Publish:
    return p.Publish(stream_id=stream_id, peer_id=peer_id, sdp_offer=offer)


def view(peer_id: str = "bob", stream_id: str = "stream") -> p.View:
    return p.View(stream_id=stream_id, peer_id=peer_id, sdp_offer=VIEW_OFFER)


PATTERN = p.PatternSource(width=160, height=120)


def play(peer_id: str = "ann", send: p.FrameSource = PATTERN) -> p.OpenFramePeer:
    return p.OpenFramePeer(peer_id=peer_id, send=send)


async def offer_of(host: AnyHost, peer_id: str = "ann") -> str:
    """Of a peer with frames that plays a pattern."""
    offered = await host.request(play(peer_id))
    assert isinstance(offered, p.Offered)
    return offered.with_candidates()


def record(sdp_offer: str, peer_id: str = "bob", receive: p.FrameSink | None = None) -> p.AnswerFramePeer:
    """Answer the offer; what comes goes nowhere unless it is told."""
    receive = receive or p.CallableSink("tests.engine.media.frame_peer.callables:ignore")
    return p.AnswerFramePeer(peer_id=peer_id, sdp_offer=sdp_offer, receive=receive)


async def figure(host: AnyHost, name: str) -> float:
    answer = await host.request(p.GetStatistics())
    assert isinstance(answer, p.Statistics)
    return answer.values[name]


async def flood(host: AnyHost, peer_id: str, count: int) -> None:
    """Let so many events happen."""
    if isinstance(host, FakeHost):
        host.emit(*(p.PeerConnected(peer_id=peer_id, milliseconds=number) for number in range(count)))
    else:
        await host.request(p.LimitBitrate(peer_id=peer_id, bitrate_max_bps=count))


async def wait_event(reader: trio.MemoryReceiveChannel[p.Batch], kind: type[p.MediaEvent]) -> p.MediaEvent:
    """The next event of this class; what comes before it, or with it, is dropped."""
    while True:
        _, events = await reader.receive()
        for event in events:
            if isinstance(event, kind):
                return event


async def events_until(
    reader: trio.MemoryReceiveChannel[p.Batch], last: p.MediaEvent
) -> list[tuple[int, p.MediaEvent]]:
    """(number, event) of all events up to this one."""
    seen: list[tuple[int, p.MediaEvent]] = []
    while not seen or seen[-1][1] != last:
        number, events = await reader.receive()
        for event in events:
            seen.append((number, event))
            number += p.numbers_of([event])
    return seen


def held() -> tuple[set[str], set[threading.Thread], set[int]]:
    """Descriptors, threads and child processes of this program.

    Without the threads that trio keeps for a while for what comes next: they end when they have been idle.
    """
    descriptors = {
        each.name for each in Path("/proc/self/fd").iterdir() if each.exists() or each.is_symlink()
    }
    threads = {one for one in threading.enumerate() if not one.name.startswith("Trio thread")}
    return descriptors, threads, children()


def children(parent: int | None = None) -> set[int]:
    """Processes whose parent this is, dead ones that nobody has asked after included."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == (parent or os.getpid()):
            found.add(int(status.parent.name))
    return found
