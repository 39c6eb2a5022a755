"""Damaged offers, candidates, bodies and frames at the served conference API, with the real media router.

An offer is answered or refused with a reason; nothing breaks, and no peer is left half open.
"""

import json
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from engine.media.thread import open_thread_host
from machines.conference import endpoints
from machines.conference.settings import ConferenceSettings
from tests.engine.media import rigs
from tests.engine.media.router.clients import joined, offer_lines
from tests.machines.conference.sockets import listening
from tests.machines.conference.studio import Studio, studio
from tests.machines.conference.test_endpoints import BODIES

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("SWITCHHOOK_FUZZ_EXAMPLES", "600"))
SEED = int(os.environ.get("SWITCHHOOK_FUZZ_SEED", "7"))
WAVE = 20
"""Requests between two looks at what is left."""

FINGERPRINT = "sha-256 " + ":".join(["AB"] * 32)
OFFERS = {
    direction: [
        joined(offer_lines("user", FINGERPRINT, direction)),
        joined(offer_lines("user", FINGERPRINT, direction, kinds=("video",), simulcast=True)),
        joined(offer_lines("user", FINGERPRINT, direction, codec="H264/90000", ssrcs=True)),
    ]
    for direction in ("sendonly", "recvonly")
}
CANDIDATES = (
    "candidate:1 1 udp 2122260223 192.0.2.1 50000 typ host generation 0 ufrag user",
    "candidate:2 1 tcp 1518280447 2001:db8::1 9 typ host tcptype active",
    "candidate:3 1 udp 1686052607 198.51.100.7 61665 typ srflx raddr 192.0.2.1 rport 50000",
    "candidate:4 1 udp 1 6f1c0c2e-0000-4000-8000-000000000001.local 50001 typ host",
    "",
)
ODD = ("", "0", "-1", "65536", "4294967296", "x" * 300, "é", "\x00", "*", "IN IP4", "9" * 40, "a=", "\r")
LINES = ("m=video 9 UDP/TLS/RTP/SAVPF 96", "m=", "a=", "=", "a=rid:1 send")


def damaged(text: str, chance: random.Random) -> str:
    """An offer with lines and words cut out, doubled, moved and replaced."""
    lines = text.split("\r\n")
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(lines) or 1)
        match chance.randrange(7):
            case 0:
                del lines[at : at + chance.randrange(1, 4)]
            case 1:
                lines[at:at] = lines[at : at + chance.randrange(1, 6)]
            case 2 if lines:
                words = lines[at].split(" ")
                words[chance.randrange(len(words))] = chance.choice(ODD)
                lines[at] = " ".join(words)
            case 3:
                chance.shuffle(lines)
            case 4:
                lines.insert(at, chance.choice(LINES))
            case 5 if lines:
                place = chance.randrange(len(lines[at]) + 1)
                lines[at] = lines[at][:place] + chance.choice(ODD) + lines[at][place + 1 :]
            case _:
                del lines[at + 1 :]
        lines = lines or [""]
    return chance.choice(("\r\n", "\r\n", "\r\n", "\n", "\r")).join(lines)


def spoilt(value: Any, chance: random.Random) -> Any:
    """A body of which something is missing or is something else."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        name = chance.choice([*value])
        return {**value, name: spoilt(value[name], chance)}
    odd = (None, True, 7, -1, 1e300, 2**70, "", "x" * 129, "a/b", "\x00", [], {}, [[]], {"a": None})
    return chance.choice(odd)


@asynccontextmanager
async def on_air() -> AsyncIterator[Studio]:
    """A service with the real router, in real time: Ann publishes s1, Bob views it as v1."""
    async with open_thread_host(rigs.settings(router=rigs.REAL)) as media:
        async with studio(ConferenceSettings(poll_seconds=0.0), media=media) as stage:
            await stage.enter("ann", "bob")
            await renewed(stage)
            yield stage
        assert await rigs.figure(media, "peers_count") == 0


async def renewed(stage: Studio) -> None:
    """Nothing is left of what was asked; s1 and v1 have new peers, because none that is given up in time."""
    for name, viewer in (("s1", "v1"), ("s2", "")):
        body = {**stage.of("ann"), "streamId": name}
        await stage.post("ann", "conferences/unpublishStream", **body)
        await stage.post(
            "bob", "conferences/stopViewStream", **stage.of("bob"), streamId=name, viewerId=viewer
        )
    with trio.fail_after(10.0):
        await _until_silent(stage)
    assert [(await stage.publish("ann"))[0], (await stage.view("bob"))[0]] == [200, 200]
    assert len(stage.service.peers.desk) == 0


async def _until_silent(stage: Studio) -> None:
    while len(stage.service.peers) or await rigs.figure(stage.engine.media, "peers_count"):  # noqa: ASYNC110
        await trio.sleep(0.01)


async def test_damaged_offers_are_answered_or_refused_and_leave_no_peer() -> None:
    chance, statuses = random.Random(SEED), Counter[tuple[str, int]]()
    async with on_air() as stage:
        for number in range(EXAMPLES):
            kind = chance.choice(("publish", "view"))
            offer = damaged(chance.choice(OFFERS["sendonly" if kind == "publish" else "recvonly"]), chance)
            if kind == "publish":
                status, told = await stage.publish("ann", "s2", sdpOffer=offer)
            else:
                status, told = await stage.view("bob", viewer="v2", sdpOffer=offer)
            statuses[kind, status] += 1
            assert status in (200, 400), (status, told, offer)
            if status == 200:
                assert told["sdpAnswer"].startswith("v=0\r\n"), offer
            else:
                assert told["error"] in ("bad_offer", "bad_request"), (told, offer)
                assert told["error_description"]
            await _undo(stage, kind, status)
            if number % WAVE == 0:
                await renewed(stage)
        await renewed(stage)
    print(f"offers: {dict(sorted(statuses.items()))}")
    assert all(statuses[kind, status] for kind in ("publish", "view") for status in (200, 400))


async def _undo(stage: Studio, kind: str, status: int) -> None:
    name = "unpublishStream" if kind == "publish" else "stopViewStream"
    stream = {"streamId": "s2"} if kind == "publish" else {"streamId": "s1", "viewerId": "v2"}
    user = "ann" if kind == "publish" else "bob"
    undone, _ = await stage.post(user, f"conferences/{name}", **stage.of(user), **stream)
    assert (undone == 204) == (status == 200), (status, undone)


async def test_damaged_candidates_are_taken_or_refused() -> None:
    chance, statuses = random.Random(SEED), Counter[int]()
    async with on_air() as stage:
        for number in range(EXAMPLES):
            if number % WAVE == 0:
                await renewed(stage)
            texts = [damaged(chance.choice(CANDIDATES), chance)[:1024] for _ in range(chance.randrange(1, 4))]
            given = [
                {"candidate": text, "sdpMid": chance.choice(("0", "1", "", None, "é"))} for text in texts
            ]
            of_ann = chance.random() < 0.5
            user, name = ("ann", "addPublish") if of_ann else ("bob", "addView")
            more = {"streamId": "s1", "iceCandidates": given, **({} if of_ann else {"viewerId": "v1"})}
            path = f"conferences/{name}StreamIceCandidates"
            status, told = await stage.post(user, path, **stage.of(user), **more)
            statuses[status] += 1
            assert status in (204, 400), (told, given)
        await renewed(stage)
    print(f"candidates: {dict(statuses)}")
    assert statuses[204]


async def test_spoilt_bodies_are_answered_as_documented_and_harm_nobody() -> None:
    chance, statuses = random.Random(SEED), Counter[int]()
    asked = [one for one in endpoints.ENDPOINTS if one.method == "POST" and not one.public]
    async with on_air() as stage:
        for _ in range(EXAMPLES):
            endpoint = chance.choice(asked)
            user = chance.choice(("ann", "bob", "hall"))
            body = {**stage.of(user), **BODIES.get(endpoint.path.rpartition("/")[2], {})}
            text = json.dumps(spoilt(body, chance)).encode()
            if chance.random() < 0.2:
                text = text[: chance.randrange(len(text))] + chance.randbytes(chance.randrange(3))
            # Of another organization's users, so that nothing here changes whatever succeeds.
            answer = await stage.ask(user, "POST", endpoint.path, text, organization="umbrella")
            statuses[answer.status] += 1
            assert answer.status in endpoint.results, (answer, text)
            if answer.status >= 400:
                assert set(json.loads(answer.body)) == {"error", "error_description"}
        conference = (await stage.conference()).data
        assert (set(conference.participants), conference.metadata) == ({"ann-1", "bob-1"}, {})
        await renewed(stage)
    print(f"bodies: {dict(sorted(statuses.items()))}")


async def test_spoilt_frames_are_told_and_disturb_no_other_socket() -> None:
    chance, told = random.Random(SEED), Counter[str]()
    frames = [
        {"type": "follow", "conferenceId": "c1", "since": 0, "userEndpointId": "ann-1"},
        {"type": "unfollow", "conferenceId": "c1"},
        {"type": "acknowledge", "conferenceId": "c1", "eventId": "e1"},
    ]
    async with on_air() as stage:
        bystander = listening(stage, "bob", (("conferenceId", "c1"), ("since", "3")))
        wild = listening(stage, "ann")
        for number in range(EXAMPLES):
            frame = chance.choice(frames)
            text = json.dumps(spoilt(frame, chance) if chance.random() < 0.9 else frame)
            if chance.random() < 0.2:
                text = text[: chance.randrange(len(text))] + chance.choice(ODD)
            wild.say_nowait(text)
            if number % WAVE == 0:
                await wait_all_tasks_blocked()
                told.update(one["type"] for one in wild.take())
        await wait_all_tasks_blocked()
        assert wild.socket.closed is None
        await renewed(stage)
        await stage.post("ann", "conferences/leave", **stage.of("ann"))
        await wait_all_tasks_blocked()
        heard = [one["type"] for one in bystander.take()]
        assert heard[-2:] == ["ConferenceStreamUnpublishedEvent", "ConferenceLeftEvent"]
    print(f"frames: {dict(told)}")
    assert told["error"]
    assert told["following"]
