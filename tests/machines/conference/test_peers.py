"""Peers of streams and views, as clients see them; for their owners see tests/engine/app/test_peers.py."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from engine.app.peers import Unopened
from engine.errors import MediaError
from engine.media import protocol as p
from engine.media.fake import Break, Delay, Refuse
from machines.conference import vocabulary as v
from machines.conference.peers import ConferenceTerms
from tests.engine.journal.full import Full
from tests.machines.conference.studio import Studio, studio

STEPS = 12
"""More scheduler steps than an offer takes to its answer."""


async def settle(seconds: float = 0.5) -> None:
    await trio.sleep(seconds)


async def on_air(stage: Studio) -> None:
    await stage.enter("ann", "bob")
    assert [(await stage.publish("ann"))[0], (await stage.view("bob"))[0]] == [200, 200]
    await settle()


def nothing_is_open(stage: Studio) -> bool:
    return not (stage.media.peer_ids or len(stage.service.peers) or len(stage.service.peers.desk))


# -- cancelled


@pytest.mark.parametrize("kind", [p.Publish, p.View])
@pytest.mark.parametrize("steps", range(STEPS))
async def test_a_client_that_goes_at_any_moment_leaves_no_negotiation_and_no_peer(
    autojump_clock: MockClock, kind: type[p.MediaRequest], steps: int
) -> None:
    async with studio(connect_seconds=None) as stage:
        await on_air_without_view(stage, kind)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stage.publish if kind is p.Publish else stage.view, _user(kind))
                for _ in range(steps):
                    await trio.lowlevel.checkpoint()
                scope.cancel()
        await settle(20.0)
        await stage.post("ann", "conferences/end", **stage.of("ann"))
        await settle()
        assert nothing_is_open(stage)


async def on_air_without_view(stage: Studio, kind: type[p.MediaRequest]) -> None:
    await stage.enter("ann", "bob")
    if kind is p.View:
        assert (await stage.publish("ann"))[0] == 200


def _user(kind: type[p.MediaRequest]) -> str:
    return "ann" if kind is p.Publish else "bob"


@pytest.mark.parametrize("seconds", [0.5, 1.5])
async def test_a_conference_that_ends_while_an_offer_is_on_its_way_leaves_no_peer(
    autojump_clock: MockClock, seconds: float
) -> None:
    async with studio() as stage:
        await stage.enter("ann")
        stage.media.script(Delay(1.0), request=p.Publish)
        async with trio.open_nursery() as nursery:
            told: list[Any] = []

            async def publish() -> None:
                told.append(await stage.publish("ann"))

            nursery.start_soon(publish)
            await settle(seconds)
            await stage.post("ann", "conferences/end", **stage.of("ann"))
        await settle(2.0)
        assert told[0][0] == (400 if seconds < 1.0 else 200)
        assert nothing_is_open(stage)


async def test_an_engine_that_is_left_while_an_offer_is_on_its_way_leaves_no_peer(
    autojump_clock: MockClock,
) -> None:
    async with studio() as stage:
        await stage.enter("ann")
        stage.media.script(Delay(60.0), request=p.Publish)
        media, peers = stage.media, stage.service.peers
        with trio.move_on_after(1.0):
            await stage.publish("ann")
    assert (media.peer_ids, len(peers)) == ((), 0)


# -- a host that fails


async def test_the_streams_of_a_conference_are_of_one_room(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await stage.enter("ann", "bob")
        await stage.enter("eve", conference="c2")
        for user, stream in (("ann", "s1"), ("bob", "s2")):
            assert (await stage.publish(user, stream))[0] == 200
        assert (await stage.publish("eve", **stage.of("eve", "c2")))[0] == 200
        asked = stage.asked(p.Publish)
        rooms = [one.room for one in asked if isinstance(one, p.Publish)]
        assert rooms == ["conference.conference:c1", "conference.conference:c1", "conference.conference:c2"]


async def test_a_bug_of_the_media_side_is_told_as_unavailable(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await stage.enter("ann")
        stage.media.script(Break(), request=p.Publish)
        status, told = await stage.publish("ann")
        assert (status, told["error"]) == (503, "media_unavailable")
        await settle()
        assert nothing_is_open(stage)


async def test_a_cap_that_cannot_be_set_stands_all_the_same(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await on_air(stage)
        stage.media.script(Refuse(MediaError("no")), request=p.LimitBitrate)
        body = {**stage.of("ann"), "streamId": "s1", "videoBitrate": 100_000}
        assert (await stage.post("ann", "conferences/updatePublishedStreamBitrate", **body))[0] == 204
        await settle()
        assert (await stage.conference()).data.streams["s1"].bitrate_bps == 100_000
        assert await stage.stream_state() == "LIVE"


async def test_kept_candidates_that_are_wrong_cost_no_peer(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await stage.enter("ann")
        stage.media.script(Delay(1.0), request=p.Publish)
        stage.media.script(Refuse(MediaError("no candidate")), request=p.AddCandidates)
        body = {**stage.of("ann"), "streamId": "s1", "iceCandidates": [{"candidate": "nonsense"}]}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.publish, "ann")
            await settle(0.5)
            path = "conferences/addPublishStreamIceCandidates"
            assert await stage.post("ann", path, **body) == (204, None)
        await settle()
        assert await stage.stream_state() == "LIVE"


async def test_a_failing_performer_ends_its_stream_alone_and_tells_its_publisher(
    autojump_clock: MockClock,
) -> None:
    async with studio() as stage:
        await on_air(stage)
        await stage.enter("eve", conference="c2")
        with broken(stage):
            status, told = await stage.publish("ann", "s2")
        # Nothing is wrong with the offer, and to send it again would not help.
        assert (status, told["error"]) == (500, "internal")
        await settle()
        assert await stage.events(3) == []
        assert (await stage.stream_state("s2"), await stage.stream_state("s1")) == ("ABSENT", "LIVE")
        assert "s2" not in (await stage.conference()).data.streams
        assert (await stage.get("eve", "conferences/c2"))[1]["empty"] is False
        assert len(stage.service.peers.desk) == 0


async def test_a_failing_performer_ends_its_view_alone_and_tells_its_viewer(
    autojump_clock: MockClock,
) -> None:
    async with studio() as stage:
        await on_air(stage)
        with broken(stage):
            status, told = await stage.view("bob", viewer="v2")
        assert (status, told["error"]) == (500, "internal")
        await settle()
        assert (await stage.view_state(viewer="v2"), await stage.view_state()) == ("ABSENT", "LIVE")


@contextmanager
def broken(stage: Studio) -> Iterator[None]:
    """The media host raises what no port may raise."""

    async def fail(*_: object, **__: object) -> None:
        raise ValueError("a bug")

    request, stage.media.request = stage.media.request, fail  # type: ignore[method-assign,assignment]
    yield
    stage.media.request = request  # type: ignore[method-assign]


async def test_an_answer_that_cannot_be_journaled_is_told_as_that_and_its_peer_is_closed(
    autojump_clock: MockClock,
) -> None:
    async with Full() as journal, studio(journal=journal) as stage:
        await stage.enter("ann")
        stage.media.script(Delay(1.0), request=p.Publish)
        async with trio.open_nursery() as nursery:

            async def publish() -> None:
                status, told = await stage.publish("ann")
                assert (status, told["error"]) == (503, "overloaded")

            nursery.start_soon(publish)
            await settle(0.5)
            journal.is_full = True
        journal.is_full = False
        await settle(20.0)
        assert nothing_is_open(stage)
        assert await stage.stream_state() == "ABSENT"


# -- what machines are told


def test_for_every_ending_of_a_peer_there_is_a_word() -> None:
    told = {ending: ConferenceTerms().gone("p1", ending) for ending in (*p.CloseReason, *Unopened)}
    assert {one.end for one in told.values() if isinstance(one, v.NotePeerGone)} == {*v.PeerEnd}


async def test_a_peer_whose_end_was_missed_is_found_out(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await on_air(stage)
        gone = stage.media.peer_ids[0]
        # It goes without a word, as when its event was lost.
        del stage.media._peers[gone]
        stage.media.emit(p.EventsLost(count=1), p.EventsLost(count=2))
        await settle()
        assert await stage.stream_state() == "RECONNECTING"


# -- a crash of the engine


@pytest.mark.slow
async def test_after_a_crash_live_streams_reconnect_and_are_published_again(tmp_path: Path) -> None:
    """In real time: a clock that jumps does not wait for the disk."""
    journal, copied = tmp_path / "calls.db", tmp_path / "copy.db"
    async with studio(journal=f"sqlite:///{journal}") as stage:
        await on_air(stage)
        # What lies on the disk in the moment of a power cut.
        for suffix in ("", "-wal"):
            source = journal.with_name(journal.name + suffix)
            if source.exists():
                copied.with_name(copied.name + suffix).write_bytes(source.read_bytes())
    async with studio(journal=f"sqlite:///{copied}") as stage:
        await settle()
        assert (await stage.stream_state(), await stage.view_state()) == ("RECONNECTING", "RECONNECTING")
        assert [(await stage.publish("ann"))[0], (await stage.view("bob"))[0]] == [200, 200]
        await settle()
        assert (await stage.stream_state(), await stage.view_state()) == ("LIVE", "LIVE")
        assert len(stage.media.peer_ids) == 2


# -- the desk


async def test_no_secret_is_logged(autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]) -> None:
    async with studio() as stage:
        await stage.enter("ann")
        stage.media.script(Break(), request=p.Publish)
        await stage.publish("ann")
        stage.media.script(Refuse(MediaError("no")), request=p.ClosePeer, times=None)
        await stage.publish("ann")
        await stage.post("ann", "conferences/end", **stage.of("ann"))
        await settle(2.0)
        metrics = (await stage.raw("GET", "/metrics")).body.decode()
        token = stage.token("ann")["authorization"].removeprefix("Bearer ")
        await wait_all_tasks_blocked()
        logged = capsys.readouterr()
        seen = logged.out + logged.err + metrics + repr(stage.service.peers.__dict__)
        assert "peer_not_closed" in logged.out + logged.err
        for secret in (
            token,
            token.split(".")[1][:20],
            "ice-pwd",
            "0123456789abcdefghijklmn",
            "a signing key",
        ):
            assert secret not in seen
